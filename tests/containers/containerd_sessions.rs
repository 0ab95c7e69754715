//! What people do with `ctr`.

use crate::common::token;
use crate::common::work::Work;
use crate::containerd::Containerd;
use crate::image::NAME;
use crate::require_containerd;
use crate::typing::{types, types_on_terminal};

#[test]
fn ctr_run_with_and_without_a_terminal() {
    require_containerd!();
    let containerd = Containerd::shared();
    for tty in [false, true] {
        let (mut work, id) = (Work::new(), token());
        containerd.home.owns_cgroup(format!("default/{id}"));
        work.words.push(id.clone());
        let flag = if tty { "--tty" } else { "" };
        let line = containerd.ctr(&format!("run --rm --net-host {flag} {NAME} {id} sh"));
        work.bash(&if tty { types_on_terminal(&line) } else { types(&line) });
        work.stays_quiet();
    }
}

#[test]
fn ctr_task_exec_with_and_without_a_terminal() {
    require_containerd!();
    let containerd = Containerd::shared();
    let task = containerd.sleeper();
    let mut work = Work::new();
    work.words.push(task.id.clone());
    let exec = |flag: &str, command: &str| {
        containerd.ctr(&format!("task exec {flag} --exec-id {} {} {command}", token(), task.id))
    };
    for command in ["id", "ls /", "uname -a", "sh -c \"hostname; df\""] {
        work.bash(&format!("{} >out", exec("", command)));
    }
    work.bash(&types(&exec("", "sh")));
    work.bash(&types_on_terminal(&exec("--tty", "sh")));
    work.stays_quiet();
}
