//! `--json` of every command is JSON, and says what the words say.

use serde_json::Value;

use crate::common::daemon::Daemon;
use crate::require;
use crate::spools::{finding, id, lines_of_json, printed, reading, spool, tetherd};

fn one(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("no JSON ({e}): {text}"))
}

#[test]
fn of_a_spool() {
    let directory =
        spool(vec![finding(&id("aa11"), "x"), finding(&id("bb22"), "x"), finding(&id("aa11"), "y")]);
    let list = lines_of_json(&printed(&mut reading(directory.path(), &["list", "--json"])));
    let names: Vec<&str> = list.iter().map(|record| record["finding"]["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2, "the newest record of each finding: {names:?}");
    assert!(names[0].ends_with(&id("bb22")) && names[1].ends_with(&id("aa11")), "newest last: {names:?}");
    let newest = lines_of_json(&printed(&mut reading(directory.path(), &["list", "--json", "-n", "1"])));
    assert_eq!(newest, list[1..]);
    assert_eq!(one(&printed(&mut reading(directory.path(), &["show", "aa", "--json"]))), list[1]);
    let report = one(&printed(&mut reading(directory.path(), &["verify", "--json"])));
    assert_eq!(report["records"], 3, "{report}");
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(printed(&mut reading(empty.path(), &["list", "--json"])), "");
    assert_eq!(printed(&mut reading(empty.path(), &["list"])), "No findings.\n");
}

#[test]
fn of_the_machine() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = one(&printed(tetherd(&["check-config", "--json"]).arg(file.path())));
    assert!(config["problems"].is_array() && config["warnings"].is_array(), "{config}");
    let doctor = tetherd(&["doctor", "--json"]).output().unwrap();
    let checks = lines_of_json(&String::from_utf8(doctor.stdout).unwrap());
    assert!(checks.len() > 8 && checks.iter().all(|check| check["outcome"].is_string()), "{checks:?}");
    let scan = tetherd(&["scan", "--json"]).output().unwrap();
    for record in lines_of_json(&String::from_utf8(scan.stdout).unwrap()) {
        assert!(record["finding"]["name"].is_string(), "{record}");
    }
}

#[test]
fn of_the_daemon() {
    require!("setpriv", "id");
    let daemon = Daemon::shared();
    let config = daemon.place().config();
    let config = config.to_str().unwrap();
    let status = one(&printed(&mut tetherd(&["status", "--json", "--config", config])));
    assert_eq!(status["pid"], daemon.pid(), "{status}");
    let spool = daemon.place().spool();
    let test = one(&printed(&mut reading(&spool, &["self-test", "--json", "--config", config])));
    assert_eq!(test["found"], true);
    let found = test["id"].as_str().unwrap();
    assert_eq!(
        one(&printed(&mut reading(&spool, &["show", found, "--json"])))["resource"]["type"],
        "tetherd/Host"
    );
}
