//! What an attacker chooses: arguments, names, descriptors, files, and how fast it all goes. The daemon lives on,
//! reports what it can, and stays small.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::process::Command;

use common::attacker::Listener;
use common::daemon::{Daemon, lives};
use common::finding::{CATEGORY, Finding, arguments_of};
use common::hungfs::HungFs;
use common::programs::program;
use common::victim::{Victim, on_socket};
use common::{alone, wait_for};

/// The longest line that a spool may have: forwarders stop at 32 KiB.
const LINE_MAX: usize = 30_000;

/// The shared daemon, where it can run.
fn require_daemon() -> Option<&'static Daemon> {
    if !common::is_root() {
        common::skip("root");
        return None;
    }
    Some(Daemon::shared())
}

/// The finding of that connection.
fn found(daemon: &Daemon, port: u16) -> Finding {
    let record = daemon.wait_for(&format!("the finding of port {port}"), |record| {
        record.own_port() == Some(port) && record.category() == CATEGORY
    });
    assert_eq!(record.row(), 1, "{}", record.brief());
    record
}

/// No line of the spool is longer than a forwarder takes, and none has a raw control character.
fn lines_are_fit(daemon: &Daemon) {
    for entry in std::fs::read_dir(daemon.place().spool()).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with("findings-") {
            continue;
        }
        for line in std::fs::read(entry.path()).unwrap().split(|&b| b == b'\n') {
            assert!(line.len() <= LINE_MAX, "a line of {} bytes", line.len());
            assert!(std::str::from_utf8(line).is_ok_and(|text| !text.chars().any(char::is_control)));
        }
    }
}

#[test]
fn a_million_bytes_of_arguments() {
    let _alone = alone();
    let Some(daemon) = require_daemon() else { return };
    let attacker = Listener::tcp().swallow();
    let long = "A".repeat(125_000);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "sleep 0.3"]).args(std::iter::repeat_n(&long, 8)).env_clear();
    let (mut victim, port) = on_socket(attacker, command);
    assert!(victim.wait().success());
    let record = found(daemon, port);
    let process = &record.processes()[0];
    assert_eq!(arguments_of(process)[..2], ["/bin/sh", "-c"], "{}", process);
    assert_eq!(process["argumentsTruncated"], true);
    // The same with a hundred thousand short ones.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "sleep 0.3"]).args(std::iter::repeat_n("x", 100_000)).env_clear();
    let (mut victim, port) = on_socket(attacker, command);
    assert!(victim.wait().success());
    assert_eq!(found(daemon, port).processes()[0]["argumentsTruncated"], true);
    lines_are_fit(daemon);
}

#[test]
fn arguments_that_are_no_text() {
    let _alone = alone();
    let Some(daemon) = require_daemon() else { return };
    let attacker = Listener::tcp().swallow();
    let hostile: &[&[u8]] = &[
        b"\xff\xfe\x80broken",
        b"\x1b]0;owned\x07\x1b[2J",
        b"line\nbreak\r\n{\"finding\":{}}\n",
        "\u{202e}gnp.exe\u{2028}".as_bytes(),
        b"",
        b"'\"\\`$(id)",
    ];
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "sleep 0.3"]).args(hostile.iter().map(|bytes| OsStr::from_bytes(bytes)));
    let (mut victim, port) = on_socket(attacker, command);
    assert!(victim.wait().success());
    let record = found(daemon, port);
    let shown: Vec<_> = hostile.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect();
    assert_eq!(arguments_of(&record.processes()[0])[3..], shown, "after sh, -c and the line");
    assert!(
        !record.text("Process_Arguments_Base64").is_empty()
            || record.property("Process_Arguments_Base64").is_array()
    );
    lines_are_fit(daemon);
}

