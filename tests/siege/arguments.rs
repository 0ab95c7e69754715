//! Arguments and names that change while they are read.

use std::process::{Command, Stdio};

use crate::common::attacker::Listener;
use crate::common::daemon::{Daemon, lives};
use crate::common::finding::arguments_of;
use crate::common::programs::program;
use crate::common::victim::Victim;
use crate::{alone, is_of, require, still_finds};

/// The longest line that a spool may have: forwarders stop at 32 KiB.
const LINE_MAX: usize = 30_000;

/// What the record says is from some moment: it may be any of what the process wrote, and half of one and half of the next.
/// It is bounded, escaped, and one line.
#[test]
fn arguments_rewritten_while_they_are_read() {
    require!("gcc");
    let _alone = alone();
    let daemon = Daemon::shared();
    for round in 0..12 {
        let attacker = Listener::tcp();
        let port = attacker.port().to_string();
        let mut command = Command::new(program("mask"));
        // From a few bytes to two hundred thousand.
        let long = "a".repeat(1 << (4 + round % 13));
        command.args(["127.0.0.1", &port]).args([&long, &long]).stdin(Stdio::null()).stdout(Stdio::null());
        let victim = Victim::spawn(command);
        let session = attacker.accept();
        let record = daemon.wait_for("the masked program", |record| is_of(record, attacker.port()));
        assert!([1, 7].contains(&record.row()), "{}", record.brief());
        let process = record.process(victim.pid()).unwrap();
        let shown: usize = arguments_of(process).iter().map(|arg| arg.len()).sum();
        assert!(shown <= LINE_MAX);
        // What the kernel says of the program is not the process's to choose.
        assert!(process["binary"]["path"].as_str().unwrap().ends_with("/mask"), "{process}");
        assert_eq!(process["parentPid"], std::process::id().to_string());
        drop((session, victim));
    }
    for entry in std::fs::read_dir(daemon.place().spool()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("findings-") {
            for line in std::fs::read(entry.path()).unwrap().split(|&b| b == b'\n') {
                assert!(line.len() <= LINE_MAX, "a line of {} bytes", line.len());
                let text = std::str::from_utf8(line).unwrap();
                assert!(!text.chars().any(char::is_control));
            }
        }
    }
    assert!(lives(daemon.pid()));
    still_finds(daemon);
}
