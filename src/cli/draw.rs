//! A finding as a drawing.
//!
//! Owns: boxes, wires and the timeline, in at most 80 columns; ASCII where that is all there is. Must not own: where
//! the record comes from. Every text in it was chosen by somebody else and is escaped.

use serde_json::Value;

use crate::cli::columns::{columns, take};
use crate::model::finding::{Process, Record, property};
use crate::model::text::{escape, shell_quote};

/// Columns of a drawing.
const WIDTH: usize = 80;
/// Lines of the timeline that are drawn.
const TIMELINE_MAX: usize = 40;

struct Pen {
    /// Corners and edges: top left, top right, bottom left, bottom right, horizontal, vertical.
    edge: [&'static str; 6],
    down: &'static str,
    tie: &'static str,
}

const UNICODE: Pen = Pen { edge: ["┌", "┐", "└", "┘", "─", "│"], down: "│", tie: "┬" };
const ASCII: Pen = Pen { edge: ["+", "+", "+", "+", "-", "|"], down: "|", tie: "+" };

/// Draws a record.
pub fn draw(record: &Record, unicode: bool) -> String {
    let pen = if unicode { &UNICODE } else { &ASCII };
    let finding = &record.finding;
    let text = |key: &str| record.text(key).unwrap_or_default();
    let severity = finding.severity.map_or("-", |severity| severity.name());
    let state = match finding.state {
        crate::model::detection::State::Active => "going on",
        crate::model::detection::State::Inactive => "ended",
    };
    let mut out = String::new();
    line(&mut out, &format!("{severity}  {}", finding.category));
    line(&mut out, &format!("{}  ({state}, first seen {})", record.id(), short_time(&finding.event_time)));
    out.push('\n');

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
    boxed(&mut out, pen, &command, true);
    let fds = finding.source_properties.get(property::SOCKET_FDS).and_then(Value::as_array);
    let fds = fds.map(|fds| fds.iter().filter_map(Value::as_u64).map(fd_name).collect::<Vec<_>>().join(", "));
    let hops = finding.source_properties.get(property::TETHER_PATH).and_then(Value::as_array);
    relays(&mut out, pen, &fds.unwrap_or_default(), hops.map(Vec::as_slice).unwrap_or_default());
    boxed(&mut out, pen, &socket(record), true);
    wire(
        &mut out,
        pen,
        &format!("{}, {} peer", text(property::TETHER_DIRECTION), text(property::PEER_SCOPE)),
    );
    boxed(&mut out, pen, &[peer(record)], false);

    out.push_str("\nWhy\n");
    let evidence = finding.source_properties.get(property::EVIDENCE).and_then(Value::as_array);
    for sentence in evidence.into_iter().flatten().filter_map(Value::as_str) {
        wrapped(&mut out, "  - ", &escape(sentence.as_bytes()));
    }
    timeline(&mut out, record);
    ancestry(&mut out, record);
    out
}

/// The wire from the command, and every process between it and the socket, each with the wire that leaves it. A direct
/// tether has one hop and nobody in between.
fn relays(out: &mut String, pen: &Pen, fds: &str, hops: &[Value]) {
    let number = |hop: &Value| hop.get("pid").and_then(Value::as_u64).unwrap_or(0);
    let text = |hop: &Value, key: &str| hop.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some((first, rest)) = hops.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return wire(out, pen, fds);
    };
    wire(out, pen, &format!("{fds}: {}", text(first, "backing")));
    for hops in rest.chunk_by(|a, b| number(a) == number(b)) {
        let (Some(enters), Some(leaves)) = (hops.first(), hops.last()) else { continue };
        boxed(out, pen, &[format!("{}  pid {}", text(enters, "comm"), number(enters))], true);
        let fds = leaves.get("fds").and_then(Value::as_array);
        let fds: Vec<String> = fds.into_iter().flatten().map(Value::to_string).collect();
        // The socket has a box of its own.
        let what = if leaves.get("socket").is_some() { String::new() } else { text(leaves, "backing") };
        wire(out, pen, format!("fd {} {what}", fds.join(", ")).trim_end());
    }
}

