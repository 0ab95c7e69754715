//! A record as a line of the right length.
//!
//! Owns: writing a record as JSON, shortening it by fields where it would be longer than [`LINE_MAX`], padding it where
//! it would be shorter than [`LINE_MIN`]. Bytes of JSON are never cut. Must not own: what the fields mean.

use serde_json::Value;

use crate::model::finding::{LINE_MAX, Record, property};
use crate::model::text::cut;

/// The shortest line, in bytes without its newline: Filebeat takes up a file when its first 1,024 bytes are there.
pub(super) const LINE_MIN: usize = 1024;

/// Fills a short line; means nothing.
const PADDING: &str = "Padding";

/// Longest text and most items of a list, tried one after the other. Texts of up to 200 bytes stay: names, times,
/// hashes. The lengths are multiples of 4, so that base64 stays decodable.
const STEPS: [(usize, usize); 6] = [(4096, 256), (2048, 64), (1024, 32), (512, 16), (200, 8), (200, 3)];

/// Source properties that stay when nothing else helps.
const ESSENTIAL: [&str; 10] = [
    property::BOOT_ID,
    property::PEER_SCOPE,
    property::PREVIOUS_SHA256,
    property::PROCESS_COUNT,
    property::ROW,
    property::SCHEMA_VERSION,
    property::SEQUENCE,
    property::TETHER_DIRECTION,
    property::TETHER_KIND,
    property::VM_INSTANCE_NAME,
];

/// The line, without its newline, and whether the record had to be shortened for it.
pub(super) fn line(record: &Record) -> serde_json::Result<(String, bool)> {
    let text = serde_json::to_string(record)?;
    if text.len() < LINE_MIN {
        return pad(record.clone(), text.len()).map(|text| (text, false));
    }
    if text.len() <= LINE_MAX {
        return Ok((text, false));
    }
    let mut short = record.clone();
    // Commands first: what began the incident and what came last say most, so the oldest after the first go.
    loop {
        let text = serde_json::to_string(&short)?;
        let processes = &mut short.finding.processes;
        if text.len() <= LINE_MAX {
            return Ok((text, true));
        }
        if processes.len() <= 8 {
            break;
        }
        // Half of what is above the minimum at a time, so that the loop ends soon.
        let surplus = (processes.len() - 6) / 2;
        processes.drain(1..=surplus);
    }
    for (longest, most) in STEPS {
        let mut value = serde_json::to_value(&short)?;
        limit(&mut value, longest, most);
        short = serde_json::from_value(value)?;
        let text = serde_json::to_string(&short)?;
        if text.len() <= LINE_MAX {
            return Ok((text, true));
        }
    }
    let finding = &mut short.finding;
    finding.source_properties.retain(|key, _| ESSENTIAL.contains(&key.as_str()));
    finding.containers.clear();
    finding.kubernetes = None;
    finding.processes.truncate(1);
    Ok((serde_json::to_string(&short)?, true))
}

/// Shortens every text and list in `value`.
fn limit(value: &mut Value, longest: usize, most: usize) {
    match value {
        Value::String(text) => {
            let kept = cut(text, longest).len();
            text.truncate(kept);
        }
        Value::Array(items) => {
            if items.len() > most {
                // The first and the newest stay.
                items.drain(1..=items.len() - most);
            }
            items.iter_mut().for_each(|item| limit(item, longest, most));
        }
        Value::Object(fields) => {
            let before = fields.get("args").cloned();
            fields.values_mut().for_each(|field| limit(field, longest, most));
            if let (Some(before), Some(after)) = (before, fields.get("args"))
                && before != *after
            {
                fields.insert("argumentsTruncated".into(), true.into());
            }
        }
        _ => {}
    }
}

fn pad(mut record: Record, length: usize) -> serde_json::Result<String> {
    let frame = PADDING.len() + r#","":"""#.len();
    let fill = LINE_MIN.saturating_sub(length + frame);
    record.finding.source_properties.insert(PADDING.into(), ".".repeat(fill).into());
    serde_json::to_string(&record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Moment;
    use crate::model::finding::Process;
    use crate::spool::record::observation;
    use proptest::prelude::*;

    fn record() -> Record {
        observation("c", "d", Default::default(), Moment::default(), "boot")
    }

    fn process(pid: usize, arg: &str, args: usize) -> Process {
        Process { pid: pid.to_string(), args: vec![arg.to_owned(); args], ..Process::default() }
    }

    #[test]
    fn short_records_are_padded() {
        let (text, shortened) = line(&record()).unwrap();
        assert!((LINE_MIN..LINE_MIN + 16).contains(&text.len()) && !shortened, "{}", text.len());
        assert!(serde_json::from_str::<Record>(&text).unwrap().text(PADDING).unwrap().starts_with("..."));
    }

    #[test]
    fn commands_go_from_the_middle_first() {
        let mut long = record();
        long.finding.processes = (0..400).map(|pid| process(pid, "argument", 10)).collect();
        let (text, shortened) = line(&long).unwrap();
        let short: Record = serde_json::from_str(&text).unwrap();
        assert!(shortened && text.len() <= LINE_MAX);
        let pids: Vec<&str> = short.finding.processes.iter().map(|p| p.pid.as_str()).collect();
        assert_eq!(pids.first(), Some(&"0"));
        assert_eq!(pids.last(), Some(&"399"));
        assert!(pids.len() > 20, "{}", pids.len());
        assert_eq!(short.finding.processes[0], long.finding.processes[0]);
    }

    #[test]
    fn arguments_are_marked() {
        let mut long = record();
        long.finding.processes = vec![process(1, &"é".repeat(100_000), 3), process(2, "short", 1)];
        let short: Record = serde_json::from_str(&line(&long).unwrap().0).unwrap();
        assert!(short.finding.processes[0].arguments_truncated);
        assert!(!short.finding.processes[1].arguments_truncated);
        assert!(short.finding.processes[0].args[0].starts_with("éééé"));
        assert_eq!(short.finding.name, long.finding.name);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn always_fits(pids in 0usize..100, args in 0usize..30, length in 0usize..1500, text in "[\0\"é]{1,4}",
                       keys in 0usize..60) {
            let mut long = record();
            long.finding.description = text.repeat(length);
            long.finding.processes = (0..pids).map(|pid| process(pid, &text.repeat(length.min(200)), args)).collect();
            for key in 0..keys {
                long.finding.source_properties.insert(format!("Key_{key}"), text.repeat(length).into());
            }
            let (line, _) = line(&long).unwrap();
            prop_assert!((LINE_MIN..=LINE_MAX).contains(&line.len()), "{}", line.len());
            let short: Record = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(short.finding.name, long.finding.name);
            prop_assert_eq!(short.finding.processes.first().map(|p| p.pid.clone()),
                            long.finding.processes.first().map(|p| p.pid.clone()));
        }
    }
}
