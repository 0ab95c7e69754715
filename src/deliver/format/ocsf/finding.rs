//! A finding as a Detection Finding (class 2004).
//!
//! Owns: the event but for its evidences. Must not own: those (`evidence`), what all classes share.

use serde_json::{Value, json};

use super::super::flat::{excused_by, scalar, text};
use super::super::object::Object;
use super::{Room, device, evidence, metadata, milliseconds};
use crate::model::detection::{Severity, State};
use crate::model::finding::{Record, property};

/// What the API's names of tactics and techniques are in ATT&CK.
const TACTICS: [(&str, &str, &str); 2] =
    [("EXECUTION", "TA0002", "Execution"), ("COMMAND_AND_CONTROL", "TA0011", "Command and Control")];
const TECHNIQUES: [(&str, &str, &str); 2] = [
    ("COMMAND_AND_SCRIPTING_INTERPRETER", "T1059", "Command and Scripting Interpreter"),
    ("UNIX_SHELL", "T1059.004", "Unix Shell"),
];

/// The event.
pub(super) fn event(record: &Record, room: Room, truncated: bool) -> Value {
    let finding = &record.finding;
    let last_seen = record.text(property::LAST_SEEN).and_then(milliseconds);
    let over = finding.state == State::Inactive;
    // It says of a later record, too, whether anything has come since the first.
    let first = !over && record.text(property::LAST_SEEN) == record.text(property::FIRST_SEEN);
    let activity = if first { 1 } else { 2 };
    // Nobody has looked at it: that the attacker left closes nothing. An allow rule does.
    let excused = excused_by(record).map(|rule| room.cut(&format!("the allow rule {rule} excuses it")));
    let detail = excused.clone().or_else(|| over.then(|| "the last process has ended".into()));
    let in_container = room.processes > 0 && evidence::container(record, room).is_some();
    let profiles: &[&str] = if in_container { &["container", "host"] } else { &["host"] };
    let evidences = evidence::evidences(record, room);
    let remediation = room.text(Some(&finding.next_steps)).filter(|_| room.more);
    Object::default()
        .put("activity_id", Some(activity))
        .put("category_uid", Some(2))
        .put("class_uid", Some(2004))
        .put("type_uid", Some(200_400 + activity))
        .put("time", milliseconds(&finding.create_time).or(Some(0)))
        .put("severity_id", Some(severity(finding.severity)))
        .put("status_id", Some(if excused.is_some() { 3 } else { 1 }))
        .put("status_detail", detail.filter(|_| room.more))
        .put("confidence_id", confidence(finding.severity))
        .put("is_alert", Some(true))
        .put("message", room.text(Some(&finding.description)))
        .put("metadata", metadata(record, room, truncated, profiles))
        .put("finding_info", info(record, room))
        .put("start_time", milliseconds(&finding.event_time).filter(|_| room.more))
        .put("end_time", last_seen.filter(|_| over && room.more))
        .put("count", record.number(property::PROCESS_COUNT).filter(|count| *count < 1 << 31))
        .put("resources", room.more.then(|| resources(record, room)))
        .put("device", device(record, room).filter(|_| room.processes > 0))
        .put("observables", room.more.then(|| observables(record, evidences.first())))
        .put("evidences", Some(evidences))
        .put("remediation", remediation.map(|text| json!({"desc": text})))
        .some()
        .unwrap_or_default()
}

/// `finding_info`.
fn info(record: &Record, room: Room) -> Option<Value> {
    let finding = &record.finding;
    let analytic = Object::default()
        .put("uid", room.text(Some(&finding.module_name)))
        .put("name", scalar(record, property::ROW).map(|row| format!("row {}", room.cut(&text(&row)))))
        .put("type_id", Some(1))
        .with(&["uid", "name"]);
    let last_seen = record.text(property::LAST_SEEN).and_then(milliseconds);
    Object::default()
        .put("uid", Some(room.cut_id(record)))
        .put("title", room.text(Some(&finding.category)))
        .put("desc", room.text(Some(&finding.description)).filter(|_| room.more))
        .put("types", room.more.then(|| vec![room.cut(&finding.finding_class)]))
        .put("created_time", milliseconds(&finding.event_time))
        .put("modified_time", milliseconds(&finding.create_time))
        .put("first_seen_time", milliseconds(&finding.event_time).filter(|_| room.more))
        .put("last_seen_time", last_seen.filter(|_| room.more))
        .put("analytic", analytic.filter(|_| room.more))
        .put("attacks", room.more.then(|| attacks(record)))
        .some()
}

/// The main tactic with its techniques, then the others.
fn attacks(record: &Record) -> Vec<Value> {
    let Some(mitre) = &record.finding.mitre_attack else { return Vec::new() };
    let find = |table: &[(&str, &str, &str)], name: &str| {
        let found = table.iter().find(|(api, ..)| *api == name)?;
        Some((found.1.contains('.'), json!({"uid": found.1, "name": found.2})))
    };
    let mut main =
        Object::default().put("tactic", find(&TACTICS, &mitre.primary_tactic).map(|found| found.1));
    for (sub, technique) in mitre.primary_techniques.iter().filter_map(|name| find(&TECHNIQUES, name)) {
        main = main.put(if sub { "sub_technique" } else { "technique" }, Some(technique));
    }
    let others = mitre.additional_tactics.iter().filter_map(|name| find(&TACTICS, name));
    main.some().into_iter().chain(others.map(|found| json!({"tactic": found.1}))).collect()
}

/// The pod, and the cluster or host.
fn resources(record: &Record, room: Room) -> Vec<Value> {
    let pod = Object::default()
        .put("uid", room.property(record, property::POD_UID))
        .put("name", room.property(record, property::POD_NAME))
        .put("namespace", room.property(record, property::POD_NAMESPACE))
        .put("type", Some("Pod"))
        .with(&["uid", "name"]);
    let resource = Object::default()
        .put("uid", room.text(Some(&record.resource.name)))
        .put("name", room.text(Some(&record.resource.display_name)))
        .put("type", room.text(Some(&record.resource.kind)))
        .with(&["uid", "name"]);
    pod.into_iter().chain(resource).collect()
}

/// What to look for elsewhere: each names the place in the event that it stands in.
fn observables(record: &Record, evidence: Option<&Value>) -> Vec<Value> {
    let Some(evidence) = evidence else { return Vec::new() };
    let peer = if evidence::is_inbound(record) { "src_endpoint" } else { "dst_endpoint" };
    [
        (format!("evidences[].{peer}.ip"), 2, &evidence[peer]["ip"]),
        (
            "evidences[].process.file.hashes[].value".into(),
            8,
            &evidence["process"]["file"]["hashes"][0]["value"],
        ),
        ("evidences[].process.file.path".into(), 45, &evidence["process"]["file"]["path"]),
        ("evidences[].process.container.uid".into(), 99, &evidence["process"]["container"]["uid"]),
    ]
    .into_iter()
    .filter(|(_, _, value)| value.is_string())
    .map(|(name, kind, value)| json!({"name": name, "type_id": kind, "value": value}))
    .collect()
}

fn severity(severity: Option<Severity>) -> u8 {
    match severity {
        Some(Severity::Critical) => 5,
        Some(Severity::High) => 4,
        Some(Severity::Medium) => 3,
        Some(Severity::Low) => 2,
        None => 0,
    }
}

/// The rows of MEDIUM are those that ordinary programs meet now and then.
fn confidence(severity: Option<Severity>) -> Option<u8> {
    severity.map(|severity| if severity >= Severity::High { 3 } else { 2 })
}
