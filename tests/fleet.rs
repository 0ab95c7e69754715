//! The SQL of `conf/fleet` on the engines that it is for, over spools that the daemon's own writer made.
//!
//! A fleet of which everything is known (`fleet/scenario.rs`) is loaded into ClickHouse and read by DuckDB: with copies, in
//! another order, with torn lines in between, and with records that were lost and changed on the way. Each query has to
//! give the answer that is worked out in `fleet/answers.rs`. The engines are in the Python environment that
//! `tests/setup/fleet-venv.sh` makes. Without that they are left out with a warning, and fail where
//! TETHERD_TESTS_STRICT=1.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

#[path = "fleet/answers.rs"]
mod answers;
#[path = "../benches/fleet/incident.rs"]
mod incident;
#[path = "fleet/scenario.rs"]
mod scenario;

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use scenario::{HOUR, Scenario};

/// What a script of `tests/fleet` prints; `None` where the engines are not there.
fn run(script: &str, arguments: &[&OsStr]) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/test-tools/fleet-venv/bin/python");
    if !python.exists() {
        let why = "tests/setup/fleet-venv.sh has not been run: the fleet's SQL was NOT run";
        assert_ne!(std::env::var("TETHERD_TESTS_STRICT").as_deref(), Ok("1"), "{why}");
        eprintln!("SKIPPED: {why}");
        return None;
    }
    let output = Command::new(python)
        .arg(root.join("tests/fleet").join(script))
        .args(arguments)
        .output()
        .expect("python starts");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The rows of every query, as `tests/fleet/ask.py` prints them.
fn ask(engine: &str, scratch: &Path, spools: &Path) -> Option<Value> {
    // Copies of three nodes arrive too.
    let (all, copies) = (spools.join("*/findings-*.jsonl"), spools.join("n0[1-3]/findings-*.jsonl"));
    let database = scratch.join("engine");
    let said = run("ask.py", &[engine.as_ref(), database.as_ref(), all.as_ref(), copies.as_ref()])?;
    Some(serde_json::from_str(&said).unwrap())
}

fn every_query_is_right(engine: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let spools = scratch.path().join("spools");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let mut scenario = Scenario::new(u64::try_from(now).unwrap() / HOUR * HOUR);
    let (records, others) = scenario.write(&spools);
    let Some(answers) = ask(engine, scratch.path(), &spools) else { return };

    assert_eq!(answers["records"], json!([[records]]), "{engine}: every record once");
    assert_eq!(answers["rejects"], json!([[others]]), "{engine}: nothing is thrown away unseen");
    assert_eq!(answers["empty columns"], json!([]), "{engine}: every column is filled from the line");
    let expected = answers::all(&scenario);
    for (query, rows) in &expected {
        let mut given: Vec<Vec<Value>> = serde_json::from_value(answers[query].clone()).unwrap();
        for row in &mut given {
            for &column in answers::left_out(query) {
                row.remove(column);
            }
            // ClickHouse has 1 and 0 where DuckDB has true and false.
            for value in row.iter_mut() {
                *value = value.as_bool().map_or(value.take(), |truth| json!(u8::from(truth)));
            }
        }
        assert_eq!(json!(given), json!(rows), "{engine}: {query}");
    }
    if let Some(differ) = answers.get("kept answers differ") {
        assert_eq!(differ, &json!([]), "{engine}: tables answer as the files do");
    }
    let asked = answers.as_object().unwrap().keys().filter(|key| key.contains('-')).count();
    assert_eq!(asked, expected.len(), "{engine}: every query has an answer here");
}

#[test]
fn clickhouse_answers() {
    every_query_is_right("clickhouse");
}

#[test]
fn duckdb_answers() {
    every_query_is_right("duckdb");
}

/// What no engine here runs is at least what its parser takes.
#[test]
fn the_other_files_are_well_formed() {
    let scratch = tempfile::tempdir().unwrap();
    let said = run("parse.py", &[scratch.path().as_ref()]);
    assert_eq!(said.unwrap_or_default(), "");
}
