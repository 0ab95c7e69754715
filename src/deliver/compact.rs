//! A record as one flat object, short enough for syslog.
//!
//! Owns: the fields of the `@cee:` object and cutting them to size: fields are shortened, longest first, between
//! characters; bytes are never cut, so what arrives is always JSON. Must not own: the record's own form.

use serde_json::{Map, Value};

use crate::model::finding::{Record, property};
use crate::model::text::{cut, escape_json, shell_quote};

/// What marks JSON for rsyslog's mmjsonparse and its kin (Common Event Expression).
pub const COOKIE: &str = "@cee: ";

/// The flat object of a record, with `@cee: ` before it, in at most `most` bytes (at least 600).
pub fn compact(record: &Record, most: usize) -> String {
    let mut fields = fields(record);
    let room = most.saturating_sub(COOKIE.len());
    let mut json = render(&fields);
    while json.len() > room {
        fields.insert("truncated".into(), Value::Bool(true));
        if !shorten(&mut fields, json.len() - room) && !leave_out(&mut fields) {
            break;
        }
        json = render(&fields);
    }
    format!("{COOKIE}{json}")
}

/// JSON on one line; what a terminal or a line reader could take for an end of line is escaped too.
fn render(fields: &Map<String, Value>) -> String {
    escape_json(Value::Object(fields.clone()).to_string())
}

/// Shortens the longest text by about `excess` bytes; false if nothing is left to shorten.
fn shorten(fields: &mut Map<String, Value>, excess: usize) -> bool {
    let longest = fields
        .iter()
        .filter_map(|(key, value)| Some((Value::to_string(value).len(), key.clone(), value.as_str()?.len())))
        .max();
    let Some((_, key, length)) = longest.filter(|(_, _, length)| *length > 40) else { return false };
    let keep = length.saturating_sub(excess.max(length / 4)).max(32);
    if let Some(Value::String(text)) = fields.get_mut(&key) {
        *text = format!("{}...", cut(text, keep.min(length.saturating_sub(4))));
    }
    true
}

/// Leaves out the longest field but those that say which finding it is; false if there is none.
fn leave_out(fields: &mut Map<String, Value>) -> bool {
    let kept = |key: &str| matches!(key, "id" | "seq" | "severity" | "state" | "time" | "truncated");
    let others = fields.iter().filter(|(key, _)| !kept(key));
    let longest = others.map(|(key, value)| (value.to_string().len() + key.len(), key.clone())).max();
    longest.is_some_and(|(_, key)| fields.remove(&key).is_some())
}

