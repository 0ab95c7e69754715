//! Attacks from inside containers that `ctr` started.

use crate::attack::{Identity, Start, bind_shell, fifo_relay, reverse_shell};
use crate::common::daemon::Daemon;
use crate::containerd::Containerd;
use crate::require_containerd;

fn in_container(attack: fn(Start, Identity)) {
    Daemon::shared();
    let task = Containerd::shared().sleeper();
    attack(&|line| task.exec(line), Identity::new(&task.id, "containerd"));
}

#[test]
fn ctr_reverse_shell() {
    require_containerd!();
    in_container(reverse_shell);
}

#[test]
fn ctr_bind_shell() {
    require_containerd!();
    in_container(bind_shell);
}

#[test]
fn ctr_fifo_relay() {
    require_containerd!();
    in_container(fifo_relay);
}
