//! The evidences of a finding: the process that gave the severity with its connection, then what else ran.
//!
//! Owns: processes, files, containers, endpoints. Must not own: what is said of the finding as a whole.

use serde_json::{Value, json};

use super::super::flat::{command_line, subject};
use super::super::object::Object;
use super::{Room, milliseconds};
use crate::model::finding::{Connection, File, Process, Record, property};
use crate::model::text::shell_quote;

/// The evidences, the main process first.
pub(super) fn evidences(record: &Record, room: Room) -> Vec<Value> {
    if room.processes == 0 {
        return Vec::new();
    }
    let main = subject(record);
    let connection = record.finding.connections.first();
    let (from, to) = match connection {
        Some(connection) => endpoints(connection, is_inbound(record), room),
        None => (None, None),
    };
    let first = Object::default()
        .put("process", main.and_then(|process| main_process(record, process, room)))
        .put("src_endpoint", from)
        .put("dst_endpoint", to)
        .put("connection_info", connection.map(|connection| connection_info(record, connection)))
        .put("data", room.more.then(|| data(record, room)))
        .with(&["process", "src_endpoint", "dst_endpoint", "data"]);
    let others =
        record.finding.processes.iter().filter(|other| main.is_none_or(|main| !std::ptr::eq(*other, main)));
    let others = others.filter_map(|other| {
        let args: Vec<String> = other.args.iter().map(|arg| shell_quote(arg)).collect();
        let process = process(other, room, Some(args.join(" "))).with(&["pid"])?;
        Some(json!({"process": process}))
    });
    first.into_iter().chain(others.take(room.processes - 1)).collect()
}

/// Whether the peer opened the connection.
pub(super) fn is_inbound(record: &Record) -> bool {
    record.text(property::TETHER_DIRECTION) == Some("inbound")
}

/// The container, if it is in one.
pub(super) fn container(record: &Record, room: Room) -> Option<Value> {
    let known = record.finding.containers.first();
    let uri = known.and_then(|container| container.uri.as_deref());
    let image_id = known.and_then(|container| container.image_id.as_deref());
    let image = Object::default()
        // The schema wants an id; where the digest is not known, what the image was asked for by is one.
        .put("uid", room.text(image_id.or(uri)))
        .put("name", room.text(uri))
        .with(&["uid"]);
    let pod_uid = record.text(property::POD_UID).filter(|uid| is_uuid(uid));
    Object::default()
        .put("uid", room.property(record, property::CONTAINER_ID))
        .put("name", room.property(record, property::CONTAINER_NAME))
        .put("runtime", room.property(record, property::CONTAINER_RUNTIME))
        .put("orchestrator", record.text(property::POD_UID).map(|_| "kubernetes"))
        .put("pod_uuid", pod_uid)
        .put("image", image)
        .with(&["uid", "name"])
}

fn main_process(record: &Record, main: &Process, room: Room) -> Option<Value> {
    let user = Object::default()
        .put("uid", room.text(Some(&main.user_id)))
        .put("name", room.property(record, property::PROCESS_USER_NAME))
        .with(&["uid", "name"]);
    let parent_pid = main.parent_pid.parse::<u32>().ok().filter(|pid| *pid > 0);
    let parent = Object::default()
        .put("pid", parent_pid)
        .put("path", room.property(record, property::PARENT_BINARY_FULLPATH))
        .with(&["pid"]);
    let created = record.text(property::PROCESS_CREATION_TIMESTAMP).and_then(milliseconds);
    process(main, room, command_line(record))
        .put("created_time", created)
        .put("user", user)
        .put("parent_process", parent)
        .put(
            "working_directory",
            room.property(record, property::PROCESS_WORKING_DIRECTORY).filter(|_| room.more),
        )
        .put("container", container(record, room))
        .with(&["pid"])
}

fn process(process: &Process, room: Room, command_line: Option<String>) -> Object {
    Object::default()
        .put("pid", process.pid.parse::<u32>().ok())
        .put("name", room.text(Some(&process.name)))
        .put("cmd_line", room.text(command_line.as_deref()))
        .put("file", process.binary.as_ref().and_then(|binary| file(binary, room)))
}

fn file(file: &File, room: Room) -> Option<Value> {
    let name = file.path.rsplit('/').find(|part| !part.is_empty());
    let partial = file.partially_hashed;
    let hash = file.sha256.as_deref().filter(|hash| !partial && hash.len() == 64);
    Object::default()
        .put("name", room.text(name))
        .put("path", room.text(Some(&file.path)))
        .put("type_id", Some(1))
        .put("size", file.size.as_deref().and_then(|size| size.parse::<i64>().ok()))
        .put(
            "hashes",
            hash.map(|hash| vec![json!({"algorithm_id": 3, "algorithm": "SHA-256", "value": hash})]),
        )
        .with(&["name"])
}

/// Who opened the connection, and who was called.
fn endpoints(connection: &Connection, inbound: bool, room: Room) -> (Option<Value>, Option<Value>) {
    let end = |ip: &Option<String>, port: Option<u16>| {
        let ip = ip.as_deref().filter(|ip| ip.parse::<std::net::IpAddr>().is_ok());
        Object::default().put("ip", room.text(ip)).put("port", port).with(&["ip"])
    };
    let here = end(&connection.source_ip, connection.source_port);
    let peer = end(&connection.destination_ip, connection.destination_port);
    if inbound { (peer, here) } else { (here, peer) }
}

fn connection_info(record: &Record, connection: &Connection) -> Value {
    let direction = match record.text(property::TETHER_DIRECTION) {
        Some("inbound") => 1,
        Some("outbound") => 2,
        _ => 0,
    };
    let boundary = match record.text(property::PEER_SCOPE) {
        Some("loopback") => Some(1),
        Some("private" | "link-local") => Some(2),
        Some("public") => Some(3),
        _ => None,
    };
    let (name, number) = match record.text(property::SOCKET_PROTOCOL) {
        Some("TCP" | "TCPv6") => (Some("tcp"), Some(6)),
        Some("UDP" | "UDPv6") => (Some("udp"), Some(17)),
        // On the wire it is TCP.
        Some("MPTCP") => (Some("mptcp"), Some(6)),
        Some("SCTP") => (Some("sctp"), Some(132)),
        Some("ICMP") => (Some("icmp"), Some(1)),
        _ => (None, None),
    };
    let ip = connection.source_ip.as_ref().or(connection.destination_ip.as_ref());
    let version = ip.map(|ip| if ip.contains(':') { 6 } else { 4 });
    Object::default()
        .put("direction_id", Some(direction))
        .put("boundary_id", boundary)
        .put("protocol_name", name)
        .put("protocol_num", number)
        .put("protocol_ver_id", version)
        .some()
        .unwrap_or_default()
}

/// What the schema has no place for.
fn data(record: &Record, room: Room) -> Value {
    let keep = [
        property::EVIDENCE,
        property::TETHER_KIND,
        property::TETHER_PATH,
        property::ROW,
        property::OBSERVATION,
        property::EXECUTABLE_ORIGIN,
        property::PROCESS_OBSERVATIONS,
    ];
    let properties = keep.iter().filter_map(|key| {
        let value = record.finding.source_properties.get(*key)?;
        Some(((*key).to_owned(), room.value(value)))
    });
    Value::Object(properties.collect())
}

/// Eight, four, four, four and twelve hexadecimal digits: static pods have other ids.
fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
}
