//! Attacks from inside podman's containers.

use crate::attack::{Identity, Start, bind_shell, fifo_relay, reverse_shell};
use crate::common::daemon::Daemon;
use crate::podman::Podman;
use crate::require_podman;

fn in_container(runtime: &'static str, attack: fn(Start, Identity)) {
    Daemon::shared();
    let container = Podman::shared().sleeper(runtime);
    attack(&|line| container.exec(line), Identity::new(&container.id, "podman"));
}

#[test]
fn podman_reverse_shell() {
    require_podman!();
    in_container("runc", reverse_shell);
}

#[test]
fn podman_with_crun_reverse_shell() {
    require_podman!();
    in_container("crun", reverse_shell);
}

#[test]
fn podman_bind_shell() {
    require_podman!();
    in_container("runc", bind_shell);
}

#[test]
fn podman_fifo_relay() {
    require_podman!();
    in_container("runc", fifo_relay);
}

#[test]
fn podman_with_crun_fifo_relay() {
    require_podman!();
    in_container("crun", fifo_relay);
}
