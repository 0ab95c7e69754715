//! `follow`: prints what is added later, and only what is wanted.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::common::daemon::TETHERD;
use crate::common::{DEADLINE, wait_for};
use crate::spools::{TICK, append, finding, id, spool};

struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(TETHERD);
        command.arg("follow").args(arguments).arg("--spool").arg(directory);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line comes before the deadline")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_added_later() {
    let directory = spool(vec![finding(&id("aa11"), "x")]);
    let follower = Follower::start(directory.path(), &["--from-start"]);
    assert!(follower.next().contains("aa110000"));
    append(directory.path(), &mut [finding(&id("bb22"), "a\n\u{1b}[2J\u{202e}b")]);
    let line = follower.next();
    assert!(line.contains("bb220000") && line.contains("a\\n\\x1b[2J\\u{202e}b"), "{line}");
}

#[test]
fn only_what_is_added_later() {
    let directory = spool(vec![finding(&id("aa11"), "x")]);
    let follower = Follower::start(directory.path(), &["--json"]);
    // When it has begun cannot be seen: something is added until it says something.
    let mut added = 0;
    let line = wait_for("the follower prints a record", || {
        added += 1;
        append(directory.path(), &mut [finding(&id(&format!("bb{added:04}")), "x")]);
        follower.lines.recv_timeout(TICK).ok()
    });
    let record: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(record["finding"]["name"].as_str().unwrap().contains("/findings/bb"), "{line}");
}

#[test]
fn only_what_is_wanted() {
    let mut low = finding(&id("aa11"), "x");
    low.finding.severity = Some(tetherd::model::detection::Severity::Low);
    let directory = spool(vec![low, finding(&id("bb22"), "x")]);
    let follower = Follower::start(directory.path(), &["--from-start", "--severity", "high"]);
    assert!(follower.next().contains("bb220000"), "the low one is left out");
}