/// A name is what the attacker called the file: the fields of /proc/PID/stat must not be taken out of it.
#[test]
fn names_with_parentheses_and_newlines() {
    let _alone = alone();
    let Some(daemon) = require_daemon() else { return };
    let attacker = Listener::tcp().swallow();
    let directory = tempfile::tempdir().unwrap();
    for name in [&b") R 1 2 3 ("[..], b"a\nb) S 1", b"((((", b"\x1b[31mred", b"\xff\xfe", b" ", b"sh -c '"] {
        let program = directory.path().join(OsString::from_vec(name.to_vec()));
        symlink("/bin/sh", &program).unwrap();
        let mut command = Command::new(&program);
        command.args(["-c", "sleep 0.3"]);
        let (mut victim, port) = on_socket(attacker, command);
        let pid = victim.pid();
        assert!(victim.wait().success());
        let record = found(daemon, port);
        let process = record.process(pid).unwrap_or_else(|| panic!("{name:?}: {}", record.brief()));
        assert_eq!(process["name"], String::from_utf8_lossy(name).as_ref(), "{name:?}");
        assert_eq!(process["parentPid"], std::process::id().to_string(), "{name:?}: stat was misread");
        assert_eq!(process["binary"]["path"], std::fs::canonicalize("/bin/sh").unwrap().to_str().unwrap());
    }
    lines_are_fit(daemon);
}

/// The parent's name is the attacker's as well.
#[test]
fn a_parent_with_a_hostile_name() {
    let _alone = alone();
    require!("gcc");
    let daemon = Daemon::shared();
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let name = ") Z 1\n(x";
    let arguments = ["parent-name", "127.0.0.1", &port, name, "/bin/sh", "-c", ":"];
    let mut victim = Victim::start(program("attack"), &arguments);
    let parent = victim.pid().to_string();
    victim.wait();
    let record = daemon.wait_for("the shell of that parent", |r| r.peer_port() == Some(attacker.port()));
    assert_eq!(record.processes()[0]["parentPid"], parent.as_str(), "{}", record.brief());
    lines_are_fit(daemon);
}

#[test]
fn a_hundred_thousand_descriptors() {
    let _alone = alone();
    require!("gcc");
    let daemon = Daemon::shared();
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let victim = Victim::start(program("attack"), &["files", "127.0.0.1", &port, "100000", "/bin/sh"]);
    let mut session = attacker.accept();
    let shell = session.shell_pid();
    let open = std::fs::read_dir(format!("/proc/{shell}/fd")).unwrap().count();
    if open < 100_000 {
        common::impossible(&format!("this machine lets root open {open} files only; tried with those"));
    }
    let record = daemon.wait_for("the shell", |r| r.peer_port() == Some(attacker.port()));
    assert!(record.process(shell).is_some(), "{}", record.brief());
    // Each child has them all too.
    session.run("/bin/true; /bin/true; /bin/true");
    let next = Listener::tcp().swallow();
    let mut waits = Command::new("/bin/sh");
    waits.args(["-c", "read line"]);
    let (_next, own) = on_socket(next, waits);
    found(daemon, own);
    session.exit();
    drop(victim);
}

/// Four storms of programs that end at once: the daemon lives, a tether in the middle of it is found, and everything
/// that was not seen is counted.
#[test]
fn storms_of_vanishing_programs() {
    let _alone = alone();
    require!("gcc");
    let daemon = Daemon::start("");
    let attacker = Listener::tcp().swallow();
    let before = daemon.memory_kib("VmRSS");
    let swallow = Listener::tcp().swallow();
    let storms: Vec<Victim> = (0..4)
        .map(|n| {
            let to = if n == 0 { format!("127.0.0.1:{swallow}") } else { "-".to_owned() };
            Victim::start(program("storm"), &["2000", "4", &to, "/bin/true"])
        })
        .collect();
    for _ in 0..10 {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "read line"]);
        let (_victim, port) = on_socket(attacker, command);
        found(&daemon, port);
    }
    for mut storm in storms {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(120);
        while storm.ended().is_none() {
            assert!(std::time::Instant::now() < end, "the storm does not end");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    daemon.judged();
    let after = daemon.memory_kib("VmHWM");
    assert!(after < before + 32 * 1024, "memory went from {before} to {after} KiB");
    daemon.stop();
}

/// The process is killed at every moment of its short life.
#[test]
fn processes_killed_while_they_are_read() {
    let _alone = alone();
    let Some(daemon) = require_daemon() else { return };
    let attacker = Listener::tcp().swallow();
    for delay in 0..200u64 {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "while :; do :; done"]);
        let (victim, _) = on_socket(attacker, command);
        std::thread::sleep(std::time::Duration::from_micros(delay * 10));
        drop(victim);
    }
    daemon.judged();
    assert!(lives(daemon.pid()));
}

