//! What the machine looks like now.
//!
//! Owns: the trait [`Host`] that the engine asks, and its two implementations: the live machine and a script for
//! tests. Must not own: deciding anything. Talks to: `/proc` and `sys`.

pub mod exec_args;
pub mod link;
pub mod listener;
pub mod live;
pub mod mounts;
pub mod net_table;
pub mod proc_dir;
pub mod reader;
pub mod scripted;
pub mod socket;
pub mod stat;

use crate::model::ids::{Pid, ProcessKey};
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
}
