//! One descriptor at a time: which of fds 0-2 makes which row.

use std::process::{Command, Stdio};

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::expected::Expected;
use crate::common::finding::{CATEGORY, Finding};
use crate::common::notes::note;
use crate::common::programs::program;
use crate::common::token;
use crate::common::victim::Victim;
use crate::require;

/// Runs a command with the socket on the descriptors named by `fds`, the others on /dev/null.
fn on(attacker: &Listener, way: &str, fds: &str, command: &[&str]) -> Victim {
    let port = attacker.port().to_string();
    let mut start = Command::new(program("attack"));
    start.args([way, "127.0.0.1", &port, fds]).args(command);
    start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Victim::spawn(start)
}

fn finding(attacker: &Listener, row: u64) -> Finding {
    let what = format!("row {row} to port {}", attacker.port());
    Daemon::shared()
        .wait_for(&what, |record| record.peer_port() == Some(attacker.port()) && record.row() == row)
}

fn none(attacker: &Listener) {
    let daemon = Daemon::shared();
    daemon.judged();
    let found = daemon.records().into_iter().find(|record| record.peer_port() == Some(attacker.port()));
    assert!(found.is_none(), "{}", found.unwrap().brief());
}

/// Row 2: a shell that reads its commands from a socket, its output elsewhere.
fn reads_commands(way: &str) {
    let (attacker, directory) = (Listener::tcp(), tempfile::tempdir().unwrap());
    let mut victim = on(&attacker, way, "0", &["/bin/sh"]);
    let mut session = attacker.accept();
    let told = directory.path().join("pid");
    session.send(&format!("echo $$ >{}.part; mv {0}.part {0}\n", told.display()));
    let pid =
        crate::common::wait_for("the shell did what it was told", || std::fs::read_to_string(&told).ok());
    let expected =
        Expected { row: 2, severity: "MEDIUM", args: &["/bin/sh"], fds: &[0], ..Expected::default() };
    let (here, there) = (session.victim(), session.attacker());
    let found = expected.find(Daemon::shared(), here, there, pid.trim().parse().unwrap());
    session.exit();
    victim.wait();
    Daemon::shared()
        .wait_for("the end", |r| r.id() == found.id() && r.state() == "INACTIVE" && r.count() >= 2);
}

#[test]
fn stdin_only_of_a_shell_is_row_2() {
    require!("gcc");
    Daemon::shared();
    reads_commands("dup");
}

/// No copy of a descriptor is ever made: the new socket takes the number that was closed.
#[test]
fn close_and_reopen_is_row_2() {
    require!("gcc");
    Daemon::shared();
    reads_commands("reopen");
}

#[test]
fn stdin_only_of_another_command_is_none() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let mut victim = on(&attacker, "dup", "0", &["cat"]);
    let mut session = attacker.accept();
    session.send("nothing to see\n");
    drop(session);
    assert!(victim.wait().success());
    none(&attacker);
}

#[test]
fn stdin_only_of_a_shell_with_a_script_is_none() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let mut victim = on(&attacker, "dup", "0", &["/bin/sh", "-c", ":"]);
    let _session = attacker.accept();
    assert!(victim.wait().success());
    none(&attacker);
}

#[test]
fn stdout_only_once_is_none() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let mut victim = on(&attacker, "dup", "1", &["date"]);
    let mut session = attacker.accept();
    assert!(victim.wait().success());
    assert!(session.rest().contains("20"), "a date came");
    none(&attacker);
}

#[test]
fn stdout_and_stderr_are_row_3() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let mut victim = on(&attacker, "dup", "12", &["/usr/bin/id", "-u"]);
    let mut session = attacker.accept();
    assert!(victim.wait().success());
    assert_eq!(session.rest(), "0\n");
    let found = finding(&attacker, 3);
    assert_eq!(found.severity(), "MEDIUM", "{}", found.brief());
    assert_eq!(found.numbers("Socket_Fds"), [1, 2], "{}", found.brief());
    assert!(found.ran(&["/usr/bin/id", "-u"]), "{}", found.brief());
    assert_eq!(found.count(), 1, "{}", found.brief());
}

#[test]
fn stdin_with_either_output_is_row_1() {
    require!("gcc");
    Daemon::shared();
    for (fds, numbers) in [("01", [0, 1]), ("02", [0, 2])] {
        let attacker = Listener::tcp();
        let mut victim = on(&attacker, "dup", fds, &["/bin/sh"]);
        let mut session = attacker.accept();
        session.send("exit\n");
        victim.wait();
        let found = finding(&attacker, 1);
        assert_eq!(found.severity(), "HIGH", "{}", found.brief());
        assert_eq!(found.numbers("Socket_Fds"), numbers, "{}", found.brief());
    }
}

/// Row 7: a program that nobody watches, both ways.
#[test]
fn another_program_both_ways_is_row_7() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let unknown = program("herd");
    let mut victim = on(&attacker, "dup", "012", &[unknown.to_str().unwrap(), "0"]);
    let mut session = attacker.accept();
    session.hear("ready");
    let found = finding(&attacker, 7);
    assert_eq!(found.severity(), "LOW", "{}", found.brief());
    assert_eq!(found.text("Process_Binary_Fullpath"), unknown.to_str().unwrap(), "{}", found.brief());
    drop(session);
    victim.wait();
}

/// Row 8: a second, different command writes to the same socket.
#[test]
fn stdout_only_of_two_commands_is_row_8() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let token = token();
    // The shell's own stdin is a file: it does not read its commands from the socket.
    let line = format!("/usr/bin/id -u; /usr/bin/printf {token}");
    let mut victim = on(&attacker, "dup", "1", &["/bin/sh", "-c", &line]);
    let mut session = attacker.accept();
    victim.wait();
    assert_eq!(session.rest(), format!("0\n{token}"));
    let found = finding(&attacker, 8);
    assert_eq!(found.category(), CATEGORY);
    assert_eq!(found.severity(), "LOW", "{}", found.brief());
    assert_eq!(found.numbers("Socket_Fds"), [1], "{}", found.brief());
}

/// A shell with its commands in a file, and the socket as its stdout alone.
#[test]
fn stdout_only_with_commands_from_a_file() {
    require!("gcc");
    Daemon::shared();
    let (attacker, directory, token) = (Listener::tcp(), tempfile::tempdir().unwrap(), token());
    let file = directory.path().join("commands");
    std::fs::write(&file, format!("/usr/bin/id -u\n/usr/bin/printf {token}\n")).unwrap();
    let mut start = Command::new(program("attack"));
    start.args(["dup", "127.0.0.1", &attacker.port().to_string(), "1", "/bin/sh"]);
    start.stdin(std::fs::File::open(&file).unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut victim = Victim::spawn(start);
    let mut session = attacker.accept();
    victim.wait();
    assert_eq!(session.rest(), format!("0\n{token}"));
    let found = finding(&attacker, 8);
    note(Daemon::shared(), &found);
    assert_eq!(found.severity(), "LOW", "{}", found.brief());
    assert_eq!(found.numbers("Socket_Fds"), [1], "{}", found.brief());
}
