//! A record as an event of the Open Cybersecurity Schema Framework, version 1.8.0.
//!
//! Owns: which class a record is, what all classes share, making an event as long as it may be. Must not own: what a
//! finding says (`finding`, `evidence`), what other records say (`event`).
//!
//! A finding is a Detection Finding (class 2004). What tetherd says about itself is a Base Event (class 0), the class for
//! what the schema has no class for, so that a new kind of record needs nothing here. An event is built anew with ever
//! less room for its texts and lists until it fits: every one of them is valid.

mod event;
mod evidence;
mod finding;

use serde_json::{Value, json};

use super::cef::class;
use super::flat::is_finding;
use super::object::Object;
use crate::model::clock::parse_rfc3339;
use crate::model::finding::{Record, property};
use crate::model::text::{cut, escape_json};

/// The version of the schema.
pub const VERSION: &str = "1.8.0";

/// How much an event may say.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// Most bytes of one text.
    text: usize,
    /// Most processes.
    processes: usize,
    /// Whether there is room for what a receiver can do without.
    more: bool,
}

/// Tried one after the other. The last one fits into the least that a form is asked for.
const ROOMS: [Room; 8] = [
    Room { text: 4096, processes: 32, more: true },
    Room { text: 1024, processes: 16, more: true },
    Room { text: 512, processes: 8, more: true },
    Room { text: 256, processes: 4, more: true },
    Room { text: 256, processes: 1, more: true },
    Room { text: 128, processes: 1, more: false },
    Room { text: 64, processes: 1, more: false },
    Room { text: 16, processes: 0, more: false },
];

impl Room {
    /// A text, cut.
    fn cut(self, text: &str) -> String {
        cut(text, self.text).to_owned()
    }

    /// A text that is there, cut.
    fn text(self, text: Option<&str>) -> Option<String> {
        text.filter(|text| !text.is_empty()).map(|text| self.cut(text))
    }

    /// A property that is a text, cut.
    fn property(self, record: &Record, key: &str) -> Option<String> {
        self.text(record.text(key))
    }

    /// A value of JSON with every text and list in it cut.
    fn value(self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.cut(text).into(),
            Value::Array(list) => list.iter().take(64).map(|value| self.value(value)).collect(),
            Value::Object(fields) => {
                fields.iter().take(256).map(|(key, value)| (self.cut(key), self.value(value))).collect()
            }
            value => value.clone(),
        }
    }
}

/// One line, in at most `most` bytes (at least 600).
pub fn ocsf(record: &Record, most: usize) -> String {
    let mut json = String::new();
    for (tries, room) in ROOMS.into_iter().enumerate() {
        let event = match is_finding(record) {
            true => finding::event(record, room, tries > 0),
            false => event::event(record, room, tries > 0),
        };
        json = escape_json(event.to_string());
        if json.len() <= most {
            break;
        }
    }
    json
}

/// `metadata`, which every event has.
fn metadata(record: &Record, room: Room, truncated: bool, profiles: &[&str]) -> Option<Value> {
    let id = room.cut_id(record);
    let product = json!({"name": "tetherd", "vendor_name": "tetherd", "version": env!("CARGO_PKG_VERSION")});
    let name = record.finding.category.rsplit(": ").next().unwrap_or_default();
    Object::default()
        .put("version", Some(VERSION))
        .put("uid", Some(format!("{id}-{}", record.sequence())))
        .put("sequence", Some(record.sequence()))
        .put("is_truncated", truncated.then_some(true))
        .put("profiles", Some(profiles))
        .put("product", Some(product))
        .put("event_code", room.more.then(|| class(name)))
        .put("log_name", room.more.then_some("findings"))
        .put("logged_time", milliseconds(&record.finding.create_time).filter(|_| room.more))
        .some()
}

impl Room {
    /// The finding's id: 32 digits, which all but the last of the rooms have room for and none may cut. Of any other that a
    /// spool can hold, no character may take more room than one byte.
    fn cut_id(self, record: &Record) -> String {
        let long = |c: char| !c.is_ascii_graphic() || matches!(c, '"' | '\\');
        cut(&record.id().replace(long, "?"), 40).to_owned()
    }
}

/// The machine.
fn device(record: &Record, room: Room) -> Option<Value> {
    Object::default()
        .put("hostname", room.property(record, property::VM_INSTANCE_NAME))
        .put("boot_uid", room.property(record, property::BOOT_ID).filter(|_| room.more))
        .put("type_id", Some(0))
        .put("os", room.more.then(|| json!({"name": "Linux", "type_id": 200})))
        .with(&["hostname"])
}

