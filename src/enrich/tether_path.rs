//! Lists of processes as values of `sourceProperties`.
//!
//! Owns: the form of `Tether_Path`, `Timeline` and `Process_Ancestry`. Must not own: what is on them.
//! Keys inside are lowerCamelCase like those of the API's own messages; 64-bit numbers are strings.

use serde_json::{Value, json};

use crate::model::clock::rfc3339;
use crate::model::detection::Detection;
use crate::model::earlier::Entries;
use crate::model::look::{Ancestor, Look};
use crate::model::socket::{Address, Socket};
use crate::model::stdio::{Backing, Hop};
use crate::model::text::cut;

use super::process::{bounded, command_line};
use super::record::is_subject;

/// The longest command line in a list, in bytes.
const LINE_MAX: usize = 200;
/// The longest path in a list, in bytes.
const PATH_MAX: usize = 512;
/// The longest name of a process, in bytes; the kernel's is 15.
const COMM_MAX: usize = 64;

/// `Tether_Path`: every hop, from the command outwards.
pub(super) fn path(hops: &[Hop]) -> Value {
    hops.iter().map(hop).collect()
}

fn hop(hop: &Hop) -> Value {
    let mut value = json!({
        "pid": hop.process.pid,
        "startTicks": hop.process.start.to_string(),
        "comm": bounded(&hop.comm, COMM_MAX),
        "fds": hop.fds,
        "backing": bounded(hop.backing.describe().as_bytes(), PATH_MAX),
    });
    if let Backing::Network(socket) | Backing::Listener(socket) = &hop.backing {
        value["socket"] = self::socket(socket);
    }
    value
}

fn socket(socket: &Socket) -> Value {
    let mut value = json!({
        "protocol": socket.protocol_name(),
        "inode": socket.inode.to_string(),
        "foundBy": socket.found_by,
    });
    let text = |address: Address| Value::from(address.to_string());
    for (key, known) in [
        ("local", socket.local.map(text)),
        ("peer", socket.peer.address().map(text)),
        ("cookie", socket.cookie.map(|cookie| cookie.to_string().into())),
        ("netNamespace", socket.net_ns.map(|inode| inode.to_string().into())),
    ] {
        if let Some(known) = known {
            value[key] = known;
        }
    }
    value
}

/// `Timeline`: what ran, in order.
pub(super) fn timeline(detection: &Detection, looks: &[&Look], earlier: &Entries) -> Value {
    let before = earlier.timeline.iter().filter_map(restored);
    let now = looks.iter().map(|look| {
        let mut value = json!({
            "time": rfc3339(look.at.wall_ns),
            "pid": look.key.pid,
            "startTicks": look.key.start.to_string(),
            "comm": bounded(&look.comm, COMM_MAX),
            "args": command_line(&look.args.list, LINE_MAX),
            "seen": look.seen.name(),
        });
        if is_subject(detection, look) {
            value["row"] = detection.row.number().into();
        }
        value
    });
    before.chain(now).collect()
}

/// An entry that an earlier daemon recorded, with the bounds of this one's; `None` where it is not one.
fn restored(entry: &Value) -> Option<Value> {
    let mut value = json!({ "pid": entry.get("pid")?.as_u64()? });
    for (key, most) in
        [("time", 40), ("startTicks", 20), ("comm", COMM_MAX), ("args", LINE_MAX), ("seen", 16)]
    {
        if let Some(text) = entry.get(key).and_then(Value::as_str) {
            value[key] = cut(text, most).into();
        }
    }
    if let Some(row) = entry.get("row").and_then(Value::as_u64) {
        value["row"] = row.into();
    }
    Some(value)
}

/// `Process_Ancestry`: parents up to pid 1, nearest first.
pub(super) fn ancestry(ancestors: &[Ancestor]) -> Value {
    ancestors
        .iter()
        .map(|up| {
            json!({
                "pid": up.key.pid,
                "comm": bounded(&up.comm, COMM_MAX),
                "exe": bounded(&up.exe, PATH_MAX),
                "args": command_line(&up.args.list, LINE_MAX),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restored_entries_stay_as_they_are_and_are_checked() {
        let entry = json!({
            "time": "2026-11-24T03:50:17.000000001Z", "pid": 7, "startTicks": "42", "comm": "sh", "args": "sh -i",
            "seen": "live", "row": 1
        });
        assert_eq!(restored(&entry), Some(entry.clone()));
        let mut long = entry.clone();
        long["args"] = "x".repeat(1000).into();
        long["other"] = 1.into();
        let kept = restored(&long).unwrap();
        assert_eq!((kept["args"].as_str().unwrap().len(), kept.get("other")), (LINE_MAX, None));
        for bad in [json!("x"), json!({}), json!({"pid": "7"}), json!({"pid": -1})] {
            assert_eq!(restored(&bad), None, "{bad}");
        }
    }
}
