//! One line of the spool, read, and shown to people and to receivers (`model::finding`, `deliver::format`, `cli`).
//!
//! Holds: reading and writing a record is stable; what is sent is one line, valid in its form and of the asked length; what
//! goes to a terminal cannot move the cursor and is no wider than it.
#![no_main]

#[path = "../checks/body.rs"]
mod body;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tetherd::cli::columns::columns;
use tetherd::cli::{draw, list};
use tetherd::deliver::format::{Format, Limits, render};
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

    for format in [Format::Compact, Format::Ocsf, Format::Structured, Format::Cef] {
        for bytes in [600, 1180, 7900] {
            let body = render(format, &line, &record, Limits { bytes });
            let message = String::from_utf8(body).expect("UTF-8");
            assert!(message.len() <= bytes, "{} of {bytes}: {message}", message.len());
            assert!(!message.contains(char::is_control), "{message:?}");
            body::check(format, &message);
        }
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