/// Milliseconds after 1970.
fn milliseconds(text: &str) -> Option<u64> {
    parse_rfc3339(text).map(|ns| ns / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{any_record, observation, record};
    use super::*;
    use crate::model::detection::State;
    use proptest::prelude::*;

    fn parse(record: &Record, most: usize) -> Value {
        serde_json::from_str(&ocsf(record, most)).unwrap()
    }

    #[test]
    fn a_finding() {
        let event = parse(&record(), 7900);
        assert_eq!(event["class_uid"], 2004);
        assert_eq!(event["metadata"]["profiles"], json!(["container", "host"]));
        assert_eq!(event["finding_info"]["uid"], json!("a".repeat(32)));
        assert_eq!(event["metadata"]["uid"], json!(format!("{}-1042", "a".repeat(32))));
        assert_eq!(
            event["finding_info"]["attacks"][0],
            json!({"tactic": {"uid": "TA0002", "name": "Execution"},
                   "technique": {"uid": "T1059", "name": "Command and Scripting Interpreter"},
                   "sub_technique": {"uid": "T1059.004", "name": "Unix Shell"}})
        );
        let evidence = &event["evidences"][0];
        assert_eq!(evidence["dst_endpoint"], json!({"ip": "203.0.113.9", "port": 4444}));
        assert_eq!(evidence["process"]["container"]["pod_uuid"], "63b3ebfc-2890-41e9-8154-16bf8ef8d9dc");
        assert_eq!(evidence["process"]["cmd_line"], "sh -i");
        assert_eq!(event["metadata"].get("is_truncated"), None);
    }

    #[test]
    fn an_attack_that_is_over_is_not_dealt_with() {
        let mut record = record();
        record.finding.state = State::Inactive;
        let event = parse(&record, 7900);
        assert_eq!((&event["status_id"], &event["activity_id"]), (&json!(1), &json!(2)));
        assert_eq!(
            (&event["type_uid"], &event["end_time"]),
            (&json!(200_402), &json!(1_795_492_219_000_u64))
        );
    }

    #[test]
    fn a_withdrawn_finding_is_suppressed() {
        let mut record = record();
        let excused = json!({"rule": "debug-pods", "reason": "r"});
        record.finding.source_properties.insert(property::EXCUSED_BY.into(), excused);
        let event = parse(&record, 7900);
        assert_eq!(event["status_id"], 3);
        assert_eq!(event["status_detail"], "the allow rule debug-pods excuses it");
    }

    #[test]
    fn who_opened_the_connection_is_the_source() {
        let mut record = record();
        record.finding.source_properties.insert(property::TETHER_DIRECTION.into(), "inbound".into());
        let evidence = parse(&record, 7900)["evidences"][0].clone();
        assert_eq!(evidence["src_endpoint"], json!({"ip": "203.0.113.9", "port": 4444}));
        assert_eq!(evidence["connection_info"]["direction_id"], 1);
    }

    #[test]
    fn without_a_container_the_profile_is_not_claimed() {
        let mut record = record();
        record.finding.source_properties.remove(property::CONTAINER_ID);
        record.finding.source_properties.remove(property::CONTAINER_NAME);
        record.finding.containers.clear();
        let event = parse(&record, 7900);
        assert_eq!(event["metadata"]["profiles"], json!(["host"]));
        assert_eq!(event["evidences"][0]["process"].get("container"), None);
    }

    #[test]
    fn a_record_that_is_no_finding_tells_all_it_has() {
        let event = parse(&observation(), 7900);
        assert_eq!((&event["class_uid"], &event["type_uid"]), (&json!(0), &json!(99)));
        assert_eq!(event["unmapped"]["Losses"], json!({"kernel-overflow": 3}));
        assert_eq!(event["unmapped"].get("Padding"), None);
    }

    #[test]
    fn an_id_that_is_none_of_ours_fits() {
        let mut record = record();
        record.finding.name = format!("findings/{}", "\u{1b}".repeat(80));
        let line = ocsf(&record, 600);
        assert!(line.len() <= 600, "{}: {line}", line.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn always_whole_and_short(record in any_record(), most in 600usize..8000) {
            let line = ocsf(&record, most);
            prop_assert!(line.len() <= most, "{} of {most}: {line}", line.len());
            prop_assert!(!line.contains(char::is_control));
            let event: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(event["metadata"]["sequence"].as_u64(), Some(record.sequence()));
            prop_assert!(event["time"].is_u64() && event["severity_id"].is_u64());
        }
    }
}
