//! Spools as the tests want them, made with the library's own writer, and the command that reads them.

use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;
use tetherd::model::clock::Moment;
use tetherd::model::detection::{Severity, State};
use tetherd::model::finding::{CATEGORY, Connection, Process, Record, property};
use tetherd::spool::record::{finding_name, observation};
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::writer::Writer;

use crate::common::DEADLINE;
use crate::common::daemon::TETHERD;

/// A finding with this id; every text that an attacker chooses is `text`.
pub fn finding(id: &str, text: &str) -> Record {
    let now = Moment { mono_ns: 1, wall_ns: 1_795_492_217_000_000_000 };
    let mut record = observation(CATEGORY, "a test", Default::default(), now, "boot");
    let finding = &mut record.finding;
    finding.name = finding_name(id.parse().unwrap());
    finding.severity = Some(Severity::Critical);
    finding.state = State::Active;
    finding.connections = vec![Connection {
        destination_ip: Some("192.0.2.7".into()),
        destination_port: Some(4444),
        source_ip: Some("192.0.2.8".into()),
        source_port: Some(50_000),
        protocol: Some("TCP".into()),
    }];
    finding.processes = vec![Process {
        name: text.into(),
        args: vec!["sh".into(), text.into()],
        pid: "77".into(),
        ..Process::default()
    }];
    for (key, value) in [
        (property::PROCESS_BINARY_FULLPATH, json!(format!("/tmp/{text}"))),
        (property::PROCESS_ARGUMENTS, json!(["sh", text])),
        (property::PROCESS_WORKING_DIRECTORY, json!(text)),
        (property::PROCESS_USER_NAME, json!(text)),
        (property::CONTAINER_ID, json!(text)),
        (property::EVIDENCE, json!([text])),
        (property::TIMELINE, json!([{"time": text, "pid": 77, "seen": text, "comm": text, "args": text}])),
        (property::PROCESS_ANCESTRY, json!([{"pid": 76, "exe": text, "comm": text, "args": ["sh", text]}])),
        (property::TETHER_DIRECTION, json!("outbound")),
        (property::PEER_SCOPE, json!("public")),
        (property::PROCESS_COUNT, json!(1)),
        (property::SOCKET_FDS, json!([0, 1, 2])),
    ] {
        finding.source_properties.insert(key.into(), value);
    }
    record
}

/// An id of 32 digits that begins like this.
pub fn id(beginning: &str) -> String {
    format!("{beginning:0<32}")
}

/// Adds records to a spool.
pub fn append(directory: &Path, records: &mut [Record]) {
    let settings =
        SpoolSettings { directory: directory.into(), min_free_bytes: 0, ..SpoolSettings::default() };
    Writer::open(settings, "boot").unwrap().0.append(records).unwrap();
}

/// A new spool with these records.
pub fn spool(mut records: Vec<Record>) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    append(directory.path(), &mut records);
    directory
}

/// `tetherd`, with a spool, away from the user's locale and terminal.
pub fn tetherd(arguments: &[&str]) -> Command {
    let mut command = Command::new(TETHERD);
    command
        .args(arguments)
        .timeout(DEADLINE)
        .env("LC_ALL", "C.UTF-8")
        .env("COLUMNS", "80")
        .env_remove("NO_COLOR");
    command
}

/// `tetherd COMMAND... --spool DIRECTORY`.
pub fn reading(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = tetherd(arguments);
    command.arg("--spool").arg(directory);
    command
}

/// What a command printed, after it ended with success and said nothing on stderr.
pub fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{command:?} {}: {said}", output.status);
    String::from_utf8(output.stdout).expect("what is printed is UTF-8")
}

/// Each line of a text as JSON.
pub fn lines_of_json(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("no JSON ({e}): {line}"));
    text.lines().map(parse).collect()
}

/// How long a test waits before it asks again.
pub const TICK: Duration = Duration::from_millis(20);
