//! What one socket is, as far as a verdict needs it.
//!
//! Owns: families, protocols, addresses, the peer's scope, and the rule for what a *network socket* is (DESIGN 1).
//! Must not own: how a socket is found out about (`host`).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::ids::{Inode, SocketCookie};

/// An address family (address_families(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// AF_UNIX: never a network socket.
    Unix,
    /// AF_INET.
    Inet,
    /// AF_INET6.
    Inet6,
    /// AF_NETLINK: never a network socket.
    Netlink,
    /// AF_PACKET.
    Packet,
    /// AF_TIPC.
    Tipc,
    /// AF_BLUETOOTH.
    Bluetooth,
    /// AF_VSOCK.
    Vsock,
    /// Any other, by number.
    Other(u16),
}

impl Family {
    /// The family of an `AF_*` number.
    pub fn from_raw(number: u16) -> Self {
        match i32::from(number) {
            libc::AF_UNIX => Self::Unix,
            libc::AF_INET => Self::Inet,
            libc::AF_INET6 => Self::Inet6,
            libc::AF_NETLINK => Self::Netlink,
            libc::AF_PACKET => Self::Packet,
            libc::AF_TIPC => Self::Tipc,
            libc::AF_BLUETOOTH => Self::Bluetooth,
            libc::AF_VSOCK => Self::Vsock,
            _ => Self::Other(number),
        }
    }

    /// Whether sockets of this family can carry bytes off this network stack's own processes.
    pub fn is_network(self) -> bool {
        match self {
            Self::Inet | Self::Inet6 | Self::Packet | Self::Tipc | Self::Bluetooth | Self::Vsock => true,
            // address_families(7): AX.25, NET/ROM, X.25, ROSE, RDS, LLC, InfiniBand, RxRPC, Phonet, IEEE 802.15.4, CAIF, NFC,
            // KCM (over TCP), Qualcomm IPC, SMC (over TCP where there is no RDMA), XDP, MCTP.
            Self::Other(3 | 6 | 9 | 11 | 21 | 26 | 27 | 33 | 35..=37 | 39 | 41..=45) => true,
            Self::Unix | Self::Netlink | Self::Other(_) => false,
        }
    }
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP (6).
    Tcp,
    /// UDP (17) and UDP-Lite (136).
    Udp,
    /// SCTP (132).
    Sctp,
    /// MPTCP (262).
    Mptcp,
    /// ICMP (1) and ICMPv6 (58).
    Icmp,
    /// Any other: `IPPROTO_*`, or 0 where the family has no protocols.
    Other(u32),
}

impl Protocol {
    /// The protocol of an `IPPROTO_*` number (`SO_PROTOCOL`).
    pub fn from_raw(number: u32) -> Self {
        match number {
            1 | 58 => Self::Icmp,
            6 => Self::Tcp,
            17 | 136 => Self::Udp,
            132 => Self::Sctp,
            262 => Self::Mptcp,
            other => Self::Other(other),
        }
    }
}

/// A socket's type (socket(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketType {
    /// SOCK_STREAM.
    Stream,
    /// SOCK_DGRAM.
    Datagram,
    /// SOCK_RAW.
    Raw,
    /// SOCK_SEQPACKET.
    SeqPacket,
    /// Any other, by number.
    Other(u32),
}

impl SocketType {
    /// The type of a `SOCK_*` number (`SO_TYPE`).
    pub fn from_raw(number: u32) -> Self {
        match number {
            1 => Self::Stream,
            2 => Self::Datagram,
            3 => Self::Raw,
            5 => Self::SeqPacket,
            other => Self::Other(other),
        }
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and port; IPv4-mapped IPv6 is shown as IPv4.
    Ip(SocketAddr),
    /// A virtual machine socket address (vsock(7)).
    Vsock {
        /// The context id: 1 is this machine, 2 the host.
        cid: u32,
        /// The port.
        port: u32,
    },
}

impl Address {
    /// An IP address and port, IPv4-mapped IPv6 turned into IPv4 (RFC 4291 section 2.5.5.2).
    pub fn ip(ip: IpAddr, port: u16) -> Self {
        Self::Ip(SocketAddr::new(ip.to_canonical(), port))
    }

