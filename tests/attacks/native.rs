//! Reverse shells of programs made for it: every way in which a socket can come onto fds 0-2.

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::expected::{Expected, prove, prove_session};
use crate::common::finding::CATEGORY;
use crate::common::programs::program;
use crate::common::victim::Victim;
use crate::common::{impossible, token};
use crate::require;

/// What the attack program says when the kernel lacks something.
const UNSUPPORTED: i32 = 77;

/// Lets the attack program connect in one way; `None` where the kernel cannot.
fn attack(listener: &Listener, way: &str, host: &str, extra: &str, command: &[&str]) -> Option<Victim> {
    let port = listener.port().to_string();
    let arguments = [&[way, host, &port, extra], command].concat();
    let mut victim = Victim::start(program("attack"), &arguments);
    // The connection is there before the command is; so one of the two comes first.
    crate::common::wait_for("a connection, or a program that says it cannot", || match victim.ended() {
        Some(status) if status.code() == Some(UNSUPPORTED) => Some(None),
        Some(status) if !status.success() => panic!("the attack program failed: {status}"),
        _ => listener.waiting().then_some(Some(())),
    })
    .map(|()| victim)
}

#[test]
fn c_connect_dup2_exec() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let victim = attack(&attacker, "dup", "127.0.0.1", "012", &["/bin/sh", "-i"]).unwrap();
    let found = prove(
        Daemon::shared(),
        &attacker,
        victim,
        &Expected { args: &["/bin/sh", "-i"], ..Expected::default() },
    );
    // What only one attack needs to show: where it ran, who it was, and the file's digest.
    let daemon = Daemon::shared();
    let digest = sha256("/bin/sh");
    daemon.wait_for("the shell's digest", |record| {
        record.id() == found.id()
            && record.processes().iter().any(|p| p["binary"]["sha256"] == digest.as_str())
    });
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(found.text("Boot_Id"), boot_id.trim());
    assert_eq!(found.text("Process_User_Name"), "root");
    let here = std::env::current_dir().unwrap();
    assert_eq!(found.text("Process_Working_Directory"), here.to_str().unwrap());
    assert!(!found.text("VM_Instance_Name").is_empty());
    assert_eq!(found.text("Schema_Version"), "1");
    assert!(found.number("Sequence") > 0);
}

fn sha256(path: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(std::fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn ipv4_mapped_ipv6_shows_as_ipv4() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let victim = attack(&attacker, "dup", "::ffff:127.0.0.1", "012", &["/bin/sh"]).unwrap();
    let expected = Expected { args: &["/bin/sh"], protocol: "TCPv6", ..Expected::default() };
    prove(Daemon::shared(), &attacker, victim, &expected);
}

#[test]
fn mptcp() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let Some(victim) = attack(&attacker, "mptcp", "127.0.0.1", "-", &["/bin/sh"]) else {
        return impossible("no MPTCP in this kernel");
    };
    let session = attacker.accept();
    let wire = Some("TCP");
    let expected = Expected { args: &["/bin/sh"], protocol: "MPTCP", wire, ..Expected::default() };
    prove_session(Daemon::shared(), session, victim, &expected);
}

#[test]
fn io_uring_makes_and_connects_the_socket() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let Some(victim) = attack(&attacker, "uring", "127.0.0.1", "-", &["/bin/sh"]) else {
        return impossible("this kernel lets nobody use io_uring for sockets");
    };
    prove(Daemon::shared(), &attacker, victim, &Expected { args: &["/bin/sh"], ..Expected::default() });
}

#[test]
fn scm_rights_brings_the_socket() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let victim = attack(&attacker, "scm", "127.0.0.1", "-", &["/bin/sh"]).unwrap();
    prove(Daemon::shared(), &attacker, victim, &Expected { args: &["/bin/sh"], ..Expected::default() });
}

#[test]
fn double_fork_and_setsid() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let victim = attack(&attacker, "setsid", "127.0.0.1", "-", &["/bin/sh"]).unwrap();
    prove(Daemon::shared(), &attacker, victim, &Expected { args: &["/bin/sh"], ..Expected::default() });
}

#[test]
fn two_sockets_one_a_direction() {
    require!("gcc");
    Daemon::shared();
    let (commands, output) = (Listener::tcp(), Listener::tcp());
    let victim = attack(&commands, "two", "127.0.0.1", &output.port().to_string(), &["/bin/sh"]);
    let (mut to, mut from) = (commands.accept(), output.accept());
    to.send("echo it''works\nexit\n");
    from.hear("itworks");
    victim.unwrap().wait();
    let found = Daemon::shared().wait_for("commands on one socket, output on the other", |record| {
        record.peer_port() == Some(commands.port()) && record.row() == 1
    });
    assert_eq!(found.severity(), "HIGH", "{}", found.brief());
    assert!(found.ran(&["/bin/sh"]), "{}", found.brief());
}

/// Families whose sockets need no connection to be a way off this machine: a socket that is not connected yet is one.
#[test]
fn vsock_and_packet_sockets_are_network_sockets() {
    require!("gcc");
    Daemon::shared();
    for (family, protocol) in [(nix::libc::AF_VSOCK, "VSOCK"), (nix::libc::AF_PACKET, "PACKET")] {
        let token = token();
        let line = format!(": {token}");
        let command =
            ["family", "127.0.0.1", "0", &family.to_string(), "/bin/sh", "-c", &line].map(String::from);
        let arguments: Vec<_> = command.iter().map(String::as_str).collect();
        let status = Victim::start(program("attack"), &arguments).wait();
        if status.code() == Some(UNSUPPORTED) {
            impossible(&format!("no {protocol} sockets in this kernel"));
            continue;
        }
        assert!(status.success(), "{protocol}: {status}");
        let found = Daemon::shared().wait_for(protocol, |record| {
            record.category() == CATEGORY && record.ran(&["/bin/sh", "-c", &line])
        });
        assert_eq!(found.row(), 1, "{}", found.brief());
        assert_eq!(found.text("Socket_Protocol"), protocol, "{}", found.brief());
        assert_eq!(found.severity(), "CRITICAL", "nothing says that it is local: {}", found.brief());
        assert_eq!(found.numbers("Socket_Fds"), [0, 1, 2], "{}", found.brief());
    }
}

/// A UNIX socket is none, however it is connected.
#[test]
fn unix_sockets_are_not_network_sockets() {
    require!("gcc");
    Daemon::shared();
    let token = token();
    let line = format!(": {token}");
    let family = nix::libc::AF_UNIX.to_string();
    let status =
        Victim::start(program("attack"), &["family", "127.0.0.1", "0", &family, "/bin/sh", "-c", &line])
            .wait();
    assert!(status.success(), "{status}");
    let daemon = Daemon::shared();
    daemon.judged();
    assert!(!daemon.records().iter().any(|record| record.mentions(&token)));
}
