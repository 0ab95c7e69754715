//! The table of findings (DESIGN 4) for direct tethers: a pure function.
//!
//! Owns: which row a process meets by what its fds 0-2 are and what it runs. Must not own: what other processes did
//! (row 8's second command, row 10), allow rules, the peer's scope.

use std::sync::Arc;

use crate::engine::program::Program;
use crate::model::detection::Row;
use crate::model::look::Look;
use crate::model::socket::Socket;
use crate::model::stdio::{Backing, Hop, Tether, TetherKind};

/// What one look amounts to by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// No network socket on fds 0-2.
    Nothing,
    /// Row 8: one way only. Worth remembering, by socket.
    OneWay(Arc<Socket>),
    /// A row is met.
    Met(Row, Arc<Socket>),
}

/// Judges one look.
pub fn judge(look: &Look, program: &Program) -> Verdict {
    let [stdin, stdout, stderr] = look.stdio.each_ref().map(Backing::network);
    match (stdin, stdout.or(stderr)) {
        (None, None) => Verdict::Nothing,
        (Some(socket), Some(_)) if program.is_watched() => Verdict::Met(Row::WatchedBothWays, socket.clone()),
        (Some(socket), Some(_)) => Verdict::Met(Row::OtherBothWays, socket.clone()),
        (Some(socket), None) if program.reads_commands() => {
            Verdict::Met(Row::ShellReadsSocket, socket.clone())
        }
        (Some(socket), None) => Verdict::OneWay(socket.clone()),
        (None, Some(socket)) => match (stdout, stderr) {
            (Some(out), Some(err)) if out.inode == err.inode && program.is_watched() => {
                Verdict::Met(Row::WatchedOutput, out.clone())
            }
            _ => Verdict::OneWay(socket.clone()),
        },
    }
}

/// The tether of a process that has the socket itself.
pub fn direct_tether(look: &Look, socket: &Arc<Socket>) -> Tether {
    let fds = look.stdio.each_ref().map(|backing| backing.network().is_some_and(|s| s.inode == socket.inode));
    let numbers = (0u32..).zip(fds).filter_map(|(number, tied)| tied.then_some(number)).collect();
    let hop = Hop {
        process: look.key,
        comm: look.comm.clone(),
        fds: numbers,
        backing: Backing::Network(socket.clone()),
    };
    Tether { kind: TetherKind::Direct, hops: vec![hop], socket: socket.clone(), fds }
}