    /// The IP address, if this is one.
    pub fn ip_addr(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Vsock { .. } => None,
        }
    }

    /// The port number.
    pub fn port(&self) -> u32 {
        match self {
            Self::Ip(address) => u32::from(address.port()),
            Self::Vsock { port, .. } => *port,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
        }
    }
}

/// What the kernel says of a socket's other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Connected to this address.
    Connected(Address),
    /// Not connected: a datagram socket that hears from anybody.
    Unconnected,
    /// A connection whose peer has gone, or whose address the family does not tell.
    Unknown,
}

impl Peer {
    /// The address, where there is one.
    pub fn address(&self) -> Option<Address> {
        match self {
            Self::Connected(address) => Some(*address),
            Self::Unconnected | Self::Unknown => None,
        }
    }
}

/// How a socket was found out about, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SocketLookup {
    /// A duplicate through pidfd_getfd(2), asked directly.
    Getfd,
    /// NETLINK_SOCK_DIAG (sock_diag(7)).
    Diag,
    /// `/proc/PID/net/*` of the process's network namespace.
    Proc,
}

/// One socket, as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Its sockfs inode: the number in `socket:[N]`.
    pub inode: Inode,
    /// Its cookie, where it could be asked.
    pub cookie: Option<SocketCookie>,
    /// Address family.
    pub family: Family,
    /// Stream, datagram, ...
    pub kind: SocketType,
    /// Transport protocol.
    pub protocol: Protocol,
    /// This end, if bound.
    pub local: Option<Address>,
    /// The other end.
    pub peer: Peer,
    /// Whether it only accepts connections (`SO_ACCEPTCONN`): such a socket carries no bytes.
    pub listening: bool,
    /// The network namespace it belongs to (nsfs inode), which need not be its user's.
    pub net_ns: Option<Inode>,
    /// How all this was learnt.
    pub found_by: SocketLookup,
}

impl Socket {
    /// A network socket that can carry bytes: of a network family, no listener, and not one that is still to be connected.
    pub fn carries_bytes_off(&self) -> bool {
        self.family.is_network() && !self.listening && !self.is_fresh()
    }

    /// A stream socket that has neither an address nor a peer yet.
    fn is_fresh(&self) -> bool {
        let unbound = matches!(
            self.local, Some(Address::Ip(local)) if local.ip().is_unspecified() && local.port() == 0
        );
        self.kind == SocketType::Stream && unbound && !matches!(self.peer, Peer::Connected(_))
    }

    /// Where the peer is.
    pub fn scope(&self) -> Scope {
        Scope::of(&self.peer)
    }

    /// `TCP`, `UDP`, `TCPv6`, `VSOCK`, ...
    pub fn protocol_name(&self) -> &'static str {
        match (self.family, self.protocol) {
            (Family::Inet, Protocol::Tcp) => "TCP",
            (Family::Inet6, Protocol::Tcp) => "TCPv6",
            (Family::Inet, Protocol::Udp) => "UDP",
            (Family::Inet6, Protocol::Udp) => "UDPv6",
            (Family::Inet | Family::Inet6, Protocol::Mptcp) => "MPTCP",
            (Family::Inet | Family::Inet6, Protocol::Sctp) => "SCTP",
            (Family::Inet | Family::Inet6, Protocol::Icmp) => "ICMP",
            (Family::Inet | Family::Inet6, Protocol::Other(_)) => "RAW",
            (Family::Vsock, _) => "VSOCK",
            (Family::Bluetooth, _) => "BLUETOOTH",
            (Family::Tipc, _) => "TIPC",
            (Family::Packet, _) => "PACKET",
            (Family::Unix, _) => "UNIX",
            (Family::Netlink, _) => "NETLINK",
            (Family::Other(_), _) => "OTHER",
        }
    }
}

/// How far away a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// 127.0.0.0/8, ::1, vsock to this machine.
    Loopback,
    /// 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// RFC 1918, RFC 6598, fc00::/7, vsock to the host or a guest.
    Private,
    /// Anything else.
    Public,
    /// The socket has no peer.
    Unconnected,
    /// The peer has gone or its family does not say.
    Unknown,
}

