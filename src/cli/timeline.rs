//! The commands of a finding, in order.
//!
//! Owns: reading `Timeline`, whatever stands there, and drawing it. Must not own: the tether (`draw`).

use serde_json::Value;

use crate::cli::sheet::Sheet;
use crate::model::finding::{Record, property};

/// Lines that are drawn: the first one and the newest.
const DRAWN_MAX: usize = 40;

/// One command.
#[derive(Debug, PartialEq)]
pub struct Entry {
    /// When (RFC 3339); empty where an earlier run of the daemon saw it.
    pub time: String,
    /// Its process.
    pub pid: String,
    /// `held`, `live`, `inherited`, `swept`.
    pub seen: String,
    /// What was run.
    pub what: String,
    /// Whether it gave the severity.
    pub main: bool,
}

/// What the record has of them.
pub fn entries(record: &Record) -> Vec<Entry> {
    let entries = record.finding.source_properties.get(property::TIMELINE).and_then(Value::as_array);
    entries.into_iter().flatten().map(entry).collect()
}

fn entry(entry: &Value) -> Entry {
    let field = |name: &str| match entry.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let name = field("comm");
    let what = match (field("args"), name.as_str()) {
        (args, _) if !args.is_empty() => args,
        (_, "") => "(gone before it could be read)".into(),
        (_, name) => format!("{name} (arguments gone before they were read)"),
    };
    Entry {
        time: field("time"),
        pid: field("pid"),
        seen: field("seen"),
        what,
        main: entry.get("row").is_some(),
    }
}

/// How many ran: exact, also where the record does not have them all.
pub fn count(record: &Record) -> u64 {
    record.number(property::PROCESS_COUNT).unwrap_or(0)
}

/// Time, process, how it was seen, what was run.
pub fn draw(sheet: &mut Sheet, record: &Record) {
    let (entries, count) = (entries(record), count(record));
    sheet.raw(&format!("\nCommands ({count})"));
    let left_out = entries.len().saturating_sub(DRAWN_MAX);
    let mut day = record.finding.event_time.get(..10).unwrap_or_default().to_owned();
    for (at, entry) in entries.iter().enumerate() {
        if (1..=left_out).contains(&at) {
            if at == 1 {
                sheet.raw(&format!("  ... {left_out} more; `show --json` has them"));
            }
            continue;
        }
        if let Some(date) = entry.time.get(..10).filter(|date| *date != day) {
            sheet.line(&format!("  on {date}"));
            day = date.to_owned();
        }
        let clock = entry.time.get(11..23).unwrap_or(&entry.time);
        let mark = if entry.main && entries.len() > 1 { '*' } else { ' ' };
        let line = format!(
            "{mark} {:<12}  {:>7}  {:<9}  {}",
            sheet.fit(clock, 12),
            sheet.fit(&entry.pid, 7),
            sheet.fit(&entry.seen, 9),
            entry.what
        );
        sheet.line(&line);
    }
    let unknown = count.saturating_sub(entries.len() as u64);
    if unknown > 0 {
        sheet.raw(&format!("  {unknown} more ran that this record has no room for"));
    }
    if entries.len() > 1 && entries.iter().any(|entry| entry.main) {
        sheet.raw("  * gave the severity; times are UTC");
    }
}

/// A time for people.
pub fn short(time: &str) -> String {
    time.get(..19).map_or_else(|| time.to_owned(), |time| format!("{}Z", time.replace('T', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Moment;
    use crate::model::finding::CATEGORY;
    use crate::spool::record::observation;
    use serde_json::json;

    fn drawn(timeline: Value, count: u64) -> String {
        let now = Moment { mono_ns: 1, wall_ns: 1_795_492_217_000_000_000 };
        let properties =
            [(property::TIMELINE, timeline), (property::PROCESS_COUNT, count.to_string().into())];
        let properties = properties.map(|(key, value)| (key.to_owned(), value));
        let mut sheet = Sheet::new(true);
        draw(&mut sheet, &observation(CATEGORY, "x", properties.into(), now, "boot"));
        sheet.end()
    }

    #[test]
    fn what_is_there_and_what_is_not() {
        let text = drawn(
            json!([
                {"time": "2026-11-24T23:59:59.123456789Z", "pid": 7, "seen": "live", "comm": "sh", "args": "sh -i", "row": 1},
                {"time": "2026-11-25T00:00:01.000000001Z", "pid": 8, "seen": "inherited", "comm": "id", "args": ""},
                {"pid": 9, "args": "x".repeat(200)},
                {"time": 1, "args": {"a": "\u{1b}"}},
                "no entry"
            ]),
            9,
        );
        let expected = "\nCommands (9)\n\
            * 23:59:59.123        7  live       sh -i\n  \
              on 2026-11-25\n  \
              00:00:01.000        8  inherited  id (arguments gone before they were read)\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("4 more ran that this record has no room for\n"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80) && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn the_first_and_the_newest() {
        let entries: Vec<Value> =
            (0..100).map(|pid| json!({"pid": pid, "args": format!("command {pid}")})).collect();
        let text = drawn(entries.into(), 100);
        assert!(text.contains("command 0\n") && text.contains("command 99\n"), "{text}");
        assert!(
            text.contains("  ... 60 more;")
                && !text.contains("command 60\n")
                && text.contains("command 61\n")
        );
    }
}
