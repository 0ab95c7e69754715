//! What a running daemon may still do.

use std::collections::BTreeMap;

use crate::common::daemon::{Daemon, Place};
use crate::require;

/// CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_SYS_NICE (capability.h).
const WITHOUT_HOLD: u64 = 1 << 2 | 1 << 12 | 1 << 19 | 1 << 21 | 1 << 23;
/// CAP_IPC_LOCK.
const WITH_HOLD: u64 = WITHOUT_HOLD | 1 << 14;

/// `/proc/PID/task/*/status`, each thread's: these belong to a thread.
fn threads(daemon: &Daemon) -> Vec<BTreeMap<String, String>> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    let texts = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).ok());
    let fields = |text: String| {
        let pairs = text.lines().filter_map(|line| line.split_once(":\t"));
        pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    };
    texts.map(fields).collect()
}

fn check(daemon: &Daemon, expected: u64, filters: &str) {
    let threads = threads(daemon);
    assert!(threads.len() > 6);
    for thread in &threads {
        let set = |name: &str| u64::from_str_radix(&thread[name], 16).unwrap();
        let name = &thread["Name"];
        for of in ["CapEff", "CapPrm", "CapBnd"] {
            assert_eq!(format!("{:x}", set(of)), format!("{expected:x}"), "{of} of {name}");
        }
        assert_eq!((set("CapInh"), set("CapAmb")), (0, 0), "{name}");
        assert_eq!(thread["NoNewPrivs"], "1", "{name}");
        // 2: a filter.
        assert_eq!(thread["Seccomp"], filters, "{name}");
    }
}

/// With the filter of system calls.
fn confined(fanotify: &str) -> Daemon {
    let place = Place::new(&format!("[sensor]\nfanotify = \"{fanotify}\"\n"));
    place.control("system_calls = \"refuse\"");
    Daemon::start_in(&place)
}

#[test]
fn every_thread_has_the_least() {
    require!();
    let daemon = confined("off");
    check(&daemon, WITHOUT_HOLD, "2");
    daemon.stop();
}

#[test]
fn holding_needs_locked_memory_too() {
    require!();
    let daemon = confined("hold");
    check(&daemon, WITH_HOLD, "2");
    daemon.stop();
}

/// The filter has to be asked for; the rest does not.
#[test]
fn without_a_filter() {
    require!();
    let daemon = Daemon::start("");
    let mode = crate::common::mode::mode_of(&daemon);
    check(&daemon, if mode == "hold" { WITH_HOLD } else { WITHOUT_HOLD }, "0");
    daemon.stop();
}
