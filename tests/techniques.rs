//! The list of techniques (`tests/techniques.toml`): each has a test that is there, and a row in docs/techniques.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How many there are of each kind. One that is taken out has to be missed.
const KINDS: [(&str, usize); 3] = [("attack", 61), ("benign", 23), ("policy", 3)];

/// The test programs that `tests/run` runs in each mode.
const PROGRAMS: [&str; 7] =
    ["attacks", "benign", "benign_relays", "disguise", "late", "namespaces", "relays"];

struct Technique {
    name: String,
    kind: String,
    test: String,
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn techniques() -> Vec<Technique> {
    let text = fs::read_to_string(here("tests/techniques.toml")).unwrap();
    let table: toml::Table = toml::from_str(&text).unwrap();
    let text = |row: &toml::Value, key: &str| row[key].as_str().unwrap().to_owned();
    let rows = table["technique"].as_array().unwrap().iter();
    rows.map(|row| Technique { name: text(row, "name"), kind: text(row, "kind"), test: text(row, "test") })
        .collect()
}

/// The file in which a test such as `attacks::tools::ksh_tcp` is, and the test's own name.
fn file_of(test: &str) -> (PathBuf, String) {
    let parts: Vec<&str> = test.split("::").collect();
    match parts[..] {
        [program, name] => (here(&format!("tests/{program}.rs")), name.to_owned()),
        [program, module, name] => (here(&format!("tests/{program}/{module}.rs")), name.to_owned()),
        _ => panic!("{test} is no test's name"),
    }
}

#[test]
fn each_technique_has_a_test() {
    let all = techniques();
    for technique in &all {
        let (file, name) = file_of(&technique.test);
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let is_there = text.contains(&format!("#[test]\nfn {name}() {{"));
        assert!(is_there, "{}: there is no test {}", technique.name, technique.test);
        let program = technique.test.split("::").next().unwrap();
        assert!(PROGRAMS.contains(&program), "{}: {program} does not run in every mode", technique.name);
    }
    let tests: BTreeSet<&str> = all.iter().map(|technique| technique.test.as_str()).collect();
    assert_eq!(tests.len(), all.len(), "a test is named twice");
    for (kind, count) in KINDS {
        assert_eq!(all.iter().filter(|technique| technique.kind == kind).count(), count, "{kind}");
    }
}

#[test]
fn tests_run_knows_the_same_programs() {
    let text = fs::read_to_string(here("tests/run")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("techniques=(")).unwrap();
    let programs: Vec<&str> = line.trim_end_matches(')').split(' ').collect();
    assert_eq!(programs, PROGRAMS);
}

/// The table names each technique once, in the order of the list, with something to say of every mode.
#[test]
fn the_table_has_each_technique() {
    let text = fs::read_to_string(here("docs/techniques.md")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let named: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    let all = techniques();
    let wanted: Vec<&str> = all.iter().map(|technique| technique.name.as_str()).collect();
    assert_eq!(named, wanted, "make it anew: benches/techniques");
    for row in rows {
        assert!(row.len() == 6 && row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        assert!(!row.iter().any(|cell| cell.contains("not found")), "{row:?}");
    }
}
