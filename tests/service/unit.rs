//! The unit that is shipped, as systemd reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use tetherd::config::Config;
use tetherd::daemon::confine;
use tetherd::sensor::settings::FanotifyMode;

use crate::require;

/// The exposure that the unit may have at the most, and the same with the drop-in for holding.
const EXPOSURE: (f64, f64) = (3.0, 3.3);

pub fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)).unwrap()
}

/// The unit in a directory of its own, with these drop-ins and no others.
fn unit(drop_ins: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let drops = directory.path().join("tetherd.service.d");
    std::fs::create_dir(&drops).unwrap();
    // What systemd looks for when it verifies a unit.
    let text = shipped("tetherd.service").replace("/usr/bin/tetherd", "/bin/true");
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with("Documentation="))
        .fold(String::new(), |text, line| text + line + "\n");
    std::fs::write(directory.path().join("tetherd.service"), text).unwrap();
    for name in drop_ins {
        std::fs::write(drops.join(name), shipped(&format!("drop-ins/{name}"))).unwrap();
    }
    directory
}

fn analyze(arguments: &[&str], directory: &Path) -> (String, bool) {
    let mut command = Command::new("systemd-analyze");
    let output = command.args(arguments).arg(directory.join("tetherd.service")).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (said, output.status.success())
}

fn exposure(drop_ins: &[&str]) -> f64 {
    let directory = unit(drop_ins);
    let (said, _) = analyze(&["security", "--offline=true", "--no-pager"], directory.path());
    let level = said.rsplit("tetherd.service: ").next().and_then(|rest| rest.split_whitespace().next());
    level.and_then(|level| level.parse().ok()).unwrap_or_else(|| panic!("no exposure level in: {said}"))
}

#[test]
fn exposure_stays_low() {
    require!("systemd-analyze");
    let (without, with) = (exposure(&[]), exposure(&["hold.conf"]));
    assert!(without <= EXPOSURE.0, "{without}");
    assert!(with <= EXPOSURE.1, "with hold.conf {with}");
    // The figure depends on what is in the unit.
    assert!(exposure(&["metadata.conf"]) > without);
    let remote = exposure(&["deliver.conf"]);
    assert!(remote > without && remote <= EXPOSURE.1, "with deliver.conf {remote}");
}

#[test]
fn systemd_understands_every_line() {
    require!("systemd-analyze");
    let drop_ins: Vec<String> =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/drop-ins"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
    assert!(drop_ins.len() >= 6);
    let drop_ins: Vec<&str> = drop_ins.iter().map(String::as_str).collect();
    let directory = unit(&drop_ins);
    let (said, well) = analyze(&["verify", "--man=no"], directory.path());
    let about_it: Vec<&str> = said.lines().filter(|line| line.contains("tetherd")).collect();
    assert!(well && about_it.is_empty(), "{said}");
}

/// The values of a key, in the order in which they are read; an empty one does away with those before it.
pub fn values(texts: &[String], key: &str) -> Vec<String> {
    let lines = texts.iter().flat_map(|text| text.lines());
    let of_key = lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    of_key.flat_map(|value| value.split_whitespace()).map(str::to_owned).collect()
}

#[test]
fn capabilities_are_those_that_the_daemon_keeps() {
    let texts = [shipped("tetherd.service"), shipped("drop-ins/hold.conf")];
    let mut config = Config::default();
    for (mode, texts) in [(FanotifyMode::Off, &texts[..1]), (FanotifyMode::Hold, &texts[..])] {
        config.override_fanotify(mode);
        let kept: BTreeSet<String> =
            confine::needed(&config).iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
        let given: BTreeSet<String> = values(texts, "CapabilityBoundingSet").into_iter().collect();
        assert_eq!(given, kept, "{}", mode.name());
    }
}

/// What systemd's groups of system calls hold.
fn groups() -> BTreeMap<String, Vec<String>> {
    let output = Command::new("systemd-analyze").args(["syscall-filter", "--no-pager"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut groups = BTreeMap::<String, Vec<String>>::new();
    let mut group = String::new();
    for line in text.lines().map(|line| line.trim_end()) {
        match line.strip_prefix("    ") {
            None if line.starts_with('@') => group = line.to_owned(),
            None => group.clear(),
            Some(name) if !name.starts_with('#') && !group.is_empty() => {
                groups.entry(group.clone()).or_default().push(name.to_owned());
            }
            Some(_) => {}
        }
    }
    groups
}

fn members<'a>(groups: &'a BTreeMap<String, Vec<String>>, name: &'a str, found: &mut BTreeSet<&'a str>) {
    match groups.get(name) {
        Some(list) => list.iter().for_each(|name| members(groups, name, found)),
        None => drop(found.insert(name)),
    }
}

/// The daemon's own list is the narrower one: what it lets through, the unit lets through as well.
#[test]
fn system_calls_are_those_that_the_daemon_needs() {
    require!("systemd-analyze");
    let groups = groups();
    let texts = [shipped("tetherd.service"), shipped("drop-ins/hold.conf")];
    let mut allowed = BTreeSet::new();
    for line in
        texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("SystemCallFilter="))
    {
        let (taken_away, names) = line.strip_prefix('~').map_or((false, line), |names| (true, names));
        let mut named = BTreeSet::new();
        names.split_whitespace().for_each(|name| members(&groups, name, &mut named));
        match taken_away {
            true => allowed.retain(|name| !named.contains(name)),
            false => allowed.extend(named),
        }
    }
    let mut default = BTreeSet::new();
    members(&groups, "@default", &mut default);
    allowed.extend(default);
    let source =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/daemon/calls.rs")).unwrap();
    let needed: BTreeSet<&str> = source
        .split("libc::SYS_")
        .skip(1)
        .map(|rest| rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap())
        .collect();
    assert!(needed.len() > 100 && allowed.len() > needed.len());
    let missing: Vec<&&str> = needed.difference(&allowed).collect();
    assert!(missing.is_empty(), "the unit refuses what the daemon needs: {missing:?}");
}

/// What the shipped unit and its drop-ins say of paths agrees with the defaults.
#[test]
fn paths_are_the_defaults() {
    let defaults = Config::defaults();
    let unit = shipped("tetherd.service");
    assert!(
        defaults.spool.directory.starts_with("/var/lib/tetherd")
            && unit.contains("\nStateDirectory=tetherd\n")
    );
    assert!(
        defaults.control.socket.starts_with("/run/tetherd") && unit.contains("\nRuntimeDirectory=tetherd\n")
    );
    assert!(unit.contains("\nExecStart=/usr/bin/tetherd run --quiet\n"));
}