/// The process that gave the severity.
fn subject(record: &Record) -> Option<&Process> {
    let exe = record.text(property::PROCESS_BINARY_FULLPATH);
    let processes = &record.finding.processes;
    processes
        .iter()
        .find(|process| process.binary.as_ref().map(|binary| binary.path.as_str()) == exe)
        .or(processes.first())
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

fn peer(record: &Record) -> String {
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

fn timeline(out: &mut String, record: &Record) {
    let count = record.number(property::PROCESS_COUNT).unwrap_or(0);
    out.push_str(&format!("\nCommands ({count})\n"));
    let entries = record.finding.source_properties.get(property::TIMELINE).and_then(Value::as_array);
    for entry in entries.into_iter().flatten().take(TIMELINE_MAX) {
        let field = |name: &str| match entry.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        };
        let time = field("time");
        let clock = time.get(11..23).unwrap_or(&time).to_owned();
        let what = or(&field("args"), or(&field("comm"), "(gone before it could be read)")).to_owned();
        line(out, &format!("  {clock}  {:>7}  {:<9}  {what}", field("pid"), field("seen")));
    }
}

fn ancestry(out: &mut String, record: &Record) {
    let entries = record.finding.source_properties.get(property::PROCESS_ANCESTRY).and_then(Value::as_array);
    let Some(entries) = entries.filter(|entries| !entries.is_empty()) else { return };
    out.push_str("\nStarted by\n");
    for entry in entries {
        let field = |name: &str| match entry.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).map(shell_quote).collect::<Vec<_>>().join(" ")
            }
            Some(value) => value.to_string(),
            None => String::new(),
        };
        let what = or(&field("args"), or(&field("exe"), &field("comm"))).to_owned();
        line(out, &format!("  {:>7}  {what}", field("pid")));
    }
}

fn short_time(time: &str) -> String {
    time.get(..19).map_or_else(|| time.to_owned(), |time| format!("{}Z", time.replace('T', " ")))
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

/// One line, escaped and cut at the width.
fn line(out: &mut String, text: &str) {
    out.push_str(&fit(text, WIDTH));
    out.push('\n');
}

/// A paragraph: already escaped, broken between words, the first line behind `lead`.
fn wrapped(out: &mut String, lead: &str, text: &str) {
    let mut current = lead.to_owned();
    for word in text.split(' ') {
        let length = columns(&current);
        if length > lead.len() && length + 1 + columns(word) > WIDTH {
            out.push_str(&current);
            out.push('\n');
            current = " ".repeat(lead.len());
        }
        if columns(&current) > lead.len() {
            current.push(' ');
        }
        current.push_str(take(word, WIDTH - lead.len()));
    }
    out.push_str(&current);
    out.push('\n');
}

fn fit(text: &str, width: usize) -> String {
    let text = escape(text.as_bytes());
    if take(&text, width).len() == text.len() {
        return text;
    }
    format!("{}...", take(&text, width.saturating_sub(3)))
}

fn boxed(out: &mut String, pen: &Pen, lines: &[String], tied: bool) {
    let lines: Vec<String> = lines.iter().map(|text| fit(text, WIDTH - 6)).collect();
    let inner = lines.iter().map(|text| columns(text)).max().unwrap_or(0).max(24);
    let [top_left, top_right, bottom_left, bottom_right, across, side] = pen.edge;
    out.push_str(&format!("  {top_left}{}{top_right}\n", across.repeat(inner + 2)));
    for text in lines {
        let padding = inner.saturating_sub(columns(&text));
        out.push_str(&format!("  {side} {text}{} {side}\n", " ".repeat(padding)));
    }
    let tie = if tied { pen.tie } else { across };
    out.push_str(&format!(
        "  {bottom_left}{}{tie}{}{bottom_right}\n",
        across.repeat(3),
        across.repeat(inner - 2)
    ));
}

fn wire(out: &mut String, pen: &Pen, label: &str) {
    out.push_str(&format!("      {} {}\n", pen.down, fit(label, WIDTH - 10)));
}
