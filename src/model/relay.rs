//! What lies between a process and a network socket that another one holds.
//!
//! Owns: the channels that bytes can take from process to process, a process's open files as far as they matter for
//! that, and the way that was found. Must not own: reading them (`host`), finding the way (`engine::resolve`).

use std::sync::Arc;

use super::ids::{Inode, Pid, ProcessKey};
use super::look::{Ancestor, FileId};
use super::socket::Socket;
use super::stdio::Hop;

/// Something with two ends in different processes. Identified as the kernel does, so that the same channel is equal
/// wherever it is seen from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// A pipe or a FIFO: device and inode are the same at both ends.
    Pipe(u64, Inode),
    /// One UNIX socket. Its peer is another.
    Unix(Inode),
    /// A pseudo-terminal: the devpts instance (0 where it is not known) and the number in it.
    Pty(u64, u32),
}

impl Channel {
    /// The channel as it may look from elsewhere: a master that was opened through `/dev/ptmx` does not show its devpts
    /// instance.
    pub fn anywhere(self) -> Self {
        match self {
            Self::Pty(_, number) => Self::Pty(0, number),
            other => other,
        }
    }
}

/// Which end of a channel a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// A pipe's end, by what can be done with it.
    Pipe {
        /// It can be read from.
        reads: bool,
        /// It can be written to.
        writes: bool,
    },
    /// A UNIX socket.
    Unix,
    /// A pseudo-terminal's slave: the side of the program.
    Slave,
    /// A pseudo-terminal's master: the side of the terminal.
    Master,
}

/// What one open file is, as far as it can be part of a tether.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A network socket, listening or not.
    Network {
        /// Which.
        socket: Arc<Socket>,
        /// How long ago bytes came in on it, in milliseconds; `None` where the protocol does not say.
        heard_ms: Option<u32>,
    },
    /// An end of a channel.
    Channel(Channel, End),
    /// Anything else.
    Else,
}

impl FileKind {
    /// A network socket of which nothing more is known.
    pub fn network(socket: Socket) -> Self {
        Self::Network { socket: Arc::new(socket), heard_ms: None }
    }
}

/// One open file of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// The descriptor.
    pub fd: u32,
    /// What it is.
    pub kind: FileKind,
}

/// The open files of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Whose.
    pub key: ProcessKey,
    /// Its name.
    pub comm: Vec<u8>,
    /// Its parent.
    pub parent: Pid,
    /// They, by descriptor. Files that are no part of any tether are left out.
    pub list: Vec<OpenFile>,
    /// Whether all were read: a process may have a million.
    pub complete: bool,
}

impl Files {
    /// The network sockets that bytes can flow through.
    pub fn networks(&self) -> impl Iterator<Item = (u32, &Arc<Socket>, Option<u32>)> {
        self.list.iter().filter_map(|file| match &file.kind {
            FileKind::Network { socket, heard_ms } if socket.carries_bytes_off() => {
                Some((file.fd, socket, *heard_ms))
            }
            _ => None,
        })
    }

    /// How many different ones these are: one may stand on several descriptors.
    pub fn network_count(&self) -> usize {
        let mut inodes: Vec<Inode> = self.networks().map(|(_, socket, _)| socket.inode).collect();
        inodes.sort_unstable();
        inodes.dedup();
        inodes.len()
    }
}

/// Which way bytes go, as seen from the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// From the network to its stdin.
    In,
    /// From its stdout or stderr to the network.
    Out,
}

/// A process that holds a network socket and the far end of a channel.
#[derive(Clone, Debug)]
pub struct Relay {
    /// What is known of it, in the form of an ancestor.
    pub process: Ancestor,
    /// Its program file, where it could be asked.
    pub file: Option<FileId>,
    /// Its root directory; empty if unread.
    pub root: Vec<u8>,
    /// How many network sockets it holds through which bytes can flow, as far as they were counted.
    pub sockets: usize,
}

/// A way from one of a command's descriptors to a network socket.
#[derive(Clone, Debug)]
pub struct Way {
    /// Every hop, from the command outwards; the last one's backing is the socket.
    pub hops: Vec<Hop>,
    /// The socket.
    pub socket: Arc<Socket>,
    /// How long before that bytes had come in on it, in milliseconds; `None` where the protocol does not say.
    pub heard_ms: Option<u32>,
    /// Who holds it.
    pub relay: Arc<Relay>,
    /// Another process of that name with the same end of the last channel: whose session the relay keeps (`ssh` hands its
    /// descriptors to its ControlMaster).
    pub session: Option<ProcessKey>,
    /// The first channel: the one on the command's own descriptor.
    pub first: Channel,
    /// The command had gone by then and the channel with it: the relay is its parent, who must have closed it.
    pub closed: bool,
}

/// What was found about a command's descriptors that are no network sockets themselves.
#[derive(Clone, Debug, Default)]
pub struct Relayed {
    /// Where fd 0 leads.
    pub input: Option<Way>,
    /// Where fd 1, or else fd 2, leads.
    pub output: Option<Way>,
    /// Which of fds 0, 1, 2 lead to a network.
    pub fds: [bool; 3],
    /// Whoever holds the socket is beside the command, and somebody above it hears from them, or holds that socket too: a
    /// conversation, and no pipeline.
    pub hears: bool,
}

impl Relayed {
    /// Whether there is no way.
    pub fn is_none(&self) -> bool {
        self.input.is_none() && self.output.is_none()
    }
}
