//! What the machine looks like now.
//!
//! Owns: the trait [`Host`] that the engine asks, and its two implementations: the live machine and a script for
//! tests. Must not own: deciding anything. Talks to: `/proc` and `sys`.

pub mod background;
pub mod characteristic;
pub mod finder;
pub mod link;
pub mod listener;
pub mod live;
pub mod lru;
pub mod net_table;
pub mod patience;
pub mod proc_dir;
pub mod program_file;
pub mod reader;
pub mod root;
pub mod root_shells;
pub mod scripted;
pub mod shells;
pub mod socket;
pub mod stat;

use crate::model::ids::{Pid, ProcessKey};
use crate::model::look::Look;
use crate::model::recognised::Behind;
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

    /// Whether a process's program is a shell under another name. `operand`: the program that it, a dynamic loader, was
    /// given. With `wait` the answer may take a little time; without it is there or [`Behind::Late`].
    fn shell_behind(&self, look: &Look, operand: Option<&[u8]>, wait: bool) -> Behind;
}
