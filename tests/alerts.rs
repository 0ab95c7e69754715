//! The alert rules, by Prometheus' own tool, and against the metrics that a running daemon writes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that cannot go on fails

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use common::daemon::{Daemon, Place};
use common::wait_for;
use tetherd::model::loss::Loss;

const RULES: &str = "conf/prometheus/tetherd.rules.yml";

fn promtool(arguments: &[&str], directory: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let output = Command::new("promtool").args(arguments).current_dir(here).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

/// Words of the rules that begin with `tetherd_`.
fn metrics_of_rules() -> BTreeSet<String> {
    let rules = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(RULES)).unwrap();
    let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("tetherd_")).map(str::to_owned).collect()
}

#[test]
fn each_fires_when_it_should() {
    require!("promtool");
    promtool(&["check", "rules", RULES], ".");
    promtool(&["test", "rules", "rules_test.yml"], "tests/metrics");
}

#[test]
fn they_name_what_the_daemon_writes() {
    require!("promtool");
    let place = Place::new("");
    let file = place.spool().with_file_name("tetherd.prom");
    place.control(&format!("metrics_file = \"{}\"", file.display()));
    let daemon = Daemon::start_in(&place);
    let text = wait_for("the metrics are written", || {
        std::fs::read_to_string(&file).ok().filter(|text| text.contains("tetherd_deliver_up"))
    });
    for name in metrics_of_rules() {
        assert!(text.contains(&format!("\n# TYPE {name} ")), "{name} is not written:\n{text}");
    }
    let rules = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(RULES)).unwrap();
    let matchers =
        rules.split("cause").filter_map(|part| part.trim_start_matches(['!', '=', '~']).strip_prefix('"'));
    let causes: Vec<&str> =
        matchers.filter_map(|part| part.split('"').next()).flat_map(|list| list.split('|')).collect();
    assert!(causes.contains(&"delivery_skipped"), "{causes:?}");
    for cause in causes.into_iter().filter(|cause| !cause.ends_with('*')) {
        assert!(Loss::ALL.iter().any(|loss| loss.name() == cause), "no loss is called {cause}");
    }
    daemon.stop();
}
