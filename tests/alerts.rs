//! The alert rules, the dashboard and the metrics that a running daemon writes, by Prometheus' own tool, and against each other
//! and docs/metrics.md.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that cannot go on fails

mod common;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use common::daemon::{Daemon, Place};
use common::wait_for;
use serde_json::{Value, json};
use tetherd::model::loss::Loss;
use tetherd::stats::Count;

const RULES: &str = "conf/prometheus/tetherd.rules.yml";
const DASHBOARD: &str = "conf/grafana/tetherd.json";
const PAGE: &str = "docs/metrics.md";

fn promtool(arguments: &[&str], directory: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let output = Command::new("promtool").args(arguments).current_dir(here).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// Words of a file that begin with `tetherd_`.
fn metrics_of(file: &str) -> BTreeSet<String> {
    let text = read(file);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("tetherd_")).map(str::to_owned).collect()
}

/// What the dashboard asks, each as a rule of its own, for promtool to read. Grafana's variables are filled in.
fn rules_of_dashboard() -> String {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let asked = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let rules: Vec<Value> = asked
        .enumerate()
        .map(|(number, target)| {
            let asked = target["expr"].as_str().unwrap();
            let filled = asked.replace("$__rate_interval", "5m").replace("$instance", ".*");
            assert!(!filled.contains('$'), "{filled}");
            json!({ "record": format!("panel:{number}"), "expr": filled })
        })
        .collect();
    assert!(rules.len() > 10);
    // JSON is YAML.
    json!({ "groups": [{ "name": "dashboard", "rules": rules }] }).to_string()
}

#[test]
fn each_fires_when_it_should() {
    require!("promtool");
    promtool(&["check", "rules", RULES], ".");
    promtool(&["test", "rules", "rules_test.yml"], "tests/metrics");
}

#[test]
fn the_dashboard_asks_what_prometheus_understands() {
    require!("promtool");
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rules.yml"), rules_of_dashboard()).unwrap();
    promtool(&["check", "rules", "rules.yml"], directory.path().to_str().unwrap());
}

#[test]
fn each_counter_and_loss_has_its_line() {
    let page = read(PAGE);
    let lines: BTreeSet<&str> = page.lines().collect();
    let named = |name: &str| lines.iter().any(|line| line.starts_with(&format!("| `{name}` | ")));
    for count in Count::ALL {
        assert!(named(count.name()), "{PAGE} says nothing of the counter {}", count.name());
    }
    for loss in Loss::ALL {
        let start = format!("| `{}` | {} | ", loss.name(), loss.meaning());
        let found = lines.iter().any(|line| line.starts_with(&start) && line.len() > start.len() + 2);
        assert!(found, "{PAGE} has no line that begins with: {start}");
    }
}

/// Prometheus' own parser and linter.
fn promtool_reads(text: &str) {
    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "promtool check metrics: {said}");
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
    for file in [RULES, DASHBOARD, PAGE] {
        for name in metrics_of(file) {
            assert!(
                text.contains(&format!("# TYPE {name} ")),
                "{file} has {name}, which is not written:\n{text}"
            );
        }
    }
    let page = read(PAGE);
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(page.contains(&format!("| `{name}")), "{PAGE} says nothing of {name}");
    }
    promtool_reads(&text);
    let rules = read(RULES);
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
