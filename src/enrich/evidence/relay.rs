//! Whom else the relay of a tether is connected to: the proxy, the listener, the next one on the way.
//!
//! Owns: asking the relay for its sockets. Must not own: who the relay is (`engine::resolve`), the list (`peers`).

use std::time::Instant;

use crate::host::files::files;
use crate::host::patience::Patience;
use crate::host::undertaker::Undertaker;
use crate::model::ids::{Inode, ProcessKey};
use crate::model::stdio::{Tether, TetherKind};

use super::peers::Peers;
use super::{GONE, Known};

/// Who holds the network socket, where that is not the command itself.
pub(super) fn of(tether: &Tether) -> Option<ProcessKey> {
    let last = tether.hops.last().filter(|_| tether.kind == TetherKind::Relayed)?;
    Some(last.process)
}

/// The peers of the relay's sockets but the tether's own, `most` of them.
pub(super) fn peers(relay: ProcessKey, tether: Inode, most: usize) -> Known<Peers> {
    let undertaker = Undertaker::start().map_err(|_| "there is no thread to close what was looked at")?;
    let open = files(relay.pid, &undertaker, &mut Patience::new(Instant::now()));
    let open = open.filter(|open| open.key == relay).ok_or(GONE)?;
    let mut peers = Peers { more: !open.complete, ..Peers::default() };
    for (_, socket, _) in open.networks().filter(|(_, socket, _)| socket.inode != tether) {
        peers.add(socket, most);
    }
    Ok(peers)
}
