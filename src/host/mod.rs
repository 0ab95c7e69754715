//! What the machine looks like now.
//!
//! Owns: the trait [`Host`] that the engine asks, and its two implementations: the live machine and a script for
//! tests. Must not own: deciding anything. Talks to: `/proc` and `sys`.

pub mod ancestry;
pub mod background;
pub mod bell;
pub mod channels;
pub mod characteristic;
pub mod cmdline;
pub mod descriptors;
pub mod exec_args;
pub mod files;
pub mod finder;
pub mod glance;
pub mod lineage;
pub mod link;
pub mod listener;
pub mod listening;
pub mod live;
pub mod lru;
pub mod mount_table;
pub mod mounts;
pub mod net_table;
pub mod patience;
pub mod proc_dir;
pub mod processes;
pub mod program_file;
pub mod reader;
pub mod relatives;
pub mod rings;
pub mod root;
pub mod root_shells;
pub mod scripted;
pub mod shells;
pub mod socket;
pub mod stat;
pub mod tables;
pub mod undertaker;

use std::sync::Arc;

use crate::model::contained::Contained;
use crate::model::ids::{Inode, Pid, ProcessKey};
use crate::model::look::Look;
use crate::model::recognised::Behind;
use crate::model::relay::{Channel, Files, Relay};
use crate::model::socket::Socket;

/// What the engine may ask about the machine. All of it may be out of date as soon as it is answered.
pub trait Host {
    /// Whether somebody listens on the socket's local port in the socket's network namespace; `None` where that
    /// cannot be told. `user` is a process that has the socket.
    fn listened_on(&self, socket: &Socket, user: Pid) -> Option<bool>;

    /// Whether this life of the process still goes on (a zombie's does not).
    fn alive(&self, key: ProcessKey) -> bool;

    /// The range of local ports that the kernel gives out by itself (`net.ipv4.ip_local_port_range`).
    fn ephemeral_ports(&self) -> (u16, u16);

    /// The open files of a process; `None` if it has gone or may not be read.
    fn files(&self, pid: Pid) -> Option<Arc<Files>>;

    /// Processes near this one, those first that most likely hold the far end of its channels.
    fn relatives(&self, pid: Pid) -> Vec<Pid>;

    /// All processes that have an end of this channel, as far as known; those that have a network socket first.
    fn holders(&self, channel: Channel) -> Vec<Pid>;

    /// The peer of a UNIX socket that `owner` has; `None` where there is none or it cannot be told.
    fn unix_peer(&self, owner: Pid, socket: Inode) -> Option<Inode>;

    /// A search left something out: it is to be counted.
    fn cut(&self);

    /// Whether `pid` descends from `from`.
    fn descends(&self, pid: Pid, from: Pid) -> bool;

    /// Who holds the socket, once it is known that somebody does.
    fn relay(&self, holder: &Files) -> Option<Relay>;

    /// Whether a process's program is a shell under another name. `operand`: the program that it, a dynamic loader, was
    /// given. With `wait` the answer may take a little time; without it is there or [`Behind::Late`].
    fn shell_behind(&self, look: &Look, operand: Option<&[u8]>, wait: bool) -> Behind;

    /// Which container a process is in, by what nobody in it can have chosen. With `wait` the answer may take a little
    /// time. Who knows of no containers says so.
    fn contained(&self, _look: &Look, _wait: bool) -> Contained {
        Contained::Untold
    }
}

/// Who knows the containers of the machine.
pub trait Containers: std::fmt::Debug + Send {
    /// As [`Host::contained`].
    fn contained(&self, look: &Look, wait: bool) -> Contained;
}
