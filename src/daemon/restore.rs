//! What the spool tells of the time before this start.
//!
//! Owns: which incidents were open when the last daemon ended, and what is known of them. Must not own: reading the
//! spool.

use std::collections::HashMap;

use serde_json::Value;

use crate::engine::incident::Restored;
use crate::model::clock::{Moment, parse_rfc3339};
use crate::model::detection::{Observations, State};
use crate::model::finding::{Record, property};
use crate::model::ids::{FindingId, ProcessKey};

/// The newest records of open incidents, by name.
pub type Leftovers = HashMap<FindingId, Record>;

/// From the newest records of the findings that went on. Incidents of this boot can be taken up again; those of an
/// earlier one have ended, and only their records are given.
pub fn restore(active: Vec<Record>, boot_id: &str) -> (Vec<Restored>, Leftovers) {
    let leftovers: Leftovers =
        active.into_iter().filter_map(|record| Some((record.id().parse().ok()?, record))).collect();
    let restored = leftovers
        .iter()
        .filter(|(_, record)| record.text(property::BOOT_ID) == Some(boot_id))
        .map(|(id, record)| restored(*id, record))
        .collect();
    (restored, leftovers)
}

fn restored(id: FindingId, record: &Record) -> Restored {
    let observations = record.finding.source_properties.get(property::PROCESS_OBSERVATIONS);
    let observations: Observations =
        observations.cloned().and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    let timeline = record.finding.source_properties.get(property::TIMELINE).and_then(Value::as_array);
    Restored {
        id: Some(id),
        process_count: record.number(property::PROCESS_COUNT).unwrap_or(0),
        observations,
        first_seen: Moment { mono_ns: 0, wall_ns: parse_rfc3339(&record.finding.event_time).unwrap_or(0) },
        processes: record.finding.processes.iter().filter_map(|p| serde_json::to_value(p).ok()).collect(),
        known: timeline.into_iter().flatten().filter_map(key).collect(),
        timeline: timeline.cloned().unwrap_or_default(),
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
