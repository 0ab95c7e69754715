//! Scripted machines for the tests of searches.

use std::sync::Arc;

use crate::engine::search::Trade;
use crate::host::scripted::ScriptedHost;
use crate::model::ids::{Inode, Pid, ProcessKey, SocketCookie, StartTime};
use crate::model::relay::{Channel, End, FileKind, Files, OpenFile, Relay};
use crate::model::socket::{Address, Family, Peer, Protocol, Socket, SocketLookup, SocketType};

pub(super) fn network(inode: u64) -> FileKind {
    FileKind::network(Socket {
        inode: Inode(inode),
        cookie: Some(SocketCookie(inode)),
        family: Family::Inet,
        kind: SocketType::Stream,
        protocol: Protocol::Tcp,
        local: None,
        peer: Peer::Connected(Address::Ip("203.0.113.9:4444".parse().unwrap())),
        listening: false,
        net_ns: None,
        found_by: SocketLookup::Getfd,
    })
}

pub(super) const fn pipe(inode: u64) -> Channel {
    Channel::Pipe(9, Inode(inode))
}

pub(super) fn reads(inode: u64) -> FileKind {
    FileKind::Channel(pipe(inode), End::Pipe { reads: true, writes: false })
}

pub(super) fn writes(inode: u64) -> FileKind {
    FileKind::Channel(pipe(inode), End::Pipe { reads: false, writes: true })
}

pub(super) fn unix(inode: u64) -> FileKind {
    FileKind::Channel(Channel::Unix(Inode(inode)), End::Unix)
}

pub(super) fn slave(number: u32) -> FileKind {
    FileKind::Channel(Channel::Pty(24, number), End::Slave)
}

pub(super) fn master(number: u32) -> FileKind {
    FileKind::Channel(Channel::Pty(6, number), End::Master)
}

pub(super) type Open = (u32, FileKind);
pub(super) type Process<'a> = (u32, u32, &'a [Open]);

/// Nobody has a trade that matters.
pub(super) const OTHER: fn(&Relay) -> Trade = |_| Trade::Other;

pub(super) fn host(processes: &[Process<'_>]) -> ScriptedHost {
    let mut host = ScriptedHost::default();
    for (pid, parent, files) in processes {
        let list = files.iter().map(|(fd, kind)| OpenFile { fd: *fd, kind: kind.clone() }).collect();
        let key = ProcessKey { pid: Pid(*pid), start: StartTime(u64::from(*pid)) };
        let files = Files { key, comm: b"x".to_vec(), parent: Pid(*parent), list, complete: true };
        host.files.insert(Pid(*pid), Arc::new(files));
    }
    host
}
