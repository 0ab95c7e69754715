//! What the spool tells of the time before this start.
//!
//! Owns: which incidents were open when the last daemon ended, and what is known of them. Must not own: reading the
//! spool.

use std::collections::HashMap;

use serde_json::Value;

use crate::engine::incident::Restored;
use crate::model::clock::{Moment, parse_rfc3339};
use crate::model::detection::{Observations, State};
use crate::model::earlier::Earlier;
use crate::model::finding::{Record, property};
use crate::model::ids::{FindingId, ProcessKey};

/// The names of findings that went on, until each is known to go on or to have ended.
pub type Leftovers = HashMap<FindingId, String>;

/// From the newest records of the findings that went on, one by one: there may be thousands, of many kilobytes each.
/// Incidents of this boot can be taken up again; those of an earlier one have ended, and only their names are given.
/// `see` is shown each record.
pub fn restore(
    active: impl Iterator<Item = Record>,
    boot_id: &str,
    mut see: impl FnMut(&Record),
) -> (Vec<Restored>, Leftovers) {
    let (mut of_this_boot, mut leftovers) = (Vec::new(), Leftovers::new());
    for record in active {
        let Ok(id) = record.id().parse() else { continue };
        see(&record);
        if record.text(property::BOOT_ID) == Some(boot_id) {
            of_this_boot.push(restored(id, &record));
        }
        leftovers.insert(id, record.finding.name);
    }
    (of_this_boot, leftovers)
}

fn restored(id: FindingId, record: &Record) -> Restored {
    let observations = record.finding.source_properties.get(property::PROCESS_OBSERVATIONS);
    let observations: Observations =
        observations.cloned().and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    let timeline = record.finding.source_properties.get(property::TIMELINE).and_then(Value::as_array);
    let timeline = timeline.map_or(&[][..], Vec::as_slice);
    Restored {
        id: Some(id),
        process_count: record.number(property::PROCESS_COUNT).unwrap_or(0),
        observations,
        first_seen: Moment { mono_ns: 0, wall_ns: parse_rfc3339(&record.finding.event_time).unwrap_or(0) },
        earlier: Earlier::new(&record.finding.processes, timeline),
        known: timeline.iter().filter_map(key).collect(),
        severity: record.finding.severity,
    }
}

fn key(entry: &Value) -> Option<ProcessKey> {
    let number = |name: &str| match entry.get(name)? {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    };
    let pid = u32::try_from(number("pid")?).ok()?;
    let start = number("startTicks")?;
    Some(ProcessKey { pid: crate::model::ids::Pid(pid), start: crate::model::ids::StartTime(start) })
}

/// The last record of an incident that nothing goes on of.
pub fn ended(mut record: Record, now: Moment) -> Record {
    record.finding.state = State::Inactive;
    record.finding.create_time = now.rfc3339();
    record
}
