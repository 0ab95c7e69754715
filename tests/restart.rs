//! The daemon's life: start, restart, reload, stop, and being refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use common::attacker::{Listener, Session};
use common::daemon::{Daemon, Place, copy_program};
use common::finding::{CATEGORY, Finding};
use common::programs::program;
use common::victim::Victim;
use common::{token, wait_for};
use nix::sys::signal::Signal;

/// A shell on a socket, and its attacker.
fn shell() -> (Session, Victim, u16) {
    let attacker = Listener::tcp();
    let port = attacker.port();
    let victim = Victim::start(program("attack"), &["dup", "127.0.0.1", &port.to_string(), "012", "/bin/sh"]);
    let mut session = attacker.accept();
    session.shell_pid();
    (session, victim, port)
}

fn about(port: u16) -> impl Fn(&Finding) -> bool {
    move |record| record.peer_port() == Some(port) && record.category() == CATEGORY
}

/// A tether that lives through the daemon's end keeps its finding's name, its count and its history.
fn keeps_its_name(end: fn(Daemon)) {
    let place = Place::new("");
    let daemon = Daemon::start_in(&place);
    let (mut session, mut victim, port) = shell();
    let (before, after) = (token(), token());
    session.run(&format!("/usr/bin/printf {before}"));
    let first =
        daemon.wait_for("the command before", |r| about(port)(r) && r.ran(&["/usr/bin/printf", &before]));
    end(daemon);

    let daemon = Daemon::start_in(&place);
    daemon.judged();
    session.run(&format!("/usr/bin/printf {after}"));
    let second =
        daemon.wait_for("the command after", |r| about(port)(r) && r.ran(&["/usr/bin/printf", &after]));
    assert_eq!(second.id(), first.id(), "the same live tether keeps its name");
    assert!(second.number("Sequence") > first.number("Sequence"));
    assert!(second.count() > first.count(), "{} then {}", first.brief(), second.brief());
    assert!(second.ran(&["/usr/bin/printf", &before]), "what ran before is still there: {}", second.brief());
    let shells = second.processes().iter().filter(|p| p["args"][0] == "/bin/sh").count();
    assert_eq!(shells, 1, "the shell is listed once: {}", second.brief());
    session.exit();
    victim.wait();
    daemon.wait_for("the end", |r| r.id() == first.id() && r.state() == "INACTIVE");
    let others = place.findings().into_iter().filter(about(port)).count();
    assert_eq!(others, 1, "one tether, one name");
    daemon.stop();
}

#[test]
fn a_tether_keeps_its_name_over_a_restart() {
    require!("gcc");
    keeps_its_name(Daemon::stop);
}

#[test]
fn a_tether_keeps_its_name_over_kill_9() {
    require!("gcc");
    keeps_its_name(Daemon::kill);
}

/// The shell ended while no daemon ran: the next one says so.
#[test]
fn a_tether_that_ended_meanwhile_is_closed() {
    require!("gcc");
    let place = Place::new("");
    let daemon = Daemon::start_in(&place);
    let (session, mut victim, port) = shell();
    let first = daemon.wait_for("the shell", about(port));
    daemon.kill();
    session.exit();
    victim.wait();
    let daemon = Daemon::start_in(&place);
    daemon.wait_for("the end", |r| r.id() == first.id() && r.state() == "INACTIVE");
    daemon.stop();
}

#[test]
fn a_second_instance_is_refused() {
    require!("gcc");
    let daemon = Daemon::start("");
    let second = daemon.place().command().output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(75), "{said}");
    assert!(said.contains(&daemon.pid().to_string()), "it names the holder: {said}");
    assert_eq!(said.lines().filter(|line| !line.is_empty()).count(), 1, "one sentence: {said}");
    // The first one is none the worse for it.
    daemon.judged();
    daemon.stop();
}

#[test]
fn without_privileges_it_says_what_is_missing() {
    require!("setpriv");
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let tetherd = directory.path().join("tetherd");
    copy_program(&tetherd);
    let config = directory.path().join("tetherd.toml");
    std::fs::write(&config, "[syslog]\nenabled = false\n").unwrap();
    std::fs::set_permissions(&config, PermissionsExt::from_mode(0o644)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set=-all", "--"])
        .arg(&tetherd)
        .args(["run", "--spool"])
        .arg(directory.path().join("spool"))
        .arg("--config")
        .arg(&config)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{said}");
    assert!(said.contains("CAP_") || said.contains("root"), "it says what is missing: {said}");
    assert_eq!(said.lines().filter(|line| !line.is_empty()).count(), 1, "one sentence: {said}");
}

#[test]
fn a_reload_takes_effect_and_a_bad_one_does_not() {
    require!("gcc");
    let daemon = Daemon::start("");
    let severity = || {
        let (session, mut victim, port) = shell();
        let found = daemon.wait_for("a shell", about(port));
        session.exit();
        victim.wait();
        found.severity().to_owned()
    };
    assert_eq!(severity(), "HIGH", "loopback lowers");

    daemon.place().configure("[incident]\nloopback_lowers = \"perhaps\"\n");
    daemon.signal(Signal::SIGHUP);
    wait_for("the daemon says what is wrong", || daemon.said().contains("loopback_lowers").then_some(()));
    assert_eq!(severity(), "HIGH", "the old configuration stays");

    daemon.place().configure("[incident]\nloopback_lowers = false\n");
    let before = daemon.said().len();
    daemon.signal(Signal::SIGHUP);
    wait_for("the daemon says that it has reloaded", || {
        daemon.said()[before..].contains("reload").then_some(())
    });
    assert_eq!(severity(), "CRITICAL", "the new configuration is in force");

    std::fs::write(daemon.place().path("rules.d/10-bad.toml"), "this is no rule\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    wait_for("the daemon names the bad file", || daemon.said().contains("10-bad.toml").then_some(()));
    assert_eq!(severity(), "CRITICAL", "the configuration before stays as a whole");
    daemon.stop();
}

/// Everything that was executed before SIGTERM is in the spool when the daemon has ended.
#[test]
fn sigterm_loses_nothing() {
    require!("gcc");
    const SHELLS: usize = 50;
    let daemon = Daemon::start("");
    let place = daemon.place().clone();
    let attacker = Listener::tcp();
    let shells: Vec<(Victim, u16)> = (0..SHELLS)
        .map(|_| {
            let stream = TcpStream::connect(("127.0.0.1", attacker.port())).unwrap();
            let own = stream.local_addr().unwrap().port();
            // It waits for a line: none ends before it can be seen.
            (Victim::on_socket(&stream, "/bin/sh", &["-c", "read line"]), own)
        })
        .collect();
    daemon.stop();
    let findings = place.findings();
    let found = |port: u16| findings.iter().any(|f| f.own_port() == Some(port));
    let missing = shells.iter().filter(|(_, port)| !found(*port)).count();
    assert_eq!(missing, 0, "of {SHELLS} shells that were there before SIGTERM");
}
