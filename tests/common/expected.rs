//! What a finding has to say, and proving it: from the connection to the record that closes the incident.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::attacker::{Listener, Session};
use super::daemon::{Daemon, lives};
use super::finding::{CATEGORY, Finding, arguments_of};
use super::mode::{is_seen, mode};
use super::notes::note;
use super::victim::Victim;
use super::which;

/// How often a command is tried whose arguments may be unread, as it ends at once; how long its record may take.
const TRIES: u32 = 5;
const SOON: Duration = Duration::from_secs(3);

/// The finding that one attack must give.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// The row of the table of findings.
    pub row: u64,
    /// The severity: already lowered where the peer is on loopback.
    pub severity: &'a str,
    /// The program: a name in PATH or a path, links followed.
    pub exe: &'a str,
    /// All its arguments.
    pub args: &'a [&'a str],
    /// The real user id.
    pub uid: &'a str,
    /// Which of fds 0-2 are the socket.
    pub fds: &'a [u64],
    /// `Tether_Direction`.
    pub direction: &'a str,
    /// `Peer_Scope`.
    pub scope: &'a str,
    /// `Socket_Protocol`.
    pub protocol: &'a str,
    /// The protocol of the connection; `None` where the API has no name for it.
    pub wire: Option<&'a str>,
    /// `Observation`, in the mode `off` (`mode::is_seen` says what it is in the others).
    pub seen: &'a str,
    /// The shell is in a PID namespace of its own: what it calls itself is not what the host calls it.
    pub inner_pid: bool,
    /// The program file is not the host's (a container's, a chroot's): the path is compared as it is.
    pub other_root: bool,
    /// The daemon is made slow on purpose: the command that joins the timeline lives long enough to be read.
    pub patient: bool,
}

impl Default for Expected<'_> {
    /// A reverse shell, `sh` without arguments, over TCP on IPv4 loopback.
    fn default() -> Self {
        Self {
            row: 1,
            severity: "HIGH",
            exe: "sh",
            args: &["sh"],
            uid: "0",
            fds: &[0, 1, 2],
            direction: "outbound",
            scope: "loopback",
            protocol: "TCP",
            wire: Some("TCP"),
            seen: "live",
            inner_pid: false,
            other_root: false,
            patient: false,
        }
    }
}

impl Expected<'_> {
    /// The program's path as the finding must have it.
    fn path(&self) -> String {
        if self.other_root {
            return self.exe.to_owned();
        }
        let path = which(self.exe).unwrap_or_else(|| panic!("{} is missing", self.exe));
        fs::canonicalize(path).unwrap().to_string_lossy().into_owned()
    }

    /// Whether a record is about this connection, seen from the victim.
    pub fn is_between(record: &Finding, victim: SocketAddr, attacker: SocketAddr) -> bool {
        record.category() == CATEGORY
            && record.own_port() == Some(victim.port())
            && record.peer_port() == Some(attacker.port())
    }

    /// Waits for the finding about the shell with process id `shell` between two addresses, and holds all of its
    /// content against what is expected.
    pub fn find(&self, daemon: &Daemon, victim: SocketAddr, attacker: SocketAddr, shell: u32) -> Finding {
        let path = self.path();
        let pids = if self.inner_pid { outer_pids(shell) } else { vec![shell] };
        let subject = |record: &Finding| {
            let own = pids.iter().find_map(|&pid| record.process(pid))?;
            (own["binary"]["path"] == path.as_str() && arguments_of(own) == self.args).then(|| own.clone())
        };
        let what =
            format!("row {} about {path} {:?}, pid {pids:?}, {victim} to {attacker}", self.row, self.args);
        let found = daemon.wait_for(&what, |record| {
            Self::is_between(record, victim, attacker)
                && record.row() == self.row
                && subject(record).is_some()
        });
        let brief = found.brief();
        assert_eq!(found.severity(), self.severity, "severity: {brief}");
        assert_eq!(found.state(), "ACTIVE", "state: {brief}");
        assert_eq!(found.0["finding"]["findingClass"], "THREAT");
        assert_eq!(found.0["finding"]["mitreAttack"]["primaryTactic"], "EXECUTION");
        assert_eq!(found.text("Tether_Kind"), "direct", "{brief}");
        assert_eq!(found.text("Tether_Direction"), self.direction, "direction: {brief}");
        assert_eq!(found.text("Peer_Scope"), self.scope, "scope: {brief}");
        assert_eq!(found.text("Socket_Protocol"), self.protocol, "protocol: {brief}");
        assert_eq!(found.numbers("Socket_Fds"), self.fds, "descriptors: {brief}");
        let seen = pids.iter().find_map(|&pid| found.seen(pid)).unwrap_or_default();
        assert!(is_seen(daemon, self.seen, seen), "observation: {seen}, not {}: {brief}", self.seen);
        assert!(found.number("Socket_Inode") > 0, "inode: {brief}");
        assert!(found.count() >= 1, "count: {brief}");
        let all: u64 = ["held", "live", "inherited", "swept"].iter().map(|how| found.observed(how)).sum();
        assert_eq!(all, found.count(), "each command was seen in one way: {brief}");

        let connection = &found.connections()[0];
        assert_eq!(connection["destinationIp"], attacker.ip().to_string(), "{brief}");
        assert_eq!(connection["sourceIp"], victim.ip().to_string(), "{brief}");
        assert_eq!(connection["protocol"].as_str(), self.wire, "{brief}");

        let process = subject(&found).unwrap();
        assert_eq!(process["userId"], self.uid, "user: {brief}");
        let parent: u32 = process["parentPid"].as_str().unwrap().parse().unwrap();
        assert!(parent > 0, "parent: {brief}");
        found
    }
}

