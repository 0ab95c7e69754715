//! Who opened a connection.
//!
//! Owns: the rule for inbound and outbound. Must not own: asking the kernel.

use crate::host::Host;
use crate::model::ids::Pid;
use crate::model::socket::{Direction, Peer, Socket};

/// Inbound when somebody listens on the local port there. A bind shell that serves one caller closes its listener
/// first: then the ports decide, an own one outside the range the kernel gives out and a peer's inside it.
pub fn direction(socket: &Socket, user: Pid, host: &impl Host) -> (Direction, Option<&'static str>) {
    if host.listened_on(socket, user) == Some(true) {
        return (Direction::Inbound, None);
    }
    let Some(local) = socket.local else { return (Direction::Outbound, None) };
    let (first, last) = host.ephemeral_ports();
    let given_out = |port: u32| (u32::from(first)..=u32::from(last)).contains(&port);
    let local_chosen = local.port() != 0 && !given_out(local.port());
    match socket.peer {
        Peer::Connected(peer) if local_chosen && given_out(peer.port()) => (
            Direction::Inbound,
            Some("nobody listens on the local port any more, but it was chosen and the peer's was not"),
        ),
        Peer::Unconnected if local_chosen => {
            (Direction::Inbound, Some("the socket has no peer and a chosen local port"))
        }
        _ => (Direction::Outbound, None),
    }
}
