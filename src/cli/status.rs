//! `tetherd status`, and talking to the running daemon.
//!
//! Owns: asking over the control socket, and the status in words. Must not own: the status.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::cli::args::Json;
use crate::cli::failure::Failure;
use crate::cli::{config, out, shown};
use crate::config::Config;
use crate::model::exit::Exit;

/// The longest answer.
const ANSWER_MAX: u64 = 4 << 20;

/// Asks the daemon; one word, one JSON document.
pub fn ask(socket: &Path, word: &str) -> Result<Value, Failure> {
    let fail = |error: std::io::Error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "run this as root",
            _ => "start it with `systemctl start tetherd` or `tetherd run`",
        };
        Failure::Unavailable(format!("no daemon answers on {} ({error}); {remedy}", shown(socket)))
    };
    let mut stream = UnixStream::connect(socket).map_err(fail)?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(fail)?;
    stream.write_all(format!("{word}\n").as_bytes()).map_err(fail)?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer).map_err(fail)?;
    serde_json::from_str(&answer).map_err(|error| {
        Failure::Unavailable(format!("the daemon's answer is no JSON ({error}); restart it"))
    })
}

/// Prints the status.
pub fn status(arguments: &Json) -> Result<Exit, Failure> {
    let status = match config(&arguments.common) {
        Ok(config) => ask(&config.control.socket, "status")?,
        // A file that was named is of a daemon of its own: the one at the usual place may be another.
        Err(failure) if arguments.common.config.is_some() => return Err(failure),
        // A daemon that runs goes by what it read before.
        Err(failure) => match ask(&Config::default().control.socket, "status") {
            Ok(status) => {
                eprintln!("tetherd: not in force, the daemon goes by what it read before: {failure}");
                status
            }
            Err(_) => return Err(failure),
        },
    };
    let text = if arguments.json { format!("{status}\n") } else { words(&status) };
    out::print(&text)?;
    Ok(Exit::Ok)
}

fn words(status: &Value) -> String {
    let get = |pointer: &str| match status.pointer(pointer) {
        Some(Value::String(text)) => crate::model::text::escape(text.as_bytes()),
        Some(value) => value.to_string(),
        None => "?".into(),
    };
    let mut text = format!(
        "tetherd {} is running: pid {}, for {} s, on {}\n",
        get("/version"),
        get("/pid"),
        get("/uptime_seconds"),
        get("/node")
    );
    text.push_str(&format!(
        "sensor   real-time {}, room for {} events, kernel heard {} s ago, {} processes followed\n",
        get("/sensor/realtime"),
        get("/sensor/events_held"),
        get("/sensor/canary_age_seconds"),
        get("/sensor/followed")
    ));
    let asked = get("/fanotify/asked");
    let reason = if get("/fanotify/mode") == asked {
        String::new()
    } else {
        format!(" ({asked} was asked for: {})", get("/fanotify/why"))
    };
    text.push_str(&format!(
        "fanotify {}{reason}: {} filesystems, {} opens, {} looks; waits p50 {} us, p99 {} us, longest {} us\n",
        get("/fanotify/mode"),
        get("/fanotify/filesystems_marked"),
        get("/counts/opens"),
        get("/counts/held"),
        get("/fanotify/wait_us/p50"),
        get("/fanotify/wait_us/p99"),
        get("/fanotify/wait_us/max")
    ));
    text.push_str(&format!(
        "events   {} execs, {} handed on, {} swept\n",
        get("/counts/execs"),
        get("/counts/looks_handed_on"),
        get("/counts/swept")
    ));
    text.push_str(&format!(
        "engine   {} incidents open, {} in all; {} allowed by rules, {} one-way uses\n",
        get("/engine/incidents_open"),
        get("/counts/incidents"),
        get("/counts/allowed"),
        get("/counts/one_way")
    ));
    text.push_str(&format!(
        "spool    {} {}: {} segments, {} bytes, next record {}, {} wait\n",
        get("/spool/level"),
        get("/spool/directory"),
        get("/spool/segments"),
        get("/spool/bytes"),
        get("/spool/next_sequence"),
        get("/spool/waiting")
    ));
    text.push_str(&proof(status));
    for destination in status.get("deliver").and_then(Value::as_array).into_iter().flatten() {
        text.push_str(&delivery(destination));
    }
    let losses = status.get("losses").and_then(Value::as_object);
    let lost: Vec<String> = losses
        .into_iter()
        .flatten()
        .filter(|(_, count)| count.as_u64() != Some(0))
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    text.push_str(&format!(
        "lost     {}\n",
        if lost.is_empty() { "nothing".into() } else { lost.join(", ") }
    ));
    text
}

/// Heartbeats, and how the chain is signed.
fn proof(status: &Value) -> String {
    let text = |pointer: &str| {
        let text = status.pointer(pointer).and_then(Value::as_str);
        text.map(|text| crate::model::text::escape(text.as_bytes()))
    };
    let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let heartbeat = match number("/spool/heartbeat_minutes") {
        0 => "no heartbeat".into(),
        minutes => format!("a heartbeat every {minutes} min"),
    };
    match (text("/checkpoints/public_key"), text("/checkpoints/fingerprint"), text("/checkpoints/why_not")) {
        (Some(key), Some(fingerprint), _) => format!(
            "proof    {heartbeat}; checkpoints, the last is record {}\n         key {key}\n         SHA-256 {fingerprint}\n",
            number("/checkpoints/last_sequence")
        ),
        (_, _, Some(why)) => format!("proof    {heartbeat}; NO checkpoints: {why}\n"),
        _ => format!("proof    {heartbeat}; no checkpoints ([spool] checkpoints)\n"),
    }
}

/// One line of a destination, and a second one where something went wrong.
fn delivery(destination: &Value) -> String {
    let get = |key: &str| match destination.get(key) {
        Some(Value::String(text)) => crate::model::text::escape(text.as_bytes()),
        Some(value) => value.to_string(),
        None => "?".into(),
    };
    let head =
        format!("deliver  {} ({} {}, {}): ", get("name"), get("transport"), get("address"), get("format"));
    if get("state") == "off" {
        return format!("{head}switched off\n");
    }
    let mut text = format!(
        "{head}{}; {} sent, {} again, {} filtered, {} behind\n",
        get("state"),
        get("sent"),
        get("resent"),
        get("filtered"),
        get("lag_records")
    );
    if destination.get("last_error").is_some_and(Value::is_string) {
        text.push_str(&format!(
            "         last trouble at {}: it {}\n",
            get("last_error_time"),
            get("last_error")
        ));
    }
    text
}
