//! One line of the spool, read, and shown to people and to syslog (`model::finding`, `deliver::format::compact`, `cli`).
//!
//! Holds: reading and writing a record is stable; what goes to syslog is one line of JSON of the asked length; what goes
//! to a terminal cannot move the cursor and is no wider than it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tetherd::cli::columns::columns;
use tetherd::cli::{draw, list};
use tetherd::deliver::format::compact::{COOKIE, compact};
use tetherd::model::finding::Record;

fn fractional(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(list) => list.iter().any(fractional),
        Value::Object(fields) => fields.values().any(fractional),
        _ => false,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = serde_json::from_slice::<Record>(bytes) else { return };
    let line = serde_json::to_string(&record).expect("a record can be written");
    let again: Record = serde_json::from_str(&line).expect("what was written can be read");
    // Fractions lose a last digit in serde_json; tetherd writes none.
    if !record.finding.source_properties.values().any(fractional) {
        assert_eq!(serde_json::to_string(&again).expect("a record can be written"), line);
    }

    for most in [600, 7900] {
        let message = compact(&record, most);
        let json = message.strip_prefix(COOKIE).expect("the cookie comes first");
        serde_json::from_str::<Value>(json).expect("JSON");
        assert!(!message.contains(char::is_control), "{message:?}");
        assert!(message.len() <= most, "{} of {most}: {message}", message.len());
    }

    let safe = |text: &str| {
        for line in text.split('\n') {
            assert!(columns(line) <= 80 && line.chars().count() <= 160, "{line:?}");
            assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
        }
    };
    safe(&draw::draw(&record, true));
    safe(&draw::draw(&record, false));
    safe(&list::row(&record, 80, false));
});
