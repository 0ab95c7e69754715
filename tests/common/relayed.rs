//! What a finding about a relayed tether has to say, and proving it from the connection to the end.

use super::attacker::Session;
use super::daemon::Daemon;
use super::expected::outer_pids;
use super::finding::{CATEGORY, Finding, arguments_of};
use super::notes::note;
use super::victim::Victim;
use super::wait_for;

/// The finding that one relayed attack must give.
#[derive(Clone, Debug)]
pub struct Relayed<'a> {
    /// The row of the table of findings.
    pub row: u64,
    /// The severity: already lowered where the peer is on loopback.
    pub severity: &'a str,
    /// The file name of the shell's executable.
    pub exe: &'a str,
    /// All its arguments.
    pub args: &'a [&'a str],
    /// Which of fds 0-2 lead to the network.
    pub fds: &'a [u64],
    /// `Tether_Direction`.
    pub direction: &'a str,
    /// `Peer_Scope`.
    pub scope: &'a str,
    /// Every hop, `comm backing`, where the backing is `pipe`, `unix`, `pts`, `ptmx` or `socket`.
    pub hops: &'a [&'a str],
    /// `Tether_Kind`: a relay that has the socket on its own stdio may be found by that first.
    pub kind: &'a str,
    /// The shell is in a PID namespace of its own.
    pub inner_pid: bool,
    /// How many programs the shell's process executes at most: a quick one may be read as the next.
    pub execs: usize,
    /// How many findings the session gives.
    pub findings: usize,
}

impl Default for Relayed<'_> {
    /// `sh` without arguments on pipes, connected to loopback.
    fn default() -> Self {
        Self {
            row: 4,
            severity: "HIGH",
            exe: "dash",
            args: &["sh"],
            fds: &[0, 1, 2],
            direction: "outbound",
            scope: "loopback",
            hops: &[],
            kind: "relayed",
            inner_pid: false,
            execs: 1,
            findings: 1,
        }
    }
}

/// Whether a record is about one of these ports.
pub fn is_on(record: &Finding, ports: &[u16]) -> bool {
    let own = [record.own_port(), record.peer_port()];
    record.category() == CATEGORY && ports.iter().any(|port| own.contains(&Some(*port)))
}

/// The hops of a record in short: `nc.openbsd pipe`.
pub fn hops(record: &Finding) -> Vec<String> {
    let list = record.property("Tether_Path").as_array().cloned().unwrap_or_default();
    list.iter()
        .map(|hop| {
            let backing = hop["backing"].as_str().unwrap_or_default();
            let kind = match backing {
                text if text.starts_with("/dev/ptmx") => "ptmx",
                text if text.starts_with("/dev/pts/") => "pts",
                text => text.split(':').next().unwrap_or_default(),
            };
            format!("{} {kind}", hop["comm"].as_str().unwrap_or_default())
        })
        .collect()
}

fn relay_pid(record: &Finding) -> u64 {
    let path = record.property("Tether_Path").as_array().cloned().unwrap_or_default();
    path.last().and_then(|hop| hop["pid"].as_u64()).unwrap_or(0)
}

