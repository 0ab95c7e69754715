//! Lists of processes as values of `sourceProperties`.
//!
//! Owns: the form of `Tether_Path`, `Timeline` and `Process_Ancestry`. Must not own: what is on them.
//! Keys inside are lowerCamelCase like those of the API's own messages; 64-bit numbers are strings.

use serde_json::{Value, json};

use crate::model::clock::rfc3339;
use crate::model::detection::Detection;
use crate::model::finding::Process;
use crate::model::look::{Ancestor, Look};
use crate::model::socket::{Address, Socket};
use crate::model::stdio::{Backing, Hop};

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

/// `Timeline`: what ran, in order. Of processes that an earlier daemon recorded, the record has no more than this.
pub(super) fn timeline(detection: &Detection, restored: &[Process], looks: &[&Look]) -> Value {
    let before = restored.iter().map(|process| {
        let args: Vec<Vec<u8>> = process.args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        json!({
            "pid": process.pid.parse::<i64>().unwrap_or_default(),
            "comm": process.name,
            "args": command_line(&args, LINE_MAX),
        })
    });
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
