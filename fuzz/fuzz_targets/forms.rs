//! Whole messages of records in which any text is anybody's (`deliver::{message, format}`).
//!
//! The input says which record, which transport and form, how long a message may be, and what stands in which of the
//! record's texts, and how often. Holds: a message is as long as the destination takes at most, is one line, has the
//! header of its transport, and a body that is whole in its form.
#![no_main]

#[path = "../checks/body.rs"]
mod body;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tetherd::deliver::format::Format;
use tetherd::deliver::message::{MESSAGE_SHORT, Messages};
use tetherd::deliver::settings::{Destination, MESSAGE_BYTES, Transport};
use tetherd::spool::reader::Entry;
use tetherd::spool::segment::Position;

/// A record, and where its texts are.
struct Base {
    record: Value,
    texts: Vec<String>,
}

static BASES: LazyLock<[Base; 3]> = LazyLock::new(|| {
    [
        include_str!("../../docs/examples/finding.json"),
        include_str!("../seeds/record/small"),
        include_str!("../seeds/record/observation"),
    ]
    .map(|text| {
        let record = serde_json::from_str(text).expect("a record");
        let mut texts = Vec::new();
        places(&record, String::new(), &mut texts);
        Base { record, texts }
    })
});

/// JSON pointers to all texts.
fn places(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, value)| places(value, format!("{at}/{i}"), found));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| places(value, format!("{at}/{key}"), found));
        }
        _ => {}
    }
}

/// PRI, and what follows the header.
fn behind_header(local: bool, message: &str) -> (u16, &str) {
    let (priority, rest) = message.strip_prefix('<').and_then(|rest| rest.split_once('>')).expect("a PRI");
    let rest = if local {
        let (stamp, rest) = rest.split_at(16);
        assert!(stamp.is_ascii() && stamp.ends_with(' '), "{message}");
        let (tag, rest) = rest.split_once(": ").expect("a tag");
        assert!(tag.starts_with("tetherd[") && tag.ends_with(']'), "{message}");
        rest
    } else {
        let mut parts = rest.splitn(7, ' ');
        let [version, time, host, app, pid, kind] =
            [(); 6].map(|()| parts.next().filter(|part| !part.is_empty()).expect("a part of the header"));
        assert!(version == "1" && app == "tetherd" && pid.parse::<u32>().is_ok(), "{message}");
        assert!(time == "-" || (time.len() <= 32 && time.ends_with('Z')), "{message}");
        assert!(host.len() <= 255 && host.bytes().all(|b| b.is_ascii_graphic()), "{message}");
        assert!(matches!(kind, "finding" | "observation"), "{message}");
        parts.next().expect("structured data")
    };
    (priority.parse().expect("digits"), rest)
}

fuzz_target!(|bytes: &[u8]| {
    let [which, way, length, rest @ ..] = bytes else { return };
    let base = &BASES[usize::from(*which) % BASES.len()];
    let mut value = base.record.clone();
    let mut host = String::new();
    // FF ends a text: it is in no UTF-8.
    for part in rest.split(|&b| b == 0xff) {
        let [place, often, text @ ..] = part else { continue };
        let text = String::from_utf8_lossy(text).repeat(1 << (often % 8));
        match base.texts.get(usize::from(*place)).and_then(|place| value.pointer_mut(place)) {
            Some(old) => *old = Value::String(text),
            None => host = text,
        }
    }
    let Ok(record) = serde_json::from_value(value) else { return };
    let line = serde_json::to_string(&record).expect("a record can be written");
    let position = Position { segment: 1, offset: 0 };
    let entry = Entry { position, next: position, line, record };

    let transport = Transport::ALL[usize::from(way >> 4) % Transport::ALL.len()];
    let mut format = Format::ALL[usize::from(way & 15) % Format::ALL.len()];
    if transport == Transport::DevLog && format.has_structured_data() {
        format = Format::Compact;
    }
    let most = MESSAGE_BYTES.0 + usize::from(*length) * 32;
    let destination = Destination {
        transport: Some(transport),
        format: Some(format),
        message_bytes: Some(most),
        ..Destination::default()
    };
    let messages = Messages::new(&destination, &host);
    for (message, most) in [(messages.of(&entry), most), (messages.short(&entry), MESSAGE_SHORT)] {
        let message = String::from_utf8(message).expect("UTF-8");
        assert!(message.len() <= most, "{} of {most}: {message}", message.len());
        let (priority, rest) = behind_header(transport == Transport::DevLog, &message);
        assert!(priority < 192, "{message}");
        let body = match transport {
            Transport::DevLog => rest,
            _ if format.has_structured_data() => rest,
            _ => rest.strip_prefix("- ").expect("no structured data"),
        };
        // A line of the spool that is too long is replaced by the compact form.
        let form = if format == Format::Scc && body != entry.line { Format::Compact } else { format };
        body::check(form, body);
        assert!(form == Format::Scc || !message.contains(char::is_control), "{message:?}");
    }
});
