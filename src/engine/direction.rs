//! Who opened a connection.
//!
//! Owns: the rule for inbound and outbound. Must not own: asking the kernel.

use crate::host::Host;
use crate::model::ids::Pid;
use crate::model::look::Look;
use crate::model::socket::{Address, Direction, Peer, Socket};

/// Inbound when somebody listens on the local port there: as the look says, which was taken while the process lived, and
/// the host only where it does not. A bind shell that serves one caller closes its listener first: then the ports
/// decide, an own one outside the range the kernel gives out and a peer's inside it.
pub fn direction(
    socket: &Socket,
    look: &Look,
    holder: Pid,
    host: &impl Host,
) -> (Direction, Option<&'static str>) {
    let listened = look.listened_on(socket.inode).or_else(|| host.listened_on(socket, holder));
    if listened == Some(true) {
        return (Direction::Inbound, None);
    }
    let Some(local) = socket.local else { return (Direction::Outbound, None) };
    let (first, last) = host.ephemeral_ports();
    let given_out = |address: Address| match address {
        Address::Ip(address) => (first..=last).contains(&address.port()),
        // The kernel takes one of 2^32 at random (Linux net/vmw_vsock/af_vsock.c); people choose small ones.
        Address::Vsock { port, .. } => port > u32::from(u16::MAX),
    };
    let local_chosen = local.port() != 0 && !given_out(local);
    match socket.peer {
        Peer::Connected(peer @ Address::Vsock { .. }) if local_chosen && given_out(peer) => {
            (Direction::Inbound, Some("the local port was chosen, and the peer's was not"))
        }
        Peer::Connected(peer) if local_chosen && given_out(peer) => (
            Direction::Inbound,
            Some("nobody listens on the local port any more, but it was chosen and the peer's was not"),
        ),
        Peer::Unconnected if local_chosen => {
            (Direction::Inbound, Some("the socket has no peer and a chosen local port"))
        }
        _ => (Direction::Outbound, None),
    }
}
