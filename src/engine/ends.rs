//! The ends of channels.
//!
//! Owns: which end is the far side of which, where bytes go on from a process, and whether one process hears another. Must
//! not own: the search ([`super::search`]). Pure.

use crate::host::Host;
use crate::model::relay::{Channel, End, FileKind, Files, Flow};
use crate::model::stdio::Backing;

/// Whether one process reads from a pipe or a UNIX socket whose other end is another's stdout, and none of these: what
/// others above a command write to as well is where they all print.
pub fn hears(listener: &Files, from: &Files, but: &[Channel], host: &impl Host) -> bool {
    let said = from.list.iter().find_map(|file| match file.kind {
        FileKind::Channel(channel, end) if file.fd == 1 => Some((channel, end)),
        _ => None,
    });
    let Some((channel, end)) = said.filter(|(channel, _)| !but.contains(channel)) else { return false };
    let far = match channel {
        Channel::Pty(..) => return false,
        Channel::Unix(inode) => match host.unix_peer(from.key.pid, inode) {
            Some(peer) => Channel::Unix(peer),
            None => return false,
        },
        Channel::Pipe(..) => channel,
    };
    listener.list.iter().any(|file| match file.kind {
        FileKind::Channel(channel, its) => is_far(channel, its, far, end, Flow::Out),
        _ => false,
    })
}

/// Whether an open file is the far side of the channel for bytes that go this way.
pub(super) fn is_far(channel: Channel, end: End, far: Channel, near: End, flow: Flow) -> bool {
    let same = match (channel, far) {
        // Through /dev/ptmx a master does not show its devpts instance: then the number has to do.
        (Channel::Pty(a, m), Channel::Pty(b, n)) => {
            m == n && (a == b || end == End::Master || near == End::Master)
        }
        (a, b) => a == b,
    };
    same && match (near, end) {
        (End::Slave, End::Master) | (End::Master, End::Slave) | (End::Unix, End::Unix) => true,
        (_, End::Pipe { reads, writes }) => match flow {
            Flow::In => writes,
            Flow::Out => reads,
        },
        // The command's own end is not always known any more.
        (End::Slave, End::Unix) => true,
        _ => false,
    }
}

/// The channels of a process that bytes can come from, or go on to, once they are with it.
pub(super) fn onward(files: &Files, flow: Flow) -> impl Iterator<Item = (u32, Channel, End)> {
    files.list.iter().filter_map(move |file| match file.kind {
        FileKind::Channel(channel, end) => {
            let goes_on = match (end, flow) {
                (End::Pipe { reads, .. }, Flow::In) => reads,
                (End::Pipe { writes, .. }, Flow::Out) => writes,
                _ => true,
            };
            goes_on.then_some((file.fd, channel, end))
        }
        _ => None,
    })
}

pub(super) fn backing(channel: Channel, end: End) -> Backing {
    match (channel, end) {
        (Channel::Pipe(_, inode), _) => Backing::Pipe(inode),
        (Channel::Unix(inode), _) => Backing::Unix(inode),
        (Channel::Pty(_, number), End::Master) => {
            Backing::Other(format!("/dev/ptmx of /dev/pts/{number}").into())
        }
        (Channel::Pty(_, number), _) => Backing::PtySlave(number),
    }
}
