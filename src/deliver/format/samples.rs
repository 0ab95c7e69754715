//! Records for the tests of the forms.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::model::detection::{Severity, State};
use crate::model::finding::{CATEGORY, CATEGORY_LOSS, Record, property};

/// A shell in a pod, with a little of everything.
pub(super) fn record() -> Record {
    let id = "a".repeat(32);
    let name = format!("organizations/0/sources/tetherd/locations/global/findings/{id}");
    let file =
        json!({"path": "/bin/dash", "size": "125640", "sha256": "3f".repeat(32), "hashedSize": "125640"});
    let process = json!({"name": "sh", "binary": file, "args": ["sh", "-i"], "argumentsTruncated": false,
                         "pid": "48213", "parentPid": "48190", "userId": "33"});
    let container = json!({"name": "web", "uri": "registry.example/shop/web:1.9.2",
                           "imageId": "registry.example/shop/web@sha256:9b7c"});
    let properties: BTreeMap<&str, Value> = [
        (property::BOOT_ID, json!("0b1c7d1e-5a8b-4f1e-9b39-0a6c8f2f8f11")),
        (property::CONTAINER_ID, json!("73".repeat(32))),
        (property::CONTAINER_IMAGE_URI, json!("registry.example/shop/web:1.9.2")),
        (property::CONTAINER_NAME, json!("web")),
        (property::CONTAINER_RUNTIME, json!("containerd")),
        (property::EVIDENCE, json!(["row 1: a shell has its input and output on a network socket"])),
        (property::FIRST_SEEN, json!("2026-11-24T03:50:17.123456789Z")),
        (property::LAST_SEEN, json!("2026-11-24T03:50:19.000000000Z")),
        (property::PARENT_BINARY_FULLPATH, json!("/usr/bin/python3.12")),
        (property::PEER_SCOPE, json!("public")),
        (property::POD_NAME, json!("web-7c966b5d85-wvtln")),
        (property::POD_NAMESPACE, json!("shop")),
        (property::POD_UID, json!("63b3ebfc-2890-41e9-8154-16bf8ef8d9dc")),
        (property::PROCESS_ARGUMENTS, json!(["sh", "-i"])),
        (property::PROCESS_BINARY_FULLPATH, json!("/bin/dash")),
        (property::PROCESS_COUNT, json!("2")),
        (property::PROCESS_USER_NAME, json!("www-data")),
        (property::ROW, json!(1)),
        (property::SCHEMA_VERSION, json!("1")),
        (property::SEQUENCE, json!("1042")),
        (property::SOCKET_PROTOCOL, json!("TCP")),
        (property::TETHER_DIRECTION, json!("outbound")),
        (property::TETHER_KIND, json!("direct")),
        (property::VM_INSTANCE_NAME, json!("node-7")),
    ]
    .into();
    let finding = json!({
        "name": name, "canonicalName": name, "parent": "p", "parentDisplayName": "Tetherd",
        "resourceName": "//k8s.local/clusters/prod", "state": "ACTIVE", "category": CATEGORY,
        "severity": "CRITICAL", "findingClass": "THREAT", "mute": "UNDEFINED",
        "eventTime": "2026-11-24T03:50:17.123456789Z", "createTime": "2026-11-24T03:50:17.131000000Z",
        "description": "sh (pid 48213) has its stdin, stdout and stderr on a TCP connection.",
        "nextSteps": "Look at the pod.", "moduleName": "tetherd/rows/1",
        "mitreAttack": {"primaryTactic": "EXECUTION",
                        "primaryTechniques": ["COMMAND_AND_SCRIPTING_INTERPRETER", "UNIX_SHELL"],
                        "additionalTactics": ["COMMAND_AND_CONTROL"]},
        "connections": [{"destinationIp": "203.0.113.9", "destinationPort": 4444,
                         "sourceIp": "10.8.3.17", "sourcePort": 51544, "protocol": "TCP"}],
        "processes": [process], "containers": [container],
        "kubernetes": {"pods": [{"ns": "shop", "name": "web-7c966b5d85-wvtln", "containers": [container]}]},
        "sourceProperties": properties,
    });
    let resource =
        json!({"name": "//k8s.local/clusters/prod", "displayName": "prod", "type": "k8s.io/Cluster"});
    serde_json::from_value(json!({"finding": finding, "resource": resource})).unwrap()
}

