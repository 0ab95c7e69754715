//! Those above a command at the moment of its exec.
//!
//! Owns: the type. Must not own: reading it (`host::lineage`), what follows from it (`engine::resolve`). A command that
//! prints one line lives for a millisecond, and the shell between it and the program that wanted to know for not much
//! longer: what is to be known of them has to be noted while they live.

use std::sync::Arc;

use super::ids::Inode;
use super::relay::{Files, Relay};

/// The parents of a command, and what the nearest was doing.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    /// Nearest first. Without open files, unless the command waited while these were read.
    pub line: Vec<Arc<Files>>,
    /// The descriptor that the nearest was reading from, where that is the command's output: it runs commands to know
    /// what they print.
    pub reads: Option<u32>,
    /// UNIX sockets on the command's own descriptors, each with its peer.
    pub peers: Vec<(Inode, Inode)>,
    /// The last of the line, where it holds a network socket and the command waited while it was read.
    pub relay: Option<Arc<Relay>>,
}
