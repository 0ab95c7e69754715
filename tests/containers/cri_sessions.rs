//! What a kubelet and `kubectl exec` do with pods: the session's connection ends at containerd.

use std::fs;

use crate::common::daemon::{Daemon, TETHERD};
use crate::common::wait_for;
use crate::common::work::Work;
use crate::cri::Pod;
use crate::home::inside;
use crate::require_containerd;
use crate::websocket::WebSocket;

fn work(pod: &Pod) -> Work {
    let mut work = Work::new();
    work.words.extend([pod.id.clone(), pod.uid.clone()]);
    work
}

/// Probes, and what a container prints into its log.
#[test]
fn pod_probes_and_logs() {
    require_containerd!();
    Daemon::shared();
    let pod = Pod::run("while :; do id; ls /; uname -a; df | cat; sleep 0.3; done");
    let work = work(&pod);
    // A session of somebody else's: containerd has a connection while it does the rest.
    let mut other = WebSocket::open(&pod.exec_url(&["/bin/cat"], false));
    for _ in 0..3 {
        for line in ["id", "ls /", "uname -a", "hostname; df | cat"] {
            other.say("still there");
            assert!(!pod.exec_sync(line).is_empty(), "{line}");
        }
    }
    other.hear("still there");
    wait_for("the log", || {
        fs::read_to_string(format!("{}/app.log", pod.logs())).ok().filter(|log| log.contains("uid=0(root)"))
    });
    work.stays_quiet();
}

fn session(tty: bool) {
    Daemon::shared();
    let pod = Pod::run("sleep 600");
    let mut work = work(&pod);
    let mut session = WebSocket::open(&pod.exec_url(&["/bin/sh"], tty));
    work.ports.push(session.port());
    for (line, answer) in [
        ("id", "uid=0(root)"),
        ("uname -a", "Linux"),
        ("cat /etc/passwd | cat", "root:x:0"),
        ("sleep 1; df | cat; echo do''ne", "done"),
    ] {
        session.say(line);
        session.hear(answer);
    }
    let shell = wait_for("the shell", || inside(&pod.id, b"/bin/sh\0"));
    let said = pod.containerd.home.bash(&format!("{TETHERD} explain {shell} || true"));
    assert!(said.contains("container-runtime-sessions"), "{said}");
    session.say("exit");
    work.stays_quiet();
}

#[test]
fn pod_exec_over_a_websocket() {
    require_containerd!();
    session(false);
}

#[test]
fn pod_exec_with_a_terminal_over_a_websocket() {
    require_containerd!();
    session(true);
}