/// Waits for the shell to connect, uses it, and proves the whole life of the incident: the finding's content, a command
/// that joins its timeline, and its end under the same name.
pub fn prove(daemon: &Daemon, attacker: &Listener, victim: Victim, expected: &Expected) -> Finding {
    prove_session(daemon, attacker.accept(), victim, expected)
}

/// The same for a session that is there already.
pub fn prove_session(
    daemon: &Daemon,
    mut session: Session,
    mut victim: Victim,
    expected: &Expected,
) -> Finding {
    let shell = session.shell_pid();
    let (here, there) = (session.victim(), session.attacker());
    let found = expected.find(daemon, here, there, shell);
    note(daemon, &found);

    // In notify the arguments of commands that end at once are often unread, in `off` seldom. Each is counted.
    let pause = if expected.patient || mode() == "notify" { "sleep 0.2; " } else { "" };
    let cat = |record: &Finding| record.id() == found.id() && record.ran(&["/bin/cat"]);
    let mut before = found.count();
    let mut joined = None;
    for _ in 0..TRIES {
        let said = session.run(&format!("({pause}echo he''ard) | /bin/cat; :"));
        assert!(!expected.fds.contains(&1) || said.contains("heard"), "the command's answer: {said:?}");
        let after = daemon.wait_for(&format!("a command joins {}", found.id()), |record| {
            record.id() == found.id() && record.count() > before
        });
        before = after.count();
        joined = daemon.within(SOON, cat);
        if joined.is_some() {
            break;
        }
    }
    let joined = joined.unwrap_or_else(|| daemon.wait_for(&format!("cat joins {}", found.id()), cat));
    assert!(joined.count() >= 2, "{}", joined.brief());

    session.exit();
    victim.wait();
    let ended = daemon.wait_for(&format!("{} ends", found.id()), |record| {
        record.id() == found.id() && record.state() == "INACTIVE"
    });
    assert!(ended.count() >= joined.count(), "{}", ended.brief());
    assert_eq!(ended.row(), expected.row, "{}", ended.brief());
    found
}

/// The process ids here of processes that know themselves as `inner` in a PID namespace of their own.
pub fn outer_pids(inner: u32) -> Vec<u32> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let status =
            fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap_or_default();
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let ids: Vec<u32> = ids.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        if ids.len() > 1 && ids.last() == Some(&inner) && lives(pid) {
            pids.push(pid);
        }
    }
    pids
}