fn fields(record: &Record) -> Map<String, Value> {
    let finding = &record.finding;
    let mut fields = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value.filter(|value| !value.is_null() && value != "") {
            fields.insert(key.to_owned(), value);
        }
    };
    let text = |text: &str| Some(Value::String(text.to_owned()));
    // Lists and objects, which a record of ours has not in these places, could not be shortened.
    let scalar = |value: &&Value| !value.is_array() && !value.is_object();
    let property = |key: &str| finding.source_properties.get(key).filter(scalar).cloned();
    put("id", text(record.id()));
    put("seq", Some(record.sequence().into()));
    put("state", serde_json::to_value(finding.state).ok());
    put("category", text(&finding.category));
    put("severity", finding.severity.and_then(|severity| text(severity.name())));
    put("time", text(&finding.event_time));
    put("msg", text(&finding.description));
    put("row", property(property::ROW));
    let exe = property(property::PROCESS_BINARY_FULLPATH);
    let subject = finding
        .processes
        .iter()
        .find(|p| exe.as_ref().and_then(Value::as_str) == p.binary.as_ref().map(|b| b.path.as_str()))
        .or(finding.processes.first());
    put("exe", exe);
    let args = finding.source_properties.get(property::PROCESS_ARGUMENTS).and_then(Value::as_array);
    let args = args.map(|list| list.iter().filter_map(Value::as_str).map(shell_quote).collect::<Vec<_>>());
    put("args", args.map(|list| Value::String(list.join(" "))));
    if let Some(process) = subject {
        put("comm", text(&process.name));
        put("pid", text(&process.pid));
        put("ppid", text(&process.parent_pid));
        put("uid", text(&process.user_id));
        put("args_truncated", process.arguments_truncated.then_some(Value::Bool(true)));
        put("sha256", process.binary.as_ref().and_then(|file| text(file.sha256.as_deref()?)));
    }
    put("user", property(property::PROCESS_USER_NAME));
    if let Some(connection) = finding.connections.first() {
        put("peer_ip", connection.destination_ip.as_deref().and_then(text));
        put("peer_port", connection.destination_port.map(Value::from));
        put("local_ip", connection.source_ip.as_deref().and_then(text));
        put("local_port", connection.source_port.map(Value::from));
    }
    put("protocol", property(property::SOCKET_PROTOCOL));
    put("direction", property(property::TETHER_DIRECTION));
    put("scope", property(property::PEER_SCOPE));
    put("tether", property(property::TETHER_KIND));
    put("container_id", property(property::CONTAINER_ID));
    put("runtime", property(property::CONTAINER_RUNTIME));
    put("container", property(property::CONTAINER_NAME));
    put("image", property(property::CONTAINER_IMAGE_URI));
    put("pod", property(property::POD_NAME));
    put("ns", property(property::POD_NAMESPACE));
    put("pod_uid", property(property::POD_UID));
    let excused = finding.source_properties.get(property::EXCUSED_BY);
    put("excused_by", excused.and_then(|excused| text(excused.get("rule")?.as_str()?)));
    let account = finding.source_properties.get(property::SERVICE_ACCOUNT);
    put("service_account", account.and_then(|account| text(account.get("name")?.as_str()?)));
    put("node", property(property::VM_INSTANCE_NAME));
    put("boot_id", property(property::BOOT_ID));
    put("process_count", property(property::PROCESS_COUNT));
    let evidence = finding.source_properties.get(property::EVIDENCE).and_then(Value::as_array);
    let evidence = evidence.map(|list| list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "));
    put("evidence", evidence.map(Value::String));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::detection::State;
    use crate::model::finding::{CATEGORY, Finding, Resource};
    use proptest::prelude::*;

    fn record(description: String, args: Vec<String>) -> Record {
        Record {
            finding: Finding {
                name: format!("organizations/0/sources/tetherd/locations/global/findings/{}", "a".repeat(32)),
                canonical_name: String::new(),
                parent: String::new(),
                parent_display_name: String::new(),
                resource_name: String::new(),
                state: State::Active,
                category: CATEGORY.into(),
                severity: None,
                finding_class: "THREAT".into(),
                mute: "UNDEFINED".into(),
                mute_initiator: None,
                event_time: "2026-11-24T03:50:17Z".into(),
                create_time: String::new(),
                description,
                next_steps: String::new(),
                module_name: String::new(),
                mitre_attack: None,
                indicator: None,
                connections: Vec::new(),
                processes: Vec::new(),
                containers: Vec::new(),
                kubernetes: None,
                source_properties: [(property::PROCESS_ARGUMENTS.to_owned(), Value::from(args))].into(),
            },
            resource: Resource::default(),
        }
    }

    #[test]
    fn a_full_record_fits_the_smallest_message() {
        let mut full = record("d".repeat(500), vec!["a".repeat(500)]);
        for key in
            [property::BOOT_ID, property::POD_UID, property::CONTAINER_ID, property::PROCESS_BINARY_FULLPATH]
        {
            full.finding.source_properties.insert(key.into(), "4f1c9d0e".repeat(8).into());
        }
        for key in [
            property::POD_NAME,
            property::POD_NAMESPACE,
            property::CONTAINER_NAME,
            property::VM_INSTANCE_NAME,
        ] {
            full.finding.source_properties.insert(key.into(), "n".repeat(40).into());
        }
        // Nothing of ours, but a spool can hold it.
        let list: Value = std::iter::repeat_n("x", 1000).collect();
        full.finding.source_properties.insert(property::TETHER_KIND.into(), list);
        let message = compact(&full, 600);
        assert!(message.len() <= 600, "{}: {message}", message.len());
        let json: Value = serde_json::from_str(message.strip_prefix(COOKIE).unwrap()).unwrap();
        assert_eq!(
            (json["id"].as_str(), &json["truncated"]),
            (Some("a".repeat(32).as_str()), &Value::Bool(true))
        );
    }

    proptest! {
        #[test]
        fn always_json_and_short(
            description in ".{0,3000}",
            args in proptest::collection::vec(".{0,2000}", 0..20)
        ) {
            let message = compact(&record(description, args), 7800);
            prop_assert!(message.len() <= 7800);
            let breaks = message.contains(|c| "\n\0\u{85}".contains(c));
            prop_assert!(!breaks);
            let json: Value = serde_json::from_str(message.strip_prefix(COOKIE).unwrap()).unwrap();
            prop_assert_eq!(json["id"].as_str().unwrap(), "a".repeat(32));
        }
    }
}
