//! What people do with podman: its sessions go through conmon, or through podman's own service.

use std::fs;

use crate::common::token;
use crate::common::work::{Work, answers};
use crate::image::NAME;
use crate::podman::{Container, Podman};
use crate::process::Process;
use crate::typing::{types, types_on_terminal};
use crate::{require, require_podman};

fn work(container: &Container) -> Work {
    let mut work = Work::new();
    work.words.extend([container.id.clone(), container.name.clone()]);
    work
}

fn run(runtime: &str) {
    let podman = Podman::shared();
    for tty in [false, true] {
        let (mut work, name) = (Work::new(), token());
        let flags = if tty { "-it" } else { "-i" };
        let line = podman.cli_on(
            runtime,
            &format!("run --rm {flags} --network host --cidfile id --name {name} {NAME} sh"),
        );
        // script runs a command line of sh.
        work.bash(&if tty { types_on_terminal(&line) } else { types(&format!("env {line}")) });
        let id = fs::read_to_string(work.path("id")).unwrap();
        podman.home.owns_cgroup(format!("libpod_parent/libpod-{id}"));
        work.words.extend([id, name]);
        work.stays_quiet();
    }
}

#[test]
fn podman_run_with_and_without_a_terminal() {
    require_podman!();
    run("runc");
}

#[test]
fn podman_run_with_crun() {
    require_podman!();
    run("crun");
}

fn exec(runtime: &'static str) {
    let podman = Podman::shared();
    let container = podman.sleeper(runtime);
    let work = work(&container);
    let exec = |flags: &str, command: &str| {
        podman.cli_on(runtime, &format!("exec {flags} {} {command}", container.name))
    };
    for command in ["id", "ls /", "uname -a", "sh -c \"hostname; df\""] {
        work.bash(&format!("{} >out", exec("", command)));
    }
    work.bash(&types(&format!("env {}", exec("-i", "sh"))));
    work.bash(&types_on_terminal(&exec("-it", "sh")));
    work.stays_quiet();
}

#[test]
fn podman_exec_with_and_without_a_terminal() {
    require_podman!();
    exec("runc");
}

#[test]
fn podman_exec_with_crun() {
    require_podman!();
    exec("crun");
}

#[test]
fn podman_logs_and_attach() {
    require_podman!();
    let podman = Podman::shared();
    let talker = podman.container("runc", "", "while :; do id; ls /; uname -a; df | cat; sleep 0.3; done");
    let talk = work(&talker);
    let logs = podman.cli(&format!("logs --follow {}", talker.name));
    talk.bash(&format!("timeout 2 env {logs} >out || true; grep -qF 'uid=0(root)' out"));
    talk.stays_quiet();

    let shell = podman.container("runc", "--interactive", "exec sh");
    let attach = work(&shell);
    let line = podman.cli(&format!("attach --sig-proxy=false {}", shell.name));
    attach.bash(&types(&format!("env {line}")));
    attach.stays_quiet();
}

/// podman's service on a TCP port, with docker's client: podman has the connection.
#[test]
fn podman_service_over_tcp() {
    require_podman!();
    require!("/usr/bin/docker");
    let podman = Podman::shared();
    let container = podman.sleeper("runc");
    let mut work = work(&container);
    let port = work.port();
    let mut arguments = vec![
        format!("CONTAINERS_CONF={}", podman.home.text("containers.conf")),
        "/usr/bin/podman".to_owned(),
    ];
    arguments.extend(podman.global("runc"));
    arguments.extend(["system", "service", "--time=0"].map(str::to_owned));
    arguments.push(format!("tcp:127.0.0.1:{port}"));
    let service = Process::start("/usr/bin/env", &arguments, &podman.home.path("service.log"));
    answers(port);
    let docker =
        format!("/usr/bin/docker --config {} --host tcp://127.0.0.1:{port}", podman.home.text("cli"));
    work.bash(&format!("{docker} exec {} id >out; grep -q uid=0 out", container.name));
    work.bash(&types(&format!("{docker} exec -i {} sh", container.name)));
    work.bash(&types_on_terminal(&format!("{docker} exec -it {} sh", container.name)));
    work.stays_quiet();
    drop(service);
}