/// The shell's program is on a filesystem that never answers the daemon. Neither the sensor nor the engine may wait
/// for it: other tethers are found as quickly as ever, and in the end this one is too.
#[test]
fn a_program_on_a_hung_filesystem() {
    let _alone = alone();
    require!("gcc", "busybox");
    // It hangs for this daemon alone, not for those of other tests.
    let daemon = Daemon::start_as("tetherd-hung");
    let Some(filesystem) = HungFs::mount("tetherd-hung") else {
        return common::impossible("FUSE cannot be mounted");
    };

    let attacker = Listener::tcp();
    let mut command = Command::new(filesystem.shell());
    // argv[0] says which applet busybox is.
    std::os::unix::process::CommandExt::arg0(&mut command, "sh");
    let (victim, hung) = on_socket(attacker.port(), command);
    let mut session = attacker.accept();
    session.shell_pid();

    for _ in 0..5 {
        let start = std::time::Instant::now();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 0.3"]);
        let other = Listener::tcp().swallow();
        let (mut other_victim, port) = on_socket(other, command);
        other_victim.wait();
        found(&daemon, port);
        assert!(start.elapsed().as_secs() < 5, "the sensor waited for the hung filesystem");
    }
    assert!(filesystem.was_asked(), "the daemon asked the filesystem, or this shows nothing");
    let record = daemon.wait_for("the shell on the hung filesystem", |r| r.own_port() == Some(hung));
    assert!(record.process(victim.pid()).is_some(), "{}", record.brief());
    assert!(record.ran(&["sh"]), "{}", record.brief());

    session.exit();
    drop(victim);
    drop(filesystem);
    daemon.stop();
}

/// Five hundred tethers at one time: every one is a finding, none suppressed, and the memory is bounded. They wait for
/// a line, so that none ends before it can be read: how many of those are missed is what the burst tests measure.
#[test]
fn five_hundred_tethers() {
    let _alone = alone();
    let Some(_) = require_daemon() else { return };
    const TETHERS: usize = 500;
    let daemon = Daemon::start("");
    let attacker = Listener::tcp();
    let mut tethers: Vec<_> = (0..TETHERS)
        .map(|_| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "read line"]);
            let (victim, port) = on_socket(attacker.port(), command);
            (victim, port, attacker.accept())
        })
        .collect();
    daemon.judged();
    let own = |f: &Finding| tethers.iter().any(|(_, port, _)| f.own_port() == Some(*port));
    let findings = daemon.place().findings();
    assert_eq!(findings.iter().filter(|f| own(f) && f.state() == "ACTIVE").count(), TETHERS);
    assert!(findings.iter().filter(|f| own(f)).all(|f| f.row() == 1 && f.severity() == "HIGH"));
    let before = daemon.memory_kib("VmHWM");
    assert!(before < 64 * 1024, "{before} KiB");

    let ports: Vec<u16> = tethers.iter().map(|(_, port, _)| *port).collect();
    for (victim, _, session) in &mut tethers {
        session.send("end\n");
        victim.wait();
    }
    wait_for("all of them end", || {
        let ended =
            |f: &Finding| f.state() == "INACTIVE" && f.own_port().is_some_and(|port| ports.contains(&port));
        (daemon.place().findings().iter().filter(|f| ended(f)).count() == TETHERS).then_some(())
    });
    daemon.stop();
}