fn evidence(record: &Finding) -> Vec<String> {
    let list = record.property("Evidence").as_array().cloned().unwrap_or_default();
    list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// All that a failed test has to show of a record.
pub fn brief(record: &Finding) -> String {
    format!(
        "{}\n  {} {:?}\n  {:?}",
        record.brief(),
        record.text("Tether_Kind"),
        hops(record),
        evidence(record)
    )
}

/// The relay is named in the hops and in the evidence, and has the socket.
fn names_the_relay(found: &Finding, expected: &Relayed) {
    let brief = brief(found);
    let wanted: Vec<String> = expected.hops.iter().map(ToString::to_string).collect();
    assert_eq!(hops(found), wanted, "hops: {brief}");
    let pid = relay_pid(found);
    assert!(pid > 0, "{brief}");
    let name = wanted.last().and_then(|hop| hop.split(' ').next()).unwrap_or_default();
    let sentence = format!("relayed by {name} (pid {pid})");
    assert!(evidence(found).contains(&sentence), "evidence lacks {sentence:?}: {brief}");
}

/// Uses a shell over its session and proves the whole life of the incident. `ports`: the victim's or the attacker's, by
/// which the session's findings are known.
pub fn prove_relayed(
    daemon: &Daemon,
    mut session: Session,
    victim: Victim,
    ports: &[u16],
    expected: &Relayed,
) -> Finding {
    let shell = session.shell_pid();
    let pids = if expected.inner_pid { outer_pids(shell) } else { vec![shell] };
    let what = format!("row {} about {:?}, pid {pids:?}", expected.row, expected.args);
    let subject = |record: &Finding| {
        let own = pids.iter().find_map(|&pid| record.process(pid))?;
        let path = own["binary"]["path"].as_str()?;
        (path.ends_with(expected.exe) && arguments_of(own) == expected.args).then(|| own.clone())
    };
    let found = wait_or_show(daemon, ports, &what, |record| {
        record.row() == expected.row
            && record.text("Tether_Kind") == expected.kind
            && subject(record).is_some()
    });
    note(daemon, &found);
    assert_eq!(found.severity(), expected.severity, "severity: {}", brief(&found));
    assert_eq!(found.state(), "ACTIVE", "{}", brief(&found));
    assert_eq!(found.text("Tether_Direction"), expected.direction, "{}", brief(&found));
    assert_eq!(found.text("Peer_Scope"), expected.scope, "{}", brief(&found));
    assert_eq!(found.numbers("Socket_Fds"), expected.fds, "{}", brief(&found));
    assert!(found.number("Socket_Inode") > 0, "{}", brief(&found));
    if expected.kind == "relayed" {
        names_the_relay(&found, expected);
    }

    // It lives long enough to be read on a busy machine.
    let said = session.run("(sleep 0.2; echo he''ard) | /bin/cat; :");
    assert!(said.contains("heard"), "the command's answer: {said:?}");
    let joined = wait_or_show(daemon, ports, "cat joins", |record| {
        record.id() == found.id() && record.ran(&["/bin/cat"])
    });
    assert!(joined.count() >= 2, "{}", joined.brief());
    let shell = |process: &&serde_json::Value| {
        arguments_of(process) == expected.args
            && pids.iter().any(|pid| process["pid"].as_str() == Some(&pid.to_string()))
    };
    let times = joined.processes().iter().filter(shell).count();
    assert!(times <= expected.execs, "the shell is there {times} times: {}", joined.brief());
    session.exit();
    ends(daemon, victim, ports, &found, expected.findings);
    found
}

/// Ends the victim, and proves that the finding becomes INACTIVE and that there were no more than expected.
pub fn ends(daemon: &Daemon, victim: Victim, ports: &[u16], found: &Finding, findings: usize) {
    // The relay may outlive the shell: what matters is that the shell is gone.
    let newest = || daemon.records().into_iter().rfind(|record| record.id() == found.id());
    let over = || newest().filter(|record| record.state() == "INACTIVE");
    let closed = super::wait_at_most(std::time::Duration::from_secs(5), over);
    drop(victim);
    let last = closed.unwrap_or_else(|| wait_for(&format!("the end of {}", brief(found)), over));
    assert!(last.count() >= found.count(), "{}", last.brief());
    daemon.judged();
    // The kernel gives ports out again: what ended before this began is somebody else's.
    let own = |record: &Finding| is_on(record, ports) && record.text("Last_Seen") >= found.text("First_Seen");
    let all: Vec<_> = daemon.place().findings().into_iter().filter(own).collect();
    let briefs: Vec<_> = all.iter().map(brief).collect();
    assert_eq!(all.len(), findings, "findings of one session:\n{}", briefs.join("\n"));
}

/// Waits for a record about these ports; shows those that there are if none comes.
pub fn wait_or_show(
    daemon: &Daemon,
    ports: &[u16],
    what: &str,
    matches: impl Fn(&Finding) -> bool,
) -> Finding {
    let about = |record: &Finding| is_on(record, ports);
    let found = super::wait_at_most(super::DEADLINE, || {
        daemon.records().into_iter().rfind(|record| about(record) && matches(record))
    });
    found.unwrap_or_else(|| {
        let records: Vec<_> = daemon.records().into_iter().filter(about).map(|r| brief(&r)).collect();
        panic!("no record: {what}\nabout {ports:?} there are:\n{}", records.join("\n"))
    })
}

/// Sends one command a line to a loop that runs each, and proves row 6: the second, different one gives the finding, and
/// both are on its timeline. Of commands that live for a millisecond some have ended, and their parents with them, before
/// it was found who takes their output: those are counted as lost, and so they are sent again.
pub fn prove_popen(daemon: &Daemon, mut session: Session, victim: Victim, port: u16, relay: &str) -> Finding {
    let ran = |record: &Finding, args: &[&str]| {
        record.ran(args)
            || record.ran(&["sh", "-c", &args.join(" ")])
            || record.ran(&["/bin/sh", "-c", &args.join(" ")])
            || record.ran(&["sh", "-c", "--", &args.join(" ")])
    };
    let commands: [&[&str]; 3] = [&["id", "-u"], &["uname", "-s"], &["cat", "/etc/hostname"]];
    let enough = |record: &Finding| {
        let listed = commands.iter().filter(|command| ran(record, command)).count();
        is_on(record, &[port]) && record.row() == 6 && listed >= 2
    };
    for _ in 0..8 {
        for (line, answer) in [("id -u", "0\n"), ("uname -s", "Linux\n"), ("cat /etc/hostname", "\n")] {
            session.send(&format!("{line}\n"));
            session.hear(answer);
        }
        let seconds = std::time::Duration::from_secs(3);
        if super::wait_at_most(seconds, || daemon.records().into_iter().rfind(&enough)).is_some() {
            break;
        }
    }
    let found = wait_or_show(daemon, &[port], "row 6 with two commands", enough);
    note(daemon, &found);
    let brief = brief(&found);
    assert_eq!(found.text("Tether_Kind"), "relayed", "{brief}");
    let pid = relay_pid(&found);
    let sentence = format!("relayed by {relay} (pid {pid})");
    assert!(evidence(&found).contains(&sentence), "evidence lacks {sentence:?}: {brief}");
    assert_eq!(hops(&found).last().map(String::as_str), Some(format!("{relay} socket").as_str()), "{brief}");
    drop(session);
    ends(daemon, victim, &[port], &found, 1);
    found
}

/// Waits until a path is there.
pub fn there(path: &std::path::Path) {
    wait_for(&format!("{} is there", path.display()), || path.exists().then_some(()));
}
