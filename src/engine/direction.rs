//! Who opened a connection, and which name its incident gets.
//!
//! Owns: the rule for inbound and outbound, and the derivation of a finding's name. Must not own: asking the kernel.

use sha2::{Digest, Sha256};

use crate::host::Host;
use crate::model::ids::FindingId;
use crate::model::look::Look;
use crate::model::socket::{Address, Direction, Peer, Socket};

/// Inbound when somebody listens on the local port there: as the look says, which was taken while the process lived, and
/// the host only where it does not. A bind shell that serves one caller closes its listener first: then the ports
/// decide, an own one outside the range the kernel gives out and a peer's inside it.
pub fn direction(socket: &Socket, look: &Look, host: &impl Host) -> (Direction, Option<&'static str>) {
    let listened = look.listened_on(socket.inode).or_else(|| host.listened_on(socket, look.key.pid));
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

/// The name of the incident on a socket: the same after a restart of the daemon, because it follows from the boot and
/// the socket's cookie; where there is no cookie, from its inode and addresses.
pub fn name(boot_id: &str, socket: &Socket) -> FindingId {
    let mut digest = Sha256::new();
    digest.update(b"tetherd incident 1\0");
    digest.update(boot_id.as_bytes());
    match socket.cookie {
        Some(cookie) => digest.update(format!("\0cookie {cookie}")),
        None => digest.update(format!("\0inode {} {:?} {:?}", socket.inode, socket.local, socket.peer)),
    }
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(digest.finalize()) {
        *to = from;
    }
    FindingId(id)
}
