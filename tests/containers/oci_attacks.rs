//! Attacks from inside containers that nobody but runc or crun knows of.

use crate::attack::{Identity, Start, fifo_relay, reverse_shell};
use crate::common::daemon::Daemon;
use crate::oci::Bundle;
use crate::require;

/// Their cgroup is called by the id, and nothing says whose it is.
fn in_container(runtime: &str, attack: fn(Start, Identity)) {
    Daemon::shared();
    let container = Bundle::run(runtime);
    attack(&|line| container.exec(line), Identity::new(&container.id, "unknown"));
}

#[test]
fn runc_by_hand_reverse_shell() {
    require!("gcc", "busybox", "tar", "runc");
    in_container("runc", reverse_shell);
}

#[test]
fn crun_by_hand_reverse_shell() {
    require!("gcc", "busybox", "tar", "crun");
    in_container("crun", reverse_shell);
}

#[test]
fn crun_by_hand_fifo_relay() {
    require!("gcc", "busybox", "tar", "crun");
    in_container("crun", fifo_relay);
}