impl Scope {
    /// The scope of a peer.
    pub fn of(peer: &Peer) -> Self {
        match peer {
            Peer::Connected(Address::Ip(address)) => Self::of_ip(address.ip()),
            Peer::Connected(Address::Vsock { cid: 1, .. }) => Self::Loopback,
            Peer::Connected(Address::Vsock { .. }) => Self::Private,
            Peer::Unconnected => Self::Unconnected,
            Peer::Unknown => Self::Unknown,
        }
    }

    /// The scope of an IP address.
    pub fn of_ip(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                if v4.is_loopback() {
                    Self::Loopback
                } else if v4.is_link_local() {
                    Self::LinkLocal
                } else if v4.is_private() || (a == 100 && b & 0xc0 == 64) {
                    Self::Private
                } else {
                    Self::Public
                }
            }
            IpAddr::V6(v6) if v6 == Ipv6Addr::LOCALHOST => Self::Loopback,
            IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80 => Self::LinkLocal,
            IpAddr::V6(v6) if v6.segments()[0] & 0xfe00 == 0xfc00 => Self::Private,
            IpAddr::V6(_) => Self::Public,
        }
    }

    /// The word in `Peer_Scope`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Private => "private",
            Self::Public => "public",
            Self::Unconnected => "unconnected",
            Self::Unknown => "unknown",
        }
    }
}

/// Who opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The peer did: the local port is one that somebody listens on in that network namespace.
    Inbound,
    /// This machine did.
    Outbound,
}

impl Direction {
    /// The word in `Tether_Direction`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_carries_bytes() {
        let at = |text: &str| Some(Address::Ip(text.parse().unwrap()));
        let socket = |kind, local, peer| Socket {
            inode: Inode(1),
            cookie: None,
            family: Family::Inet,
            kind,
            protocol: Protocol::Tcp,
            local,
            peer,
            listening: false,
            net_ns: None,
            found_by: SocketLookup::Getfd,
        };
        let peer = || Peer::Connected(Address::Ip("203.0.113.9:4444".parse().unwrap()));
        for (carries, socket) in [
            (true, socket(SocketType::Stream, at("10.0.0.1:40000"), peer())),
            // Between socket(2) and connect(2); its peer has gone; datagrams from anybody.
            (false, socket(SocketType::Stream, at("0.0.0.0:0"), Peer::Unknown)),
            (true, socket(SocketType::Stream, at("10.0.0.1:40000"), Peer::Unknown)),
            (true, socket(SocketType::Datagram, at("0.0.0.0:0"), Peer::Unconnected)),
        ] {
            assert_eq!(socket.carries_bytes_off(), carries, "{socket:?}");
        }
    }

    #[test]
    fn scopes() {
        for (ip, scope) in [
            ("127.0.0.9", Scope::Loopback),
            ("::1", Scope::Loopback),
            ("::ffff:127.0.0.1", Scope::Loopback),
            ("169.254.169.254", Scope::LinkLocal),
            ("fe80::1", Scope::LinkLocal),
            ("10.1.2.3", Scope::Private),
            ("172.31.0.1", Scope::Private),
            ("100.64.0.1", Scope::Private),
            ("fd00::1", Scope::Private),
            ("100.128.0.1", Scope::Public),
            ("203.0.113.9", Scope::Public),
            ("2001:db8::1", Scope::Public),
        ] {
            assert_eq!(ip.parse().map(Scope::of_ip), Ok(scope), "{ip}");
        }
    }

    #[test]
    fn mapped_addresses_show_as_ipv4() {
        let ip = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(Address::ip(ip, 80).to_string(), "192.0.2.7:80");
    }

    #[test]
    fn network_families() {
        for (number, network) in [
            (1, false),
            (2, true),
            (10, true),
            (16, false),
            (17, true),
            (30, true),
            (31, true),
            (40, true),
            (38, false),
        ] {
            assert_eq!(Family::from_raw(number).is_network(), network, "{number}");
        }
    }
}
