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

use std::collections::BTreeMap;
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
    compare_rows(engine, &expected, &answers);
    if engine == "duckdb" {
        compare_rows("duckdb, loaded into tables", &expected, &answers["kept"]);
    }
    let asked = answers.as_object().unwrap().keys().filter(|key| key.contains('-')).count();
    assert_eq!(asked, expected.len(), "{engine}: every query has an answer here");
}

fn compare_rows(engine: &str, expected: &BTreeMap<&str, Vec<Vec<Value>>>, answers: &Value) {
    for (query, rows) in expected {
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

/// OpenSearch keeps quiet about a field that never comes: each one in the mapping is one that a line can have.
#[test]
fn the_mapping_names_what_a_line_has() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(root.join(file)).unwrap()).unwrap()
    };
    let (schema, template) =
        (read("docs/finding.schema.json"), read("conf/fleet/opensearch/index-template.json"));
    let mapping = &template["template"]["mappings"]["properties"];
    let mut unknown = Vec::new();
    for field in ["finding", "resource"] {
        compare(&schema, &mapping[field], &schema["$defs"][field], field, &mut unknown);
    }
    assert_eq!(unknown, Vec::<String>::new());
}

/// Notes the fields of a mapping that the schema does not have at this place.
fn compare(schema: &Value, mapping: &Value, place: &Value, path: &str, unknown: &mut Vec<String>) {
    let mut place = place;
    while let Some(next) = place.get("items").or_else(|| {
        let name = place.get("$ref")?.as_str()?.strip_prefix("#/")?;
        schema.pointer(&format!("/{name}"))
    }) {
        place = next;
    }
    for (name, inner) in mapping["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match place["properties"].get(name) {
            Some(place) => compare(schema, inner, place, &path, unknown),
            None => unknown.push(path),
        }
    }
}
