//! Whom else a container's network namespace is connected to.
//!
//! Owns: asking sock_diag in that namespace, and the bounds. Must not own: which namespace, and whether it is worth asking
//! (the host's is not: every service of the machine is in it).

use rustix::fs::OFlags;

use crate::host::root::living;
use crate::model::ids::{Inode, ProcessKey};
use crate::model::socket::{Peer, Socket};
use crate::sys::{netns, sock_diag};

use super::Known;

/// The most sockets that are looked through.
const SOCKETS_MAX: usize = 20_000;

/// Peers, each once for each protocol.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::enrich) struct Peers {
    /// Protocol, peer, and this end of the first of its connections.
    pub(in crate::enrich) list: Vec<(&'static str, String, String)>,
    /// There were more.
    pub(in crate::enrich) more: bool,
}

/// Of the namespace `net`, entered through the first process of `processes` that is still in it.
pub(super) fn of(processes: &[ProcessKey], net: Inode, but: Inode, most: usize) -> Known<Peers> {
    let inside = processes.iter().find_map(|key| {
        let dir = living(*key)?;
        let same = dir.namespace(c"ns/net", b"net:[") == Some(net);
        same.then(|| dir.open_below(c"ns/net", OFlags::RDONLY).ok()).flatten()
    });
    let inside = inside.ok_or("every known process of its network namespace has gone")?;
    let ask = || {
        let (mut peers, mut seen) = (Peers::default(), 0);
        sock_diag::each_with_peer(|socket| {
            seen += 1;
            // Without an inode it belongs to nobody any more.
            if socket.inode != but && socket.inode.0 != 0 {
                peers.add(&socket, most);
            }
            peers.more |= seen >= SOCKETS_MAX;
            !peers.more
        })?;
        Ok(peers)
    };
    netns::within(&inside, ask).map_err(|_| "its network namespace could not be asked")
}

impl Peers {
    /// One more, unless it is known or there are `most`.
    pub(super) fn add(&mut self, socket: &Socket, most: usize) {
        let Peer::Connected(peer) = socket.peer else { return };
        let (protocol, peer) = (socket.protocol_name(), peer.to_string());
        if self.list.iter().any(|(known, address, _)| *known == protocol && *address == peer) {
            return;
        }
        if self.list.len() >= most {
            self.more = true;
            return;
        }
        self.list.push((protocol, peer, socket.local.map(|local| local.to_string()).unwrap_or_default()));
    }
}
