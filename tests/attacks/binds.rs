//! Bind shells: the victim listens, the attacker dials.

use std::process::{Command, Stdio};

use crate::common::attacker::{Session, chosen_port};
use crate::common::daemon::Daemon;
use crate::common::expected::{Expected, prove_session};
use crate::common::notes::note;
use crate::common::programs::program;
use crate::common::victim::Victim;
use crate::require;

fn inbound(args: &'static [&'static str]) -> Expected<'static> {
    Expected { args, direction: "inbound", ..Expected::default() }
}

/// The program prints "listening" when it does, and runs the shell once.
#[test]
fn accept_fills_the_closed_stdin() {
    require!("gcc");
    Daemon::shared();
    let port = chosen_port();
    let mut command = Command::new(program("attack"));
    command.args(["accept", "127.0.0.1", &port.to_string(), "-", "/bin/sh"]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let victim = Victim::ready(command, "listening");
    let session = Session::dial("127.0.0.1", port);
    // fd 2 stays /dev/null: accept gave 0, a copy of it is 1.
    let expected = Expected { fds: &[0, 1], ..inbound(&["/bin/sh"]) };
    prove_session(Daemon::shared(), session, victim, &expected);
}

#[test]
fn accept_on_ipv6() {
    require!("gcc");
    Daemon::shared();
    let port = chosen_port();
    let mut command = Command::new(program("attack"));
    command.args(["accept", "::1", &port.to_string(), "-", "/bin/sh", "-s"]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let victim = Victim::ready(command, "listening");
    let session = Session::dial("::1", port);
    let expected = Expected { fds: &[0, 1], protocol: "TCPv6", ..inbound(&["/bin/sh", "-s"]) };
    prove_session(Daemon::shared(), session, victim, &expected);
}

/// A listener on every address takes IPv4 callers on an IPv6 socket: shown as what they are.
#[test]
fn accept_of_an_ipv4_caller_on_an_ipv6_listener() {
    require!("gcc");
    Daemon::shared();
    let port = chosen_port();
    let mut command = Command::new(program("attack"));
    command.args(["accept", "::", &port.to_string(), "-", "/bin/sh"]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let victim = Victim::ready(command, "listening");
    let session = Session::dial("127.0.0.1", port);
    let expected = Expected { fds: &[0, 1], protocol: "TCPv6", ..inbound(&["/bin/sh"]) };
    prove_session(Daemon::shared(), session, victim, &expected);
}

/// netcat closes its listener before it runs the shell: inbound all the same.
#[test]
fn netcat_traditional_listens_and_executes() {
    require!("nc.traditional");
    Daemon::shared();
    let port = chosen_port();
    let mut command = Command::new("nc.traditional");
    command.args(["-l", "-p", &port.to_string(), "-s", "127.0.0.1", "-e", "/bin/sh"]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let victim = Victim::spawn(command);
    let session = Session::dial("127.0.0.1", port);
    let expected = Expected { fds: &[0, 1], ..inbound(&["sh"]) };
    prove_session(Daemon::shared(), session, victim, &expected);
}

#[test]
fn socat_listens_and_hands_the_socket_over() {
    require!("socat");
    Daemon::shared();
    let port = chosen_port();
    let from = format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr");
    let victim = Victim::start("socat", &[&from, "EXEC:sh,nofork,stderr"]);
    let session = Session::dial("127.0.0.1", port);
    prove_session(Daemon::shared(), session, victim, &inbound(&["sh"]));
}

#[test]
fn busybox_netcat_listens_and_executes() {
    require!("busybox");
    Daemon::shared();
    let port = chosen_port();
    let victim = Victim::start("busybox", &["nc", "-l", "-p", &port.to_string(), "-e", "/bin/sh"]);
    let session = Session::dial("127.0.0.1", port);
    // Debian's busybox listens on every address, of IPv6 where there is one.
    let daemon = Daemon::shared();
    let found = {
        let expected = Expected { protocol: "TCPv6", fds: &[0, 1], ..inbound(&["/bin/sh"]) };
        prove_session(daemon, session, victim, &expected)
    };
    assert_eq!(found.own_port(), Some(port));
}

/// A shell that inetd runs, as a line in its configuration says.
#[test]
fn inetd_runs_a_shell() {
    require!("inetd");
    Daemon::shared();
    let port = chosen_port();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("inetd.conf");
    std::fs::write(&config, format!("127.0.0.1:{port} stream tcp nowait root /bin/sh sh -i\n")).unwrap();
    let mut victim = Victim::start("inetd", &["-i", config.to_str().unwrap()]);
    let mut session = Session::dial("127.0.0.1", port);
    let shell = session.shell_pid();
    let expected = inbound(&["sh", "-i"]);
    let found = expected.find(Daemon::shared(), session.victim(), session.attacker(), shell);
    note(Daemon::shared(), &found);
    assert!(
        found.text("Parent_Binary_Fullpath").ends_with("/inetd"),
        "{}",
        found.text("Parent_Binary_Fullpath")
    );
    session.exit();
    assert!(victim.ended().is_none(), "inetd goes on");
}

/// systemd starts a shell for each caller, with the connection in the place of its terminal.
#[test]
fn socket_activation_runs_a_shell() {
    require!("systemd-socket-activate");
    Daemon::shared();
    let port = chosen_port();
    let mut command = Command::new("systemd-socket-activate");
    command.args(["--inetd", "--accept", "-l", &format!("127.0.0.1:{port}"), "/bin/sh"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let victim = Victim::spawn(command);
    let mut session = Session::dial("127.0.0.1", port);
    let shell = session.shell_pid();
    let expected = Expected { fds: &[0, 1], ..inbound(&["/bin/sh"]) };
    let found = expected.find(Daemon::shared(), session.victim(), session.attacker(), shell);
    note(Daemon::shared(), &found);
    session.exit();
    drop(victim);
}
