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

use std::process::Command;

use common::alone;
use common::attacker::Listener;
use common::daemon::Daemon;
use common::finding::{CATEGORY, Finding};
use common::victim::on_socket;

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
