//! What stands behind file descriptors 0, 1 and 2, and the way from there to the network.
//!
//! Owns: backing, hop, tether (DESIGN 1). Must not own: finding them (`host`), judging them (`engine`).

use std::sync::Arc;

use super::ids::{Inode, ProcessKey};
use super::socket::Socket;
use super::text;

/// What one file descriptor is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Backing {
    /// The descriptor is closed.
    Closed,
    #[default]
    /// It could not be read: the process had gone, or access was refused.
    Unread,
    /// A network socket.
    Network(Arc<Socket>),
    /// A network socket that only accepts connections: nothing flows through it.
    Listener(Arc<Socket>),
    /// A UNIX socket.
    Unix(Inode),
    /// A socket of another family, or one that no lookup could resolve.
    OtherSocket(Inode),
    /// An anonymous pipe.
    Pipe(Inode),
    /// A pseudo-terminal's slave: the N of `/dev/pts/N`.
    PtySlave(u32),
    /// Another terminal, by path.
    Tty(Vec<u8>),
    /// `/dev/null`.
    Null,
    /// A file, FIFO or device, by path.
    File(Vec<u8>),
    /// Anything else, as the kernel names it (`anon_inode:[eventfd]`).
    Other(Vec<u8>),
}

impl Backing {
    /// The network socket, if that is what it is.
    pub fn network(&self) -> Option<&Arc<Socket>> {
        match self {
            Self::Network(socket) => Some(socket),
            _ => None,
        }
    }

    /// For people: `TCP 10.0.0.1:4444`, `pipe:[17]`, `/dev/pts/3`. Hostile characters are escaped.
    pub fn describe(&self) -> String {
        match self {
            Self::Closed => "closed".into(),
            Self::Unread => "not read".into(),
            Self::Network(socket) | Self::Listener(socket) => format!("socket:[{}]", socket.inode),
            Self::Unix(inode) => format!("unix:[{inode}]"),
            Self::OtherSocket(inode) => format!("socket:[{inode}]"),
            Self::Pipe(inode) => format!("pipe:[{inode}]"),
            Self::PtySlave(index) => format!("/dev/pts/{index}"),
            Self::Null => "/dev/null".into(),
            Self::Tty(path) | Self::File(path) | Self::Other(path) => text::escape(path),
        }
    }
}

/// One step of a tether: a process's descriptor and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Whose descriptor.
    pub process: ProcessKey,
    /// The process's name (`comm`), raw.
    pub comm: Vec<u8>,
    /// The descriptors of that process that are this backing, in order.
    pub fds: Vec<u32>,
    /// What they are.
    pub backing: Backing,
}

/// Whether the process has the network socket itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TetherKind {
    /// fd 0, 1 or 2 is the network socket.
    Direct,
    /// Through pipes, FIFOs, socketpairs, pseudo-terminals.
    Relayed,
}

impl TetherKind {
    /// The word in `Tether_Kind`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
        }
    }
}

/// The way from a process's fd 0, 1 or 2 to a network socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tether {
    /// Direct or relayed.
    pub kind: TetherKind,
    /// Every hop, from the command outwards; the last one's backing is the socket.
    pub hops: Vec<Hop>,
    /// The network socket at the end.
    pub socket: Arc<Socket>,
    /// Which of fds 0, 1, 2 lead there.
    pub fds: [bool; 3],
}
