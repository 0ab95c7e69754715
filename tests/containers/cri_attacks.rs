//! Attacks from inside pods.

use crate::attack::{Identity, Start, bind_shell, fifo_relay, reverse_shell};
use crate::common::daemon::Daemon;
use crate::cri::Pod;
use crate::require_containerd;

fn in_pod(attack: fn(Start, Identity)) {
    Daemon::shared();
    let pod = Pod::run("sleep 600");
    let identity = Identity { pod_uid: &pod.uid, ..Identity::new(&pod.id, "containerd") };
    attack(&|line| pod.exec(line), identity);
}

#[test]
fn pod_reverse_shell() {
    require_containerd!();
    in_pod(reverse_shell);
}

#[test]
fn pod_bind_shell() {
    require_containerd!();
    in_pod(bind_shell);
}

#[test]
fn pod_fifo_relay() {
    require_containerd!();
    in_pod(fifo_relay);
}
