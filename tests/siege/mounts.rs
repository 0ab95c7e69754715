//! A storm of mounts.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::attacker::Listener;
use crate::common::daemon::{Daemon, Place};
use crate::common::programs::program;
use crate::common::victim::Victim;
use crate::{alone, found, is_of, on_socket, require, shell};

/// A mount namespace with a tmpfs of its own at `at`, kept by a process that sleeps.
fn namespace(at: &Path) -> Victim {
    let line = format!(
        "mount --make-rprivate / && mount -t tmpfs none {0} && mount --make-private {0} && echo ready && exec sleep 600",
        at.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &line]).stdin(Stdio::null());
    Victim::ready(command, "ready")
}

/// A command inside it.
fn inside(space: &Victim) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--mount", "--target", &space.pid().to_string(), "--"]).stdin(Stdio::null());
    command
}

/// A daemon that lives in the namespace.
fn daemon_inside(space: &Victim, place: &std::sync::Arc<Place>) -> Daemon {
    let plain = place.command();
    let mut command = inside(space);
    command.arg(plain.get_program()).args(plain.get_args());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    Daemon::start_by(place, command)
}

/// What the daemon has used of the processors, in seconds.
fn processor(daemon: &Daemon) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

/// Thousands of mounts a second where the daemon lives. Nobody waits for it, and it stays small and finds what there is.
fn besieged(mode: &str) {
    require!("gcc", "unshare", "nsenter", "mount");
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let space = namespace(directory.path());
    let place = Place::new(&format!("[sensor]\nfanotify = \"{mode}\"\n"));
    let daemon = daemon_inside(&space, &place);
    let (before, spent, began) = (daemon.memory_kib("VmRSS"), processor(&daemon), Instant::now());
    let mut storm = inside(&space);
    storm.arg(program("mounts")).arg(directory.path()).arg("2000").stdout(Stdio::piped());
    let mut storm = storm.spawn().unwrap();
    let port = Listener::tcp().swallow();
    let mut slowest = Duration::ZERO;
    while storm.try_wait().unwrap().is_none() {
        let from = Instant::now();
        let (_victim, own) = on_socket(port, shell("read line"));
        let record = found(&daemon, own);
        assert_eq!(record.row(), 1, "{}", record.brief());
        slowest = slowest.max(from.elapsed());
    }
    let share = (processor(&daemon) - spent) / began.elapsed().as_secs_f64();
    let output = storm.wait_with_output().unwrap();
    let status = daemon.status();
    eprintln!(
        "{mode}: {} in 2 s; the slowest shell {slowest:?}; the daemon took {:.0} % of a processor; fanotify {}",
        String::from_utf8_lossy(&output.stdout).trim(),
        share * 100.0,
        status["fanotify"]
    );
    assert!(output.status.success(), "the storm failed");
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    let after = daemon.memory_kib("VmHWM");
    assert!(after < before + 24 * 1024, "memory went from {before} to {after} KiB");
    if mode == "hold" {
        let longest = status["fanotify"]["wait_us"]["max"].as_u64().unwrap();
        assert!(longest < 50_000, "somebody waited for {longest} us");
        // Afterwards what is on the real filesystems is held as before.
        let (mut victim, own) = on_socket(port, shell(":"));
        victim.wait();
        let record = daemon.wait_for("it is held", |r| is_of(r, own) && r.observed("held") >= 1);
        assert_eq!(record.row(), 1, "{}", record.brief());
        assert_eq!(daemon.status()["fanotify"]["mode"], "hold", "holding was given up");
    }
    daemon.stop();
    drop(space);
}

#[test]
fn a_storm_of_mounts() {
    besieged("off");
}

#[test]
fn a_storm_of_mounts_while_execs_are_held() {
    besieged("hold");
}
