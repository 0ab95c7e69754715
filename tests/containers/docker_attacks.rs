//! Attacks from inside docker's containers.

use crate::attack::{Identity, Start, bind_shell, fifo_relay, reverse_shell};
use crate::common::daemon::Daemon;
use crate::docker::{Container, Docker};
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
