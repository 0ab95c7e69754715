//! A burst of short commands on one socket: all counted, nearly all seen while they lived, and the spool not flooded.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use common::attacker::Listener;
use common::daemon::Daemon;
use common::programs::program;

/// Runs a storm on one socket; returns the record that ends its incident, and how many processes were counted as
/// vanished meanwhile.
fn storm(count: u64, width: u64, command: &[&str]) -> (common::finding::Finding, u64) {
    // One storm and one daemon at a time: two real-time threads would take the machine's two processors from each other.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let daemon = Daemon::start("");
    let port = Listener::tcp().swallow();
    let start = Instant::now();
    let output = Command::new(program("storm"))
        .args([&count.to_string(), &width.to_string(), &format!("127.0.0.1:{port}")])
        .args(command)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(&format!("started {count} failed 0")), "{output:?}");
    let found = daemon.wait_for("the burst's incident ends", |record| {
        record.peer_port() == Some(port) && record.state() == "INACTIVE"
    });
    let records = daemon.records().iter().filter(|record| record.id() == found.id()).count() as u64;
    let most = start.elapsed().as_secs() + 3;
    assert!(records <= most, "{records} records in {most} seconds: more than one a second");
    let findings = daemon.place().findings().iter().filter(|record| record.peer_port() == Some(port)).count();
    assert_eq!(findings, 1, "one socket, one finding");
    let vanished = daemon.lost("vanished");
    daemon.stop();
    (found, vanished)
}

/// What starts them has the socket on a high descriptor and is no part of the incident, so a command that has gone before
/// its first look cannot be told from any other; without holding it in execve it can only be counted as lost. None is
/// lost without being counted, and none is counted twice.
#[test]
fn a_thousand_id_eight_at_a_time() {
    require!("gcc");
    let (found, vanished) = storm(1000, 8, &["/usr/bin/id"]);
    assert!(found.count() <= 1000, "{}", found.brief());
    assert!(found.count() + vanished >= 1000, "{vanished} vanished: {}", found.brief());
    assert_eq!(found.row(), 1, "{}", found.brief());
    let alive = found.observed("live") + found.observed("held");
    let all: u64 = ["held", "live", "inherited", "swept"].iter().map(|how| found.observed(how)).sum();
    assert_eq!(all, found.count(), "{}", found.brief());
    assert!(alive >= 990, "only {alive} of 1000 were seen while they lived: {}", found.brief());
    assert!(found.processes().len() < 1000, "the timeline is capped");
}

/// The shortest program there is, two at a time: what cannot be read in time is still counted.
#[test]
fn a_thousand_true_two_at_a_time() {
    require!("gcc");
    let (found, vanished) = storm(1000, 2, &["/bin/true"]);
    let all: u64 = ["held", "live", "inherited", "swept"].iter().map(|how| found.observed(how)).sum();
    assert_eq!(all, found.count(), "{}", found.brief());
    assert!(found.count() >= 980, "{}", found.brief());
    assert!(found.count() + vanished >= 1000, "{vanished} vanished: {}", found.brief());
}
