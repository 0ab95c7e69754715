//! What a real daemon says of its own life, in its spool: start, reload, stop, checkpoints; and that others can check it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use std::fs;
use std::process::{Command, Output};

use common::daemon::{Daemon, Place, tetherd};
use common::finding::Finding;
use nix::sys::signal::Signal;

const STARTED: &str = "Tetherd: Started";
const STOPPED: &str = "Tetherd: Stopped";
const RELOADED: &str = "Tetherd: Configuration Reloaded";
const CHECKPOINT: &str = "Tetherd: Checkpoint";
const INTERFERENCE: &str = "Tetherd: Interference";

fn of<'a>(records: &'a [Finding], category: &str) -> Vec<&'a Finding> {
    records.iter().filter(|record| record.category() == category).collect()
}

fn is(category: &'static str) -> impl Fn(&Finding) -> bool {
    move |record| record.category() == category
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn start_and_stop_say_what_was_before() {
    require!();
    let place = Place::new("");
    let daemon = Daemon::start_in(&place);
    let first = daemon.wait_for("the start", is(STARTED));
    assert_eq!(first.property("Previous_Run")["ended"], "none");
    assert_eq!(first.text("Version"), env!("CARGO_PKG_VERSION"));
    assert_eq!((first.number("Heartbeat_Minutes"), first.severity()), (60, ""));
    let status = daemon.status();
    assert_eq!(status["configuration_sha256"], *first.property("Configuration_Sha256"));
    daemon.stop();
    let records = place.records();
    let stop = records.last().unwrap();
    assert_eq!((stop.category(), stop.text("Reason")), (STOPPED, "a signal asked for it"));
    assert!(stop.property("Counts")["execs"].as_u64().is_some(), "{}", stop.0);

    let daemon = Daemon::start_in(&place);
    let second = daemon.wait_for("the second start", |r| is(STARTED)(r) && r.id() != first.id());
    let before = second.property("Previous_Run");
    assert_eq!((&before["ended"], &before["sameBoot"]), (&"clean".into(), &true.into()));
    assert_eq!(before["lastSequence"], *stop.property("Sequence"));
    daemon.kill();

    let daemon = Daemon::start_in(&place);
    let ids = [first.id().to_owned(), second.id().to_owned()];
    let third = daemon.wait_for("the third start", |r| is(STARTED)(r) && !ids.contains(&r.id().to_owned()));
    assert_eq!(third.property("Previous_Run")["ended"], "unclean");
    assert!(
        third.0["finding"]["description"].as_str().unwrap().contains("did NOT end in order: it was killed")
    );
    daemon.stop();
    let list = tetherd(&["list", "--journal", "--spool", place.spool().to_str().unwrap()]);
    let said = text(&list);
    let what: Vec<&str> = said.lines().skip(1).filter_map(|line| line.get(31..)?.split(':').next()).collect();
    assert_eq!(what, ["Started", "Stopped", "Started", "Started", "Stopped"], "{said}");
    let list = tetherd(&["list", "--spool", place.spool().to_str().unwrap()]);
    assert_eq!(text(&list), "No findings.\n");
}

#[test]
fn reloads_say_what_changed() {
    require!();
    let place = Place::new("");
    fs::write(place.path("rules.d/10-a.toml"), "").unwrap();
    let daemon = Daemon::start_in(&place);
    daemon.wait_for("the start", is(STARTED));
    place.configure("[incident]\nreissue_seconds = 3\n[spool]\nmax_days = 9\n");
    fs::rename(place.path("rules.d/10-a.toml"), place.path("rules.d/20-b.toml")).unwrap();
    daemon.signal(Signal::SIGHUP);
    let done = daemon.wait_for("the reload", is(RELOADED));
    assert_eq!(done.text("Outcome"), "done");
    let keys = done.property("Changed_Keys").as_array().unwrap();
    let changed: Vec<(&str, &str, bool)> = keys
        .iter()
        .map(|key| {
            let text = |name: &str| key[name].as_str().unwrap();
            (text("key"), text("new"), key["takesRestart"].as_bool().unwrap())
        })
        .collect();
    assert_eq!(changed, [("incident.reissue_seconds", "3", false), ("spool.max_days", "9", true)]);
    let rules = done.property("Changed_Rules");
    let name = |list: &str| rules[list][0].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!((name("added"), name("removed")), ("20-b.toml".into(), "10-a.toml".into()));
    let status = daemon.status();
    assert_eq!(status["configuration_sha256"], *done.property("Configuration_Sha256"));
    place.configure("[incident]\nreissue_seconds = 0\n");
    daemon.signal(Signal::SIGHUP);
    let refused = daemon.wait_for("the refusal", |r| is(RELOADED)(r) && r.text("Outcome") == "refused");
    assert!(refused.text("Reason").contains("incident.reissue_seconds"), "{}", refused.0);
    assert_eq!(refused.text("Configuration_Sha256"), done.text("Configuration_Sha256"));
    daemon.stop();
}

/// The signature is checked with openssl too, from nothing but what stands in the record.
#[test]
fn checkpoints_can_be_checked_by_others() {
    require!("openssl");
    let place = Place::new("");
    let key_file = place.path("checkpoint.key");
    place.configure(&format!("[spool]\ncheckpoints = true\nkey_file = \"{}\"\n", key_file.display()));
    let daemon = Daemon::start_in(&place);
    let start = daemon.wait_for("the start", is(STARTED));
    let status = daemon.status();
    let key = status["checkpoints"]["public_key"].as_str().unwrap().to_owned();
    let fingerprint = status["checkpoints"]["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!(start.text("Public_Key"), key);
    assert!(daemon.said().contains(&fingerprint) && daemon.said().contains("(made now)"));
    let shown = text(&tetherd(&["status", "--config", place.config().to_str().unwrap()]));
    assert!(shown.contains(&key) && shown.contains(&fingerprint), "{shown}");
    daemon.stop();

    let records = place.records();
    let last = records.last().unwrap();
    assert_eq!(last.category(), CHECKPOINT, "a stop is signed");
    assert_eq!(of(&records, STOPPED).len(), 1);
    let statement = format!(
        "tetherd checkpoint 1\nnode {}\nboot {}\nsequence {}\nprevious {}\ntime {}\n",
        last.text("VM_Instance_Name"),
        last.text("Boot_Id"),
        last.text("Sequence"),
        last.text("Previous_Record_Sha256"),
        last.create_time()
    );
    fs::write(place.path("statement"), statement).unwrap();
    fs::write(place.path("signature.base64"), last.text("Signature")).unwrap();
    let script = "set -e; openssl pkey -in checkpoint.key -pubout -out key.pem
        base64 -d signature.base64 >signature
        openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in statement -sigfile signature
        openssl pkey -pubin -in key.pem -outform DER | sha256sum";
    let checked = Command::new("sh").args(["-c", script]).current_dir(place.path("")).output().unwrap();
    assert!(checked.status.success(), "{}", text(&checked));
    assert!(text(&checked).contains("Signature Verified Successfully"), "{}", text(&checked));
    assert!(text(&checked).contains(&fingerprint));

    let spool = place.spool();
    let spool = spool.to_str().unwrap();
    let pem = place.path("key.pem");
    for given in [key.as_str(), pem.to_str().unwrap()] {
        let verified = tetherd(&["verify", "--public-key", given, spool]);
        assert_eq!(verified.status.code(), Some(0), "{}", text(&verified));
        let all = format!("Vouched for: records 1 to {}", last.text("Sequence"));
        assert!(text(&verified).contains(&all) && text(&verified).contains("None came after it."));
    }
    let unchecked = tetherd(&["verify", spool]);
    assert!(text(&unchecked).contains("whose signatures were not checked"), "{}", text(&unchecked));
    let stranger = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let verified = tetherd(&["verify", "--public-key", stranger, spool]);
    assert_eq!(verified.status.code(), Some(1), "{}", text(&verified));
    for (bad, code) in [(spool, 66), ("/none/such", 66), (place.config().to_str().unwrap(), 64)] {
        let verified = tetherd(&["verify", "--public-key", bad, spool]);
        assert_eq!(verified.status.code(), Some(code), "{}", text(&verified));
        assert_eq!(text(&verified).lines().count(), 1, "{}", text(&verified));
    }

    // A key that others may read signs nothing; findings are recorded all the same.
    Command::new("chmod").args(["0644", key_file.to_str().unwrap()]).status().unwrap();
    let daemon = Daemon::start_in(&place);
    assert!(daemon.said().contains("may be read by others"), "{}", daemon.said());
    assert!(daemon.status()["checkpoints"]["why_not"].as_str().unwrap().contains("may be read by others"));
    let shown = text(&tetherd(&["status", "--config", place.config().to_str().unwrap()]));
    assert!(shown.contains("NO checkpoints"), "{shown}");
    daemon.stop();
    assert_eq!(of(&place.records(), CHECKPOINT).len(), 1);
}

/// `verify` in words: what a person is told of the first break.
#[test]
fn the_first_break_in_words() {
    require!();
    let place = Place::new("");
    Daemon::start_in(&place).stop();
    Daemon::start_in(&place).stop();
    let segment = place.spool().join("findings-000000000001.jsonl");
    let lines: Vec<String> = fs::read_to_string(&segment).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 4);
    let names: Vec<String> =
        place.records().iter().map(|r| r.0["finding"]["name"].as_str().unwrap().to_owned()).collect();
    fs::write(&segment, [&lines[0], &lines[2], &lines[3]].map(|line| format!("{line}\n")).concat()).unwrap();
    let verified = tetherd(&["verify", place.spool().to_str().unwrap()]);
    let said = text(&verified);
    assert_eq!(verified.status.code(), Some(1));
    for part in [
        "BROKEN at record 2, findings-000000000001.jsonl line 2: missing lines: records 2 to 2 are missing before record 3",
        "  before record 1 of 2",
        "  after  record 3 of 2",
        names[0].as_str(),
        names[2].as_str(),
        "1 breaks: 1 missing lines\n",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

/// A rule that nobody has read in, a control socket that is gone, SIGSTOP; and what is in order says nothing.
#[test]
fn what_is_done_to_it_is_told() {
    require!();
    let place = Place::new("");
    let daemon = Daemon::start_in(&place);
    let told = |part: &'static str| {
        move |record: &Finding| {
            is(INTERFERENCE)(record) && record.0["finding"]["description"].as_str().unwrap().contains(part)
        }
    };
    fs::write(place.path("rules.d/10-all.toml"), "# everything\n").unwrap();
    let rule = daemon.wait_for("the rule is told", told("10-all.toml (the rules) is new"));
    assert_eq!((rule.severity(), rule.text("Interference")), ("", "file"));
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("the reload", is(RELOADED));
    fs::remove_file(place.path("control.sock")).unwrap();
    daemon.wait_for("the socket is told", told("control.sock (the control socket) was removed"));
    daemon.signal(Signal::SIGSTOP);
    // Longer than what is told, which is five seconds.
    std::thread::sleep(std::time::Duration::from_secs(6));
    daemon.signal(Signal::SIGCONT);
    daemon.wait_for("the stop is told", told("did not run for"));
    assert_eq!(of(&place.records(), INTERFERENCE).len(), 3);
    daemon.signal(Signal::SIGTERM);
}