/// What tetherd says about itself, of a kind that no form knows.
pub(super) fn observation() -> Record {
    let mut record = record();
    let finding = &mut record.finding;
    (finding.category, finding.finding_class) = (CATEGORY_LOSS.into(), "OBSERVATION".into());
    (finding.severity, finding.state, finding.mitre_attack) = (None, State::Inactive, None);
    (finding.connections, finding.processes, finding.containers) = Default::default();
    finding.kubernetes = None;
    let shared =
        [property::BOOT_ID, property::SCHEMA_VERSION, property::SEQUENCE, property::VM_INSTANCE_NAME];
    finding.source_properties.retain(|key, _| shared.contains(&key.as_str()));
    for (key, value) in [
        ("Losses", json!({"kernel-overflow": 3})),
        ("First_Sequence", json!("17")),
        ("Counters", json!({"deep": [1, {"x": 2}], "execs": 12_345_678_901_u64})),
        ("Padding", json!("........")),
    ] {
        finding.source_properties.insert(key.into(), value);
    }
    record
}

/// Text that an attacker would choose.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[\\x00-\\x7f]{0,60}",
        "[|=\\\\\"\\]\\[\r\n ]{0,40}",
        "\\PC{0,30}",
        ".{0,30}",
        Just("\u{7f}\u{85}\u{2028}\u{202e}\u{e0001}\u{1b}[2J".to_owned()),
        Just("src=10.0.0.1 CEF:0|x|y|z|".to_owned()),
        Just("/\u{1}".repeat(2048)),
        Just("é\\".repeat(3000)),
    ];
    proptest::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat())
}

/// Records in which every text, but for those that the writer makes, is hostile; some are no findings, of some most is
/// missing.
pub(super) fn any_record() -> impl Strategy<Value = Record> {
    let texts = proptest::collection::vec(hostile(), 12);
    (texts, any::<[bool; 4]>(), any::<u16>(), 1..=1_u64 << 60, 0usize..40).prop_map(
        |(texts, [finding, bare, missing, ended], port, sequence, commands)| {
            let mut record = if finding { record() } else { observation() };
            let found = &mut record.finding;
            let mut texts = texts.iter().cycle();
            let mut next = || texts.next().cloned().unwrap_or_default();
            let length = next().len();
            (found.description, found.next_steps, found.category) = (next(), next(), next());
            found.severity = finding.then_some([Severity::Low, Severity::High][usize::from(bare)]);
            found.state = if ended { State::Inactive } else { State::Active };
            let first = found.processes.first().cloned().unwrap_or_default();
            found.processes.extend(vec![first; if finding { commands } else { 0 }]);
            for process in &mut found.processes {
                (process.name, process.args) = (next(), vec![next(), next()]);
                if let Some(file) = &mut process.binary {
                    file.path = next();
                }
                (process.pid, process.user_id) = ("4294967295".into(), next());
            }
            for connection in &mut found.connections {
                connection.destination_port = Some(port);
                connection.destination_ip =
                    [None, Some("2001:db8::ffff:1".into()), Some(next())][length % 3].clone();
            }
            for container in &mut found.containers {
                (container.name, container.uri) = (next(), Some(next()));
                container.image_id = missing.then(&mut next);
            }
            for (key, value) in &mut found.source_properties {
                *value = match key.as_str() {
                    property::SEQUENCE => sequence.to_string().into(),
                    property::PROCESS_ARGUMENTS | property::EVIDENCE => json!([next(), next()]),
                    property::PROCESS_COUNT | property::ROW | property::TETHER_DIRECTION if !bare => continue,
                    _ if value.is_object() => json!({next(): next(), next(): {next(): [next()]}}),
                    _ => next().into(),
                };
            }
            if missing {
                found.source_properties.retain(|key, _| key == property::SEQUENCE);
                (found.processes, found.kubernetes) = (Vec::new(), None);
            }
            record
        },
    )
}
