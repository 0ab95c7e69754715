//! Shells that were there before the daemon.

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::expected::{Expected, prove_session};
use crate::common::programs::program;
use crate::common::victim::Victim;
use crate::require;

#[test]
fn a_shell_from_before_the_start() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let victim = Victim::start(program("attack"), &["dup", "127.0.0.1", &port, "012", "/bin/sh"]);
    let mut session = attacker.accept();
    session.shell_pid();
    let daemon = Daemon::start("");
    let expected = Expected { args: &["/bin/sh"], seen: "swept", ..Expected::default() };
    let found = prove_session(&daemon, session, victim, &expected);
    assert!(found.observed("swept") >= 1, "{}", found.brief());
    daemon.stop();
}

/// It moved its descriptors after its exec and has started nothing: only a sweep can see it.
#[test]
fn a_late_mover_that_starts_nothing() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let victim = Victim::start(program("attack"), &["late", "127.0.0.1", &port, "-", "-"]);
    let session = attacker.accept();
    let daemon = Daemon::start("");
    let found = daemon.wait_for("the sweep finds it", |record| record.peer_port() == Some(attacker.port()));
    // No shell and nothing watched: row 7.
    assert_eq!(found.row(), 7, "{}", found.brief());
    assert_eq!(found.text("Observation"), "swept", "{}", found.brief());
    assert_eq!(found.processes()[0]["pid"], victim.pid().to_string(), "{}", found.brief());
    drop((session, victim));
    daemon.stop();
}
