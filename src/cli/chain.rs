//! The tether of a finding, from the command to the peer.
//!
//! Owns: which boxes and wires there are, and what is written on them, unescaped. Must not own: how they are drawn
//! (`draw`, `report::svg`).

use serde_json::Value;

use crate::cli::facts::subject;
use crate::model::finding::{Process, Record, property};
use crate::model::text::shell_quote;

/// A part of the chain.
#[derive(Debug, PartialEq)]
pub enum Link {
    /// A process, a socket, a peer.
    Box(Vec<String>),
    /// What joins two of them.
    Wire(String),
}

/// From the command to the peer.
pub fn links(record: &Record) -> Vec<Link> {
    let finding = &record.finding;
    let text = |key: &str| record.text(key).unwrap_or_default();
    let process = subject(record);
    let mut command = vec![title(record, process)];
    let args = finding.source_properties.get(property::PROCESS_ARGUMENTS).and_then(Value::as_array);
    if let Some(args) = args {
        let args: Vec<String> = args.iter().filter_map(Value::as_str).map(shell_quote).collect();
        command.push(args.join(" "));
    }
    let user = text(property::PROCESS_USER_NAME);
    let uid = process.map_or("?", |process| process.user_id.as_str());
    let user = if user.is_empty() { format!("uid {uid}") } else { format!("{user} (uid {uid})") };
    command.push(format!("as {user} in {}", or(text(property::PROCESS_WORKING_DIRECTORY), "?")));
    command.extend(container(record));
    let mut links = vec![Link::Box(command)];
    let fds = finding.source_properties.get(property::SOCKET_FDS).and_then(Value::as_array);
    let fds = fds.map(|fds| fds.iter().filter_map(Value::as_u64).map(fd_name).collect::<Vec<_>>().join(", "));
    let hops = finding.source_properties.get(property::TETHER_PATH).and_then(Value::as_array);
    relays(&mut links, &fds.unwrap_or_default(), hops.map(Vec::as_slice).unwrap_or_default());
    links.push(Link::Box(socket(record)));
    links.push(Link::Wire(format!(
        "{}, {} peer",
        text(property::TETHER_DIRECTION),
        text(property::PEER_SCOPE)
    )));
    links.push(Link::Box(vec![peer(record)]));
    links
}

/// The wire from the command, and every process between it and the socket, each with the wire that leaves it. A direct
/// tether has one hop and nobody in between.
fn relays(links: &mut Vec<Link>, fds: &str, hops: &[Value]) {
    let number = |hop: &Value| hop.get("pid").and_then(Value::as_u64).unwrap_or(0);
    let text = |hop: &Value, key: &str| hop.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some((first, rest)) = hops.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return links.push(Link::Wire(fds.to_owned()));
    };
    links.push(Link::Wire(format!("{fds}: {}", text(first, "backing"))));
    for hops in rest.chunk_by(|a, b| number(a) == number(b)) {
        let (Some(enters), Some(leaves)) = (hops.first(), hops.last()) else { continue };
        links.push(Link::Box(vec![format!("{}  pid {}", text(enters, "comm"), number(enters))]));
        let fds = leaves.get("fds").and_then(Value::as_array);
        let fds: Vec<String> = fds.into_iter().flatten().map(Value::to_string).collect();
        // The socket has a box of its own.
        let what = if leaves.get("socket").is_some() { String::new() } else { text(leaves, "backing") };
        links.push(Link::Wire(format!("fd {} {what}", fds.join(", ")).trim_end().to_owned()));
    }
}

fn title(record: &Record, process: Option<&Process>) -> String {
    let exe = or(record.text(property::PROCESS_BINARY_FULLPATH).unwrap_or_default(), "?");
    let pid = process.map_or("?", |process| process.pid.as_str());
    let seen = record.text(property::OBSERVATION).unwrap_or("?");
    format!("{exe}  pid {pid}  (seen {seen})")
}

/// The container, its image and its pod, as far as they are known.
fn container(record: &Record) -> Vec<String> {
    let text = |key: &str| record.text(key).unwrap_or_default();
    let id = text(property::CONTAINER_ID);
    let runtime = text(property::CONTAINER_RUNTIME);
    if id.is_empty() && runtime.is_empty() {
        return Vec::new();
    }
    let short: String = id.chars().take(12).collect();
    let which = format!("{} {}", text(property::CONTAINER_NAME), or(&short, "?"));
    let mut lines = vec![format!("container {} ({})", which.trim_start(), or(runtime, "unknown runtime"))];
    let image = text(property::CONTAINER_IMAGE_URI);
    if !image.is_empty() {
        lines.push(format!("image {image}"));
    }
    let pod = text(property::POD_NAME);
    if !pod.is_empty() {
        lines.push(format!("pod {}/{pod}", text(property::POD_NAMESPACE)));
    }
    lines
}

fn socket(record: &Record) -> Vec<String> {
    let text = |key: &str| record.text(key).unwrap_or_default();
    let connection = record.finding.connections.first();
    let local = connection.and_then(|c| endpoint(c.source_ip.as_deref(), c.source_port));
    let protocol = or(text(property::SOCKET_PROTOCOL), "socket");
    vec![format!(
        "{protocol} {}  socket:[{}]",
        or(&local.unwrap_or_default(), "unbound"),
        text(property::SOCKET_INODE)
    )]
}

/// The address at the other end.
pub fn peer(record: &Record) -> String {
    let connection = record.finding.connections.first();
    let peer = connection.and_then(|c| endpoint(c.destination_ip.as_deref(), c.destination_port));
    peer.unwrap_or_else(|| "no peer address".into())
}

fn endpoint(ip: Option<&str>, port: Option<u16>) -> Option<String> {
    let (ip, port) = (ip?, port.unwrap_or(0));
    Some(if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") })
}

fn fd_name(fd: u64) -> &'static str {
    match fd {
        0 => "stdin",
        1 => "stdout",
        2 => "stderr",
        _ => "?",
    }
}

/// The text, or another where it is empty.
pub fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}
