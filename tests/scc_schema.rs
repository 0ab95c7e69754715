//! Holds what the code writes, `docs/finding.schema.json` and Google's own parser against each other.
//!
//! Detections of all shapes go through the enrichment and the spool's writer; `tests/scc/check.py` reads the lines. It
//! runs in the Python environment that `tests/setup/scc-venv.sh` makes. Without that the check is left out with a
//! warning, and fails where TETHERD_TESTS_STRICT=1.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that cannot go on fails

#[path = "scc/own.rs"]
mod own;
#[path = "scc/records.rs"]
mod records;
#[path = "scc/shapes.rs"]
mod shapes;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use records::{BOOT, NOW, record, record_with_names, spooled};
use serde_json::{Value, json};
use tetherd::daemon::pressure::Pressure;
use tetherd::enrich::{EnrichSettings, Enricher, MetadataSettings};
use tetherd::host::reader::Reader;
use tetherd::model::finding::{CATEGORY_LOSS, LINE_MAX, Record, property};
use tetherd::model::ids::Pid;
use tetherd::model::look::{Cause, Observation};
use tetherd::model::socket::SocketLookup;
use tetherd::spool::level::Level;
use tetherd::spool::record::observation;
use tetherd::spool::settings::SpoolSettings;

/// The record of a shell in a pod of CRI-O's, with the labels that are on disk and the token that the kubelet has.
fn record_with_labels(directory: &Path) -> Record {
    let mut detection = shapes::pod();
    let sandbox = "5a".repeat(32);
    let subject = std::sync::Arc::make_mut(&mut detection.subject);
    subject.cgroup = format!("0::/kubepods/pod{}/crio-{}\n", shapes::POD, shapes::CONTAINER).into_bytes();
    let write = |path: &str, text: String| {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let file = |id: &str, more: serde_json::Value| {
        let mut annotations = json!({
            "io.kubernetes.cri-o.SandboxID": sandbox, "io.kubernetes.cri-o.ImageName": "registry.example/app:1.2",
            "io.kubernetes.container.name": "app", "io.kubernetes.pod.name": "web-7d9f",
            "io.kubernetes.pod.namespace": "shop"
        });
        annotations["io.kubernetes.cri-o.Labels"] = more;
        let text = json!({"annotations": annotations}).to_string();
        write(&format!("overlay-containers/{id}/userdata/config.json"), text);
    };
    file(shapes::CONTAINER, json!("{}"));
    file(&sandbox, json!(r#"{"app":"front","empty":"","quoted":"<b>\"x\"</b>"}"#));
    let claims = r#"{"kubernetes.io":{"namespace":"shop","serviceaccount":{"name":"front"}}}"#;
    let parts = ["{}", claims, "x"].map(|part| URL_SAFE_NO_PAD.encode(part));
    let volume = format!("pods/{}/volumes/kubernetes.io~projected/kube-api-access-x2x7k", shapes::POD);
    write(&format!("{volume}/token"), parts.join("."));
    let here = || vec![directory.to_str().unwrap().to_owned()];
    let metadata = MetadataSettings { storage: here(), kubelet: here(), ..MetadataSettings::default() };
    let settings = EnrichSettings { digest_wait_ms: 30_000, metadata, ..EnrichSettings::default() };
    Enricher::new(settings, BOOT.into()).record(&detection, NOW)
}

#[test]
fn labels_and_the_account_of_a_pod() {
    let directory = tempfile::tempdir().unwrap();
    let record = record_with_labels(directory.path());
    let labels = json!({"app": "front", "empty": "", "quoted": "<b>\"x\"</b>"});
    assert_eq!(get(&record, property::POD_LABELS), &labels);
    let listed = serde_json::to_value(&record.finding.kubernetes.as_ref().unwrap().pods[0].labels).unwrap();
    assert_eq!(listed[2], json!({"name": "quoted", "value": "<b>\"x\"</b>"}));
    assert_eq!(get(&record, property::SERVICE_ACCOUNT)["name"], "front");
}

#[test]
fn a_withdrawn_finding_names_the_rule() {
    let record = record(&shapes::withdrawn());
    let finding = &record.finding;
    assert_eq!((finding.mute.as_str(), record.state()), ("MUTED", "withdrawn"));
    assert_eq!(finding.mute_initiator.as_deref(), Some("allow rule debug-pods"));
    let told = "it is withdrawn, because the allow rule debug-pods excuses it (the echo image\\x1b[2J answers with cat)";
    assert!(finding.description.contains(told), "{}", finding.description);
    assert_eq!(get(&record, property::EXCUSED_BY)["rule"], "debug-pods");
}

fn get<'a>(record: &'a Record, key: &str) -> &'a Value {
    record.finding.source_properties.get(key).unwrap_or(&Value::Null)
}

#[test]
fn a_reverse_shell_in_a_pod() {
    let record = record(&shapes::pod());
    let finding = &record.finding;
    let id = shapes::CONTAINER;
    assert_eq!(
        finding.description,
        format!(
            "sh (pid 4711, uid 0 root) has its stdin, stdout and stderr on a TCP connection to 203.0.113.9:4444 \
             (outbound), in containerd container {id}; 2 commands ran on it."
        )
    );
    assert_eq!(record.id(), "0102030405060708090a0b0c0d0e0f10");
    assert_eq!(finding.event_time, "2026-11-24T03:50:17.123456789Z");
    assert_eq!(
        serde_json::to_value(&finding.connections).unwrap(),
        json!([{"destinationIp": "203.0.113.9", "destinationPort": 4444,
                "sourceIp": "10.8.3.17", "sourcePort": 51544, "protocol": "TCP"}])
    );
    assert_eq!(finding.indicator.as_ref().unwrap().ip_addresses, ["203.0.113.9"]);
    let shell = &finding.processes[0];
    assert_eq!((shell.name.as_str(), shell.pid.as_str(), shell.parent_pid.as_str()), ("sh", "4711", "4700"));
    assert_eq!(shell.args, ["/bin/sh", "-i"]);
    let file = shell.binary.as_ref().unwrap();
    assert_eq!(file.sha256.as_deref(), Some(shapes::EXE_SHA256));
    assert_eq!((file.size.as_deref(), file.partially_hashed), (Some("11"), false));
    assert_eq!(finding.containers[0].name, id);
    assert_eq!(finding.kubernetes.as_ref().unwrap().nodes[0].name, "//k8s.local/clusters/prod/nodes/node-7");
    for (key, value) in [
        (property::CONTAINER_ID, json!(id)),
        (property::CONTAINER_RUNTIME, json!("containerd")),
        (property::POD_UID, json!(shapes::POD)),
        (property::OBSERVATION, json!("live")),
        (property::ROW, json!(1)),
        (property::PROCESS_COUNT, json!("2")),
        (property::PROCESS_OBSERVATIONS, json!({"held": 0, "live": 2, "inherited": 0, "swept": 0})),
        (property::TETHER_KIND, json!("direct")),
        (property::TETHER_DIRECTION, json!("outbound")),
        (property::PEER_SCOPE, json!("public")),
        (property::SOCKET_FDS, json!([0, 1, 2])),
        (property::SOCKET_INODE, json!("8812345")),
        (property::PROCESS_USER_NAME, json!("root")),
        (property::PARENT_BINARY_FULLPATH, json!("/usr/bin/python3.12")),
        ("Reverse_Shell_Stdin_Redirection_Dst_Ip", json!("203.0.113.9")),
        ("Reverse_Shell_Stdin_Redirection_Src_Port", json!(51544)),
        (
            property::TETHER_PATH,
            json!([{"pid": 4711, "startTicks": "99", "comm": "sh", "fds": [0, 1, 2], "backing": "socket:[8812345]",
                    "socket": {"protocol": "TCP", "inode": "8812345", "cookie": "77", "netNamespace": "4026532008",
                               "local": "10.8.3.17:51544", "peer": "203.0.113.9:4444", "foundBy": "getfd"}}]),
        ),
        (
            property::TIMELINE,
            json!([
                {"time": "2026-11-24T03:50:17.123456789Z", "pid": 4711, "startTicks": "99", "comm": "sh",
                 "args": "/bin/sh -i", "seen": "live", "row": 1},
                {"time": "2026-11-24T03:50:17.123456789Z", "pid": 4712, "startTicks": "100", "comm": "id",
                 "args": "/usr/bin/id", "seen": "live"}
            ]),
        ),
        (
            property::ENRICHMENT_STATUS,
            json!({"complete": false, "missing": [
                "container's name and image: the runtime's directories have no file of it",
                "environment: the process has gone",
                "pod's name and namespace: the runtime's files do not say",
                "security label: the process has gone"]}),
        ),
    ] {
        assert_eq!(get(&record, key), &value, "{key}");
    }
    // In the host's namespace the open program tells it, when the process has gone.
    assert!(get(&record, property::EXECUTABLE_ORIGIN)["kind"].is_string(), "{record:?}");
    let line = serde_json::to_string(&record).unwrap();
    assert!(
        line.starts_with(r#"{"finding":{"name":"organizations/0/"#) && line.len() < 8000,
        "{}",
        line.len()
    );
}

#[test]
fn names_from_the_runtimes_files() {
    let directory = tempfile::tempdir().unwrap();
    let record = record_with_names(directory.path());
    let place = format!("in containerd container {} (app) of pod shop/web-7d9f;", shapes::CONTAINER);
    assert!(record.finding.description.contains(&place), "{}", record.finding.description);
    let container = json!({"name": "app", "uri": "registry.example/app:1.2"});
    assert_eq!(serde_json::to_value(&record.finding.containers).unwrap(), json!([container]));
    assert_eq!(
        serde_json::to_value(&record.finding.kubernetes.as_ref().unwrap().pods).unwrap(),
        json!([{"ns": "shop", "name": "web-7d9f", "containers": [container]}])
    );
    for (key, value) in [
        (property::CONTAINER_NAME, "app"),
        (property::CONTAINER_IMAGE_URI, "registry.example/app:1.2"),
        (property::POD_NAME, "web-7d9f"),
        (property::POD_NAMESPACE, "shop"),
    ] {
        assert_eq!(get(&record, key), value, "{key}");
    }
    assert_eq!(
        get(&record, property::ENRICHMENT_STATUS),
        &json!({"complete": false, "missing": [
            "environment: the process has gone",
            "security label: the process has gone"]})
    );
}

#[test]
fn a_host_has_no_container() {
    let record = record(&shapes::ipv6());
    assert!(record.finding.containers.is_empty() && record.finding.kubernetes.is_none());
    for key in [property::CONTAINER_ID, property::CONTAINER_RUNTIME, property::POD_UID] {
        assert_eq!(get(&record, key), &Value::Null, "{key}");
    }
    assert_eq!(get(&record, property::CGROUP_PATH), &json!("/system.slice/ssh.service"));
    assert_eq!(
        get(&record, property::ENRICHMENT_STATUS),
        &json!({"complete": false, "missing": [
            "environment: the process has gone",
            "security label: the process has gone"]})
    );
    assert_eq!(record.finding.connections[0].destination_ip.as_deref(), Some("2001:db8::9"));
}

#[test]
fn sockets_that_have_no_peer() {
    let udp = record(&shapes::udp_unconnected());
    let finding = &udp.finding;
    assert!(finding.description.contains("on a UDP socket that is not connected"), "{}", finding.description);
    assert_eq!(
        serde_json::to_value(&finding.connections).unwrap(),
        json!([{"sourceIp": "0.0.0.0", "sourcePort": 9999, "protocol": "UDP"}])
    );
    assert!(finding.indicator.is_none());
    assert_eq!(get(&udp, "Reverse_Shell_Stdin_Redirection_Dst_Ip"), &Value::Null);

    let vsock = record(&shapes::vsock());
    assert!(vsock.finding.connections.is_empty() && vsock.finding.indicator.is_none());
    assert!(
        vsock.finding.description.contains("a VSOCK connection to vsock:2:5000"),
        "{}",
        vsock.finding.description
    );
}

#[test]
fn hostile_text() {
    let record = record(&shapes::hostile());
    let finding = &record.finding;
    assert!(finding.description.starts_with("a\\x1b[2J\\n (pid"), "{}", finding.description);
    assert!(!finding.description.chars().any(char::is_control));
    assert!(finding.next_steps.chars().all(|c| !c.is_control()));
    // A loopback peer is nothing to look for elsewhere.
    assert!(finding.indicator.is_none());
    let args = &finding.processes[0].args;
    assert_eq!(args[1], "\u{fffd}\u{fffd}x");
    assert!(finding.processes[0].arguments_truncated);
    assert!(args.iter().map(String::len).sum::<usize>() <= 8 * 1024);
    assert_eq!(get(&record, property::PROCESS_ARGUMENTS_BASE64)[1], json!("//54"));
    assert_eq!(get(&record, property::CONTAINER_RUNTIME), &json!("unknown"));
}

#[test]
fn what_is_not_there_in_time_is_named() {
    let settings = EnrichSettings { digest: false, digest_wait_ms: 30_000, ..EnrichSettings::default() };
    let mut gone = shapes::ipv6();
    let subject = std::sync::Arc::make_mut(&mut gone.subject);
    subject.namespaces.mnt = None;
    subject.unread.push("cwd");
    let record = Enricher::new(settings, BOOT.into()).record(&gone, NOW);
    assert_eq!(
        get(&record, property::ENRICHMENT_STATUS),
        &json!({"complete": false, "missing": [
            "cwd: it could not be read while the process lived",
            "environment: the process has gone",
            "executable's SHA-256: switched off",
            "executable's origin: the process has gone",
            "security label: the process has gone",
            "user name: the process has gone, and its root with it"]})
    );
    assert!(record.finding.processes[0].binary.as_ref().unwrap().sha256.is_none());
}

#[test]
fn an_earlier_daemons_processes_come_first() {
    let record = record(&shapes::restored());
    let pids: Vec<&str> = record.finding.processes.iter().map(|process| process.pid.as_str()).collect();
    assert_eq!(pids, ["4000", "4711", "4712"], "what is no process is skipped");
    let timeline = get(&record, property::TIMELINE);
    let kept = json!({"time": "2026-11-24T03:50:17.000000000Z", "pid": 4000, "startTicks": "17", "comm": "bash",
                      "args": "x".repeat(200), "seen": "live", "row": 1});
    assert_eq!(timeline[0], kept, "as it was, within this program's bounds");
    assert_eq!(timeline[1]["pid"], json!(4711));
}

#[test]
fn a_subject_beyond_the_cap_keeps_its_place() {
    let mut detection = shapes::pod();
    detection.processes.remove(0);
    let pids: Vec<String> = record(&detection).finding.processes.into_iter().map(|p| p.pid).collect();
    assert!(pids.contains(&"4711".to_owned()), "{pids:?}");
}

/// A child that runs a script and waits, gone when dropped.
struct Runs(Child);

impl Drop for Runs {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two related records of a living shell that runs a script, with all that is gathered of it.
fn records_of_the_living(directory: &Path) -> Vec<Record> {
    fs::create_dir_all(directory.join("spool")).unwrap();
    fs::write(directory.join("x.sh"), "echo x; read line\n").unwrap();
    let mut command = Command::new("/bin/sh");
    command.arg("x.sh").current_dir(directory).env("SUDO_USER", "anna").env("SECRET_WORD", "hunter2");
    let mut runs = Runs(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    runs.0.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let (pid, at) = (Pid(runs.0.id()), tetherd::sys::clock::now());
    let reader = Reader::new(vec![SocketLookup::Getfd]);
    let (mut look, _) = reader.look(pid, at, Observation::Live, Cause::Exec).unwrap();
    let mut detection = shapes::pod();
    (look.cgroup, look.stdio) = (detection.subject.cgroup.clone(), detection.subject.stdio.clone());
    detection.subject = std::sync::Arc::new(look);
    let mut other = detection.clone();
    other.id = "ff".repeat(16).parse().unwrap();
    let mut settings = EnrichSettings { digest_wait_ms: 30_000, ..EnrichSettings::default() };
    settings.evidence.copy = true;
    settings.project_display_name = "Shop".into();
    let mut enricher = Enricher::new(settings, BOOT.into());
    enricher.keep_copies_in(&directory.join("spool"));
    let mut records: Vec<Record> = [detection, other].iter().map(|one| enricher.record(one, NOW)).collect();
    for record in &mut records {
        assert!(enricher.relate(record, NOW).is_empty());
    }
    records
}

#[test]
fn the_living_tell_more() {
    let scratch = tempfile::tempdir().unwrap();
    let records = records_of_the_living(scratch.path());
    let record = &records[1];
    assert_eq!(get(record, property::PROCESS_ENVIRONMENT)["values"]["SUDO_USER"], json!("anna"));
    let names = get(record, property::PROCESS_ENVIRONMENT)["names"].as_array().unwrap();
    assert!(names.contains(&json!("SECRET_WORD")));
    assert!(!serde_json::to_string(record).unwrap().contains("hunter2"));
    assert_eq!(get(record, property::PROCESS_SECCOMP), &json!(seccomp_of_this_process()));
    assert_eq!(
        get(record, property::PROCESS_NO_NEW_PRIVILEGES).as_bool(),
        Some(status("NoNewPrivs:") == "1")
    );
    assert_eq!(get(record, property::PROCESS_CREDENTIALS)["userId"], json!(nix::unistd::getuid().as_raw()));
    let shell = record.finding.processes.iter().find(|process| process.script.is_some()).unwrap();
    let script = shell.script.as_ref().unwrap();
    // Known answer: printf 'echo x; read line\n' | sha256sum
    let sha256 = "19cb15678706ecd007baef9a075776294f56cd2a629edf82810cb6ceb9acca86";
    assert_eq!((script.sha256.as_deref(), script.size.as_deref()), (Some(sha256), Some("18")));
    assert_eq!(get(record, property::PROCESS_SCRIPT)["sha256"], json!(sha256));
    let copy = get(record, property::EVIDENCE_FILE);
    assert_eq!(copy["sha256"].as_str(), shell.binary.as_ref().unwrap().sha256.as_deref());
    let file = scratch.path().join("spool/evidence").join(copy["sha256"].as_str().unwrap());
    assert_eq!(fs::read(file).unwrap(), fs::read("/bin/sh").unwrap());
    assert!(get(&records[0], property::RELATED_FINDINGS).is_null());
    let link = &get(record, property::RELATED_FINDINGS)[0];
    assert_eq!(
        (&link["id"], &link["reasons"]),
        (&json!(records[0].id()), &json!(["container", "pod", "peer", "executable"]))
    );
}

fn status(key: &str) -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim().to_owned()
}

fn seccomp_of_this_process() -> &'static str {
    if status("Seccomp:") == "0" { "disabled" } else { "filter" }
}

#[test]
fn every_line_is_the_apis_and_the_schemas() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = tempfile::tempdir().unwrap();

    let mut records: Vec<Record> = shapes::all().iter().map(record).collect();
    records.push(Enricher::new(EnrichSettings::default(), BOOT.into()).record(&shapes::pod(), NOW));
    let mut named = record_with_names(&scratch.path().join("names"));
    let pods = named.finding.kubernetes.iter_mut().flat_map(|kubernetes| &mut kubernetes.pods);
    let in_pods = pods.flat_map(|pod| &mut pod.containers);
    for container in named.finding.containers.iter_mut().chain(in_pods) {
        // Of dockerd's and podman's containers these are known too.
        container.image_id = Some("sha256:2d9ae5".into());
        container.create_time = Some(NOW.rfc3339());
    }
    // What only a runtime says.
    let properties = &mut named.finding.source_properties;
    properties.insert(property::CONTAINER_ATTEMPT.into(), json!(2));
    properties.insert(property::POD_ANNOTATIONS.into(), json!({"kubernetes.io/config.source": "api"}));
    records.push(named);
    records.push(record_with_labels(&scratch.path().join("labels")));
    records.extend(records_of_the_living(&scratch.path().join("living")));
    if let Some(last) = records.last_mut() {
        // Not in this process's own network namespace, and not without a security module.
        let peers = json!({"peers": [{"protocol": "TCP", "peer": "192.0.2.1:443", "local": "10.0.0.2:4"}], "more": false});
        last.finding.source_properties.insert(property::NETWORK_PEERS.into(), peers.clone());
        // Nor relayed.
        last.finding.source_properties.insert(property::RELAY_PEERS.into(), peers);
        // Of a cloud, whose metadata server is asked in the module's own tests.
        let cloud =
            json!({"provider": "gce", "project": "p", "location": "l", "instance": "i", "cluster": "c"});
        last.finding.source_properties.insert(property::CLOUD.into(), cloud);
        // Of a launcher: tests/evidence.rs has a real one.
        let later = json!({
            "path": "/usr/bin/dash", "args": "dash", "namespaces": {"net": "4026532177"},
            "environment": {"values": {"USER": "eve"}, "names": ["PATH"], "more": 0, "truncated": false},
            "securityLabel": "docker-default (enforce)"
        });
        last.finding.source_properties.insert(property::LATER_PROGRAM.into(), later);
        let owner = json!({"kind": "Deployment", "name": "web", "guessed": true});
        last.finding.source_properties.insert(property::POD_OWNER.into(), owner);
        last.finding
            .source_properties
            .insert(property::PROCESS_SECURITY_LABEL.into(), "docker-default (enforce)".into());
    }
    let losses = BTreeMap::from([
        ("Losses".to_owned(), json!({"kernel_overflow": 12})),
        (property::EVIDENCE.to_owned(), json!(["12 kernel_overflow"])),
    ]);
    records.push(observation(CATEGORY_LOSS, "Something may have been missed.", losses, NOW, BOOT));
    let pressure = Pressure::default().see(Level::Emergency, NOW).unwrap();
    records.push(pressure.record(NOW, BOOT));
    records.extend(own::records(&scratch.path().join("own")));
    let mut lines = spooled(&scratch.path().join("all"), &mut records, SpoolSettings::default());

    // A spool so small that it has to drop records says so in one.
    let mut many: Vec<Record> = (0..20).map(|_| record(&shapes::pod())).collect();
    let small = SpoolSettings { segment_bytes: 8 << 10, max_bytes: 32 << 10, ..SpoolSettings::default() };
    let dropped = spooled(&scratch.path().join("small"), &mut many, small);
    assert!(dropped.contains("Tetherd: Findings Dropped"), "the small spool dropped nothing");
    lines.push_str(&dropped);
    lines.push_str(&own::checkpoint(&scratch.path().join("signed")));
    assert!(lines.lines().all(|line| line.len() <= LINE_MAX));

    let python = root.join("target/test-tools/scc-venv/bin/python");
    if !python.exists() {
        let why = "tests/setup/scc-venv.sh has not been run: the lines were NOT held against the SCC parser";
        assert_ne!(std::env::var("TETHERD_TESTS_STRICT").as_deref(), Ok("1"), "{why}");
        eprintln!("SKIPPED: {why}");
        return;
    }
    let file = scratch.path().join("lines.jsonl");
    fs::write(&file, &lines).unwrap();
    let check = |file: &Path, flag: Option<&str>| {
        let schema = root.join("docs/finding.schema.json");
        let script = root.join("tests/scc/check.py");
        let output = Command::new(&python)
            .arg(script)
            .arg(schema)
            .arg(file)
            .args(flag)
            .output()
            .expect("check.py starts");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned(), output.stderr)
    };
    let (good, said, errors) = check(&file, Some("--every-property"));
    assert!(good, "{said}{}", String::from_utf8_lossy(&errors));

    // The check itself can fail: a field that the API has no name for, and a property that the schema does not name.
    let first = lines.lines().next().unwrap();
    for (bad, complaint) in [
        (first.replacen(r#""mute":"#, r#""muteState":"#, 1), "refused by the SCC parser"),
        (first.replacen(r#""Boot_Id":"#, r#""Boot_Identity":"#, 1), "Boot_Identity"),
    ] {
        fs::write(&file, bad + "\n").unwrap();
        let (good, said, _) = check(&file, None);
        assert!(!good && said.contains(complaint), "{said}");
    }
}

#[test]
fn every_property_is_described() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(root.join("docs/finding.schema.json")).unwrap()).unwrap();
    let page = fs::read_to_string(root.join("docs/finding.md")).unwrap();
    for part in [
        "finding",
        "sourceProperties",
        "hop",
        "socket",
        "command",
        "ancestor",
        "process",
        "file",
        "connection",
    ] {
        for key in schema["$defs"][part]["properties"].as_object().unwrap().keys() {
            assert!(page.contains(&format!("`{key}`")), "docs/finding.md says nothing of {part}'s {key}");
        }
    }
}
