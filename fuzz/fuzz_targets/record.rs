//! One line of the spool, read, and shown to people and to receivers (`model::finding`, `deliver::format`, `cli`).
//!
//! Holds: reading and writing a record is stable; what is sent is one line, valid in its form and of the asked length; what
//! goes to a terminal cannot move the cursor and is no wider than it.
#![no_main]

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

/// Whether a message is all of its form: a cut one would not end as it has to.
fn whole(format: Format, message: &str) {
    match format {
        Format::Scc => {}
        Format::Compact => {
            let json = message.strip_prefix("@cee: ").expect("the cookie comes first");
            serde_json::from_str::<Value>(json).expect("JSON");
        }
        Format::Ocsf => {
            let event: Value = serde_json::from_str(message).expect("JSON");
            assert!(event["time"].is_u64() && event["metadata"]["sequence"].is_u64(), "{message}");
        }
        Format::Structured => {
            let (mut escaped, mut quoted, mut open) = (false, false, 0);
            for c in message.chars().take_while(|c| *c != ' ' || open > 0) {
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '"' => quoted = !quoted,
                    '[' if !quoted => open += 1,
                    ']' if !quoted => open -= 1,
                    ']' => panic!("not escaped: {message}"),
                    _ => {}
                }
                assert!(open == 0 || open == 1, "{message}");
            }
            assert!(!escaped && !quoted && open == 0, "{message}");
        }
        Format::Cef => {
            let (mut escaped, mut bars) = (false, 0);
            for c in message.chars() {
                match c {
                    _ if std::mem::take(&mut escaped) => {
                        let known = if bars < 7 { r"\|" } else { r"\=nr" };
                        assert!(known.contains(c), "{c} behind a backslash: {message}");
                    }
                    '\\' => escaped = true,
                    '|' => bars += 1,
                    _ => {}
                }
            }
            assert!(message.starts_with("CEF:0|tetherd|tetherd|") && bars >= 7 && !escaped, "{message}");
        }
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
            whole(format, &message);
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
