//! The tether's socket in the words of the finding.
//!
//! Owns: `connections`, `indicator`, the redirection properties' addresses. Must not own: finding out about sockets.

use std::net::SocketAddr;

use crate::model::finding::{Connection, Indicator};
use crate::model::socket::{Address, Family, Protocol, Scope, Socket};

/// The connection, where the API has words for it: sockets of the two IP families.
pub(super) fn connections(socket: &Socket) -> Vec<Connection> {
    if !matches!(socket.family, Family::Inet | Family::Inet6) {
        return Vec::new();
    }
    let (destination, source) = (ip(socket.peer.address()), ip(socket.local));
    vec![Connection {
        destination_ip: destination.map(|a| a.ip().to_string()),
        destination_port: destination.map(|a| a.port()),
        source_ip: source.map(|a| a.ip().to_string()),
        source_port: source.map(|a| a.port()),
        protocol: match socket.protocol {
            Protocol::Tcp | Protocol::Mptcp => Some("TCP".into()),
            Protocol::Udp => Some("UDP".into()),
            Protocol::Icmp => Some("ICMP".into()),
            Protocol::Sctp | Protocol::Other(_) => None,
        },
    }]
}

/// The peer's address, unless it is on loopback: then there is nothing to look for elsewhere.
pub(super) fn indicator(socket: &Socket) -> Option<Indicator> {
    let peer = ip(socket.peer.address()).filter(|_| socket.scope() != Scope::Loopback)?;
    Some(Indicator { ip_addresses: vec![peer.ip().to_string()] })
}

/// The address, if it is an IP one.
pub(super) fn ip(address: Option<Address>) -> Option<SocketAddr> {
    match address? {
        Address::Ip(address) => Some(address),
        Address::Vsock { .. } => None,
    }
}
