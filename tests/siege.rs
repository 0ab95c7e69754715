//! The detector under attack: what an attacker does to be hidden among much else, or to make looking dear. Each is found,
//! in bounded time; what is not is counted, or is a limit that `docs/limits.md` names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

#[path = "siege/arguments.rs"]
mod arguments;
#[path = "siege/cgroups.rs"]
mod cgroups;
#[path = "siege/crowds.rs"]
mod crowds;
#[path = "siege/descriptors.rs"]
mod descriptors;
#[path = "siege/forks.rs"]
mod forks;
#[path = "siege/mounts.rs"]
mod mounts;
#[path = "siege/proc.rs"]
mod proc;
#[path = "siege/programs.rs"]
mod programs;
#[path = "siege/reuse.rs"]
mod reuse;
#[path = "siege/rings.rs"]
mod rings;
#[path = "siege/stopped.rs"]
mod stopped;
#[path = "siege/storms.rs"]
mod storms;
#[path = "siege/threads.rs"]
mod threads;

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::attacker::Listener;
use common::daemon::Daemon;
use common::finding::{CATEGORY, Finding};
use common::victim::Victim;

/// One test at a time: each takes the machine to a limit of its own, and would be another's storm.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a command with a connection to the attacker's port on fds 0-2; the connection's own port.
fn on_socket(attacker: u16, mut command: Command) -> (Victim, u16) {
    let stream = TcpStream::connect(("127.0.0.1", attacker)).unwrap();
    let stdio = || Stdio::from(OwnedFd::from(stream.try_clone().unwrap()));
    command.stdin(stdio()).stdout(stdio()).stderr(stdio());
    (Victim::spawn(command), stream.local_addr().unwrap().port())
}

/// `/bin/sh -c LINE`.
fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]);
    command
}

/// The finding of the connection that has this port on either side.
fn found(daemon: &Daemon, port: u16) -> Finding {
    daemon.wait_for(&format!("the finding of port {port}"), |record| is_of(record, port))
}

fn is_of(record: &Finding, port: u16) -> bool {
    record.category() == CATEGORY && [record.own_port(), record.peer_port()].contains(&Some(port))
}

/// A shell on a socket of its own is found: the daemon is there and is not behind.
fn still_finds(daemon: &Daemon) {
    let port = Listener::tcp().swallow();
    let (_victim, own) = on_socket(port, shell("read line"));
    assert_eq!(found(daemon, own).row(), 1);
}
