//! A small fleet of which everything is known: ten nodes, thirty days, and one planted answer for each query of conf/fleet.
//!
//! Owns: what happens, and the spools that it becomes. Must not own: what the queries have to say of it (`answers`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tetherd::model::detection::{Row, Severity, State};
use tetherd::model::finding::{CATEGORY_DROPPED, CATEGORY_HEARTBEAT, CATEGORY_LOSS, Record, property};
use tetherd::model::ids::FindingId;
use tetherd::spool::record::{DROPPED_COUNT, FIRST_SEQUENCE, LAST_SEQUENCE};
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::writer::Writer;

use crate::incident::{Command, Incident, Machine, Place, Program, SECOND, about};

pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;
pub const NODES: usize = 10;
/// The node that falls silent.
pub const SILENT: usize = 9;
/// The node that has a heartbeat only every four hours.
pub const RARE: usize = 4;
/// The node whose segments are removed by hand.
pub const ORPHAN: usize = 2;
/// The node of which lines are lost on the way.
pub const GAP: usize = 6;
/// The node that drops records itself.
pub const DROPPING: usize = 7;
/// The node of which a line is changed on the way.
pub const CHANGED: usize = 8;
/// The node whose name another machine has too.
pub const TWIN: usize = 5;
/// The node whose clock is set back.
pub const CLOCK: usize = 10;

/// An incident, and how much of it has been told.
pub struct Told {
    /// 1 to [`NODES`].
    pub node: usize,
    pub incident: Incident,
    pub state: State,
}

/// What happened.
pub struct Scenario {
    pub now: u64,
    pub told: Vec<Told>,
    /// Node, time, kind of loss, how many.
    pub losses: Vec<(usize, u64, &'static str, u64)>,
    /// Where the chain is broken: node, what, number, how many are missing, whether that was announced.
    pub breaks: Vec<(usize, &'static str, u64, u64, bool)>,
    next: u64,
}

pub fn name(node: usize) -> String {
    format!("n{node:02}")
}

fn machine(node: usize) -> Machine {
    Machine {
        name: name(node),
        resource: "//k8s.local/clusters/test".into(),
        boot: format!("00000000-0000-4000-8000-{node:012}"),
    }
}

pub fn program(path: &str, origin: &'static str) -> Program {
    // A digest that depends on the path alone.
    let seed = path.bytes().fold(7u64, |sum, byte| sum.wrapping_mul(131).wrapping_add(u64::from(byte)));
    Program { path: path.into(), sha256: format!("{seed:016x}").repeat(4), origin }
}

fn command(after: u64, words: &str) -> Command {
    let args: Vec<String> = words.split(' ').map(str::to_owned).collect();
    Command { after, program: program(&format!("/usr/bin/{}", args[0]), "image"), args }
}

impl Scenario {
    /// Everything that happened until `now`, a whole hour.
    pub fn new(now: u64) -> Self {
        let mut all = Self { now, told: Vec::new(), losses: Vec::new(), breaks: Vec::new(), next: 1 };
        all.everyday();
        all.planted();
        all.losses = vec![
            (3, now - 2 * DAY, "vanished", 2),
            (3, now - 3 * DAY, "vanished", 3),
            (3, now - 3 * DAY - HOUR, "kernel_overflow", 7),
            (4, now - 10 * DAY, "vanished", 100),
        ];
        all
    }

    /// The same every day, on all nodes, until two days ago.
    fn everyday(&mut self) {
        for days in 2..30 {
            for node in 1..=NODES {
                // Hours apart, so that no two nodes have something in common within one.
                let at = self.now - days * DAY - node as u64 * 2 * HOUR;
                let mut incident = self.incident(node, at, &format!("192.0.2.{node}"));
                incident.row = if days % 3 == 0 { Row::RelayedByTool } else { Row::WatchedBothWays };
                incident.relay = (days % 3 == 0).then_some("socat");
                incident.commands.push(command(SECOND, "id"));
                incident.commands.push(command(2 * SECOND, "uname -a"));
                incident.commands.push(command(3 * SECOND, if node % 2 == 0 { "ls -la" } else { "env" }));
                incident.commands.push(command(4 * SECOND, "cat /etc/passwd"));
                self.tell(node, incident, State::Inactive);
            }
        }
    }

    fn planted(&mut self) {
        let now = self.now;
        // A peer that nobody had, and one that somebody had.
        for (node, hours) in [(1, 5), (2, 6)] {
            let incident = self.incident(node, now - hours * HOUR, "203.0.113.7");
            self.tell(node, incident, State::Inactive);
        }
        for ago in [10 * DAY, 4 * HOUR] {
            let incident = self.incident(3, now - ago, "203.0.113.8");
            self.tell(3, incident, State::Inactive);
        }
        // The same added program on two nodes, and one on a single node.
        for (node, days, path, origin) in
            [(3, 10, "/tmp/.x", "added"), (4, 9, "/tmp/.x", "added"), (5, 8, "/memfd:y", "memfd")]
        {
            let mut incident = self.incident(node, now - days * DAY - HOUR, &format!("192.0.2.{node}"));
            incident.commands[0].program = program(path, origin);
            incident.row = Row::OtherBothWays;
            incident.severity = Severity::Medium;
            self.tell(node, incident, State::Inactive);
        }
        // A shell that goes on for three days.
        let mut incident = self.incident(1, now - 4 * DAY, "192.0.2.1");
        incident.commands.push(command(3 * DAY, "id"));
        self.tell(1, incident, State::Active);
        // One image name, two digests.
        for (node, digest) in [(1, "aa"), (2, "bb")] {
            let mut incident = self.incident(node, now - 5 * DAY, &format!("192.0.2.{node}"));
            let place = incident.place.as_mut().unwrap();
            place.image = "registry.example/shop/api:2".into();
            place.image_id = format!("registry.example/shop/api@sha256:{}", digest.repeat(32));
            self.tell(node, incident, State::Inactive);
        }
        // A command that nobody had run.
        let mut incident = self.incident(6, now - 3 * HOUR, "192.0.2.6");
        incident.commands.push(command(SECOND, "nmap -sS 10.0.0.0/8"));
        self.tell(6, incident, State::Inactive);
        // From one node to the next, on the hosts themselves.
        let mut incident = self.incident(1, now - 2 * DAY, "192.0.2.1");
        incident.place = None;
        self.tell(1, incident, State::Inactive);
        let mut incident = self.incident(2, now - 2 * DAY + 30 * MINUTE, "10.1.0.1");
        (incident.scope, incident.direction, incident.place) = ("private", "inbound", None);
        self.tell(2, incident, State::Inactive);
        // One peer, four nodes, within an hour.
        for node in 1..=4 {
            let at = (now - 15 * DAY) / HOUR * HOUR + node as u64 * 10 * MINUTE;
            let incident = self.incident(node, at, "198.51.100.3");
            self.tell(node, incident, State::Inactive);
        }
        // The last that is heard of a node.
        let incident = self.incident(SILENT, now - 5 * HOUR, "192.0.2.9");
        self.tell(SILENT, incident, State::Active);
    }

    /// A shell in a pod on a connection of its own.
    fn incident(&mut self, node: usize, start: u64, peer: &str) -> Incident {
        self.next += 1;
        Incident {
            id: FindingId(u128::from(self.next).to_be_bytes()),
            start,
            row: Row::WatchedBothWays,
            severity: Severity::Critical,
            peer: (peer.into(), 4444),
            local: (format!("10.1.0.{node}"), 40_000),
            scope: "public",
            direction: "outbound",
            relay: None,
            parent: "/usr/bin/python3.12".into(),
            user: (33, "www-data"),
            place: Some(Place {
                container_id: format!("{node:02x}").repeat(32),
                container: "web".into(),
                image: "registry.example/shop/web:1".into(),
                image_id: format!("registry.example/shop/web@sha256:{}", "cc".repeat(32)),
                namespace: "shop".into(),
                pod: format!("web-7c966b5d85-{node:05}"),
                pod_uid: format!("00000000-0000-4000-8000-{node:012}"),
            }),
            commands: vec![command(0, "bash -i")],
            pid: 1_000 + u32::try_from(self.next).unwrap() * 20,
        }
    }

    fn tell(&mut self, node: usize, incident: Incident, state: State) {
        self.told.push(Told { node, incident, state });
    }

    /// The records of a node in the order of time.
    fn records(&self, node: usize) -> Vec<Record> {
        let machine = machine(node);
        let mut timed: Vec<(u64, Record)> = Vec::new();
        for told in self.told.iter().filter(|told| told.node == node) {
            let all = told.incident.commands.len();
            for (shown, command) in told.incident.commands.iter().enumerate() {
                let record = told.incident.record(&machine, shown + 1, State::Active);
                timed.push((told.incident.start + command.after, record));
            }
            if told.state == State::Inactive {
                let last = told.incident.start + told.incident.commands[all - 1].after;
                timed.push((last + 1, told.incident.record(&machine, all, State::Inactive)));
            }
        }
        for (_, at, kind, count) in self.losses.iter().filter(|(of, ..)| *of == node) {
            let properties = BTreeMap::from([("Losses".to_owned(), json!({ *kind: count }))]);
            timed.push((*at, about(&machine, CATEGORY_LOSS, properties, *at)));
        }
        // What a quiet node sends. The first hour is of nothing else: that is where lines get lost, below.
        let begin = self.now - 30 * DAY + 2 * HOUR;
        let hours = match node {
            SILENT => 6,
            RARE => 5,
            _ => 1,
        };
        let end = self.now - hours * HOUR;
        let every = |step: u64| usize::try_from(step).unwrap();
        let beats = (begin..begin + HOUR).step_by(every(MINUTE));
        let beats = beats.chain((begin + 2 * HOUR..end).step_by(every(4 * HOUR))).chain([end]);
        timed.extend(beats.map(|at| (at, beat(node, at))));
        timed.sort_by_key(|(at, _)| *at);
        if node == CLOCK {
            timed.insert(101, (0, beat(node, timed[100].0 - DAY)));
        }
        timed.into_iter().map(|(_, record)| record).collect()
    }

    /// Writes the spools, and does to them what happens to some on the way. Returns how many records and how many other
    /// lines there are in all.
    pub fn write(&mut self, directory: &Path) -> (u64, u64) {
        let mut written = 0;
        for node in 1..=NODES {
            let spool = directory.join(name(node));
            let mut records = self.records(node);
            let (first, rest) = records.split_at_mut(100);
            append(&spool, node, first);
            let mut rest = rest.to_vec();
            match node {
                ORPHAN => {
                    // What was sent is safe; what is done to the node's own files shows.
                    let sent = directory.join("sent");
                    fs::create_dir_all(&sent).unwrap();
                    for segment in segments(&spool) {
                        fs::rename(&segment, sent.join(segment.file_name().unwrap())).unwrap();
                    }
                }
                DROPPING => {
                    let properties: BTreeMap<String, Value> = BTreeMap::from([
                        (FIRST_SEQUENCE.to_owned(), "20".into()),
                        (LAST_SEQUENCE.to_owned(), "29".into()),
                        (DROPPED_COUNT.to_owned(), "10".into()),
                    ]);
                    let at = self.now - HOUR / 2;
                    rest.push(about(&machine(node), CATEGORY_DROPPED, properties, at));
                    self.breaks.push((node, "gap", 30, 10, true));
                }
                _ => {}
            }
            append(&spool, node, &mut rest);
            if node == ORPHAN {
                let first = rest[0].sequence();
                self.breaks.push((node, "orphan", first, 0, false));
                // The node's own record of what is gone has this machine's name and time: it is taken out.
                edit(&spool, |lines| {
                    let own = lines.iter().position(|line| line.contains(CATEGORY_DROPPED)).unwrap();
                    lines.remove(own);
                    if own < lines.len() {
                        self.breaks.push((node, "gap", first + own as u64 + 1, 1, false));
                    }
                });
            }
            written += (records.len() as u64) + u64::from(node == DROPPING);
        }
        // Another machine with the name of one that is there.
        let mut twin = self.records(TWIN);
        twin.truncate(3);
        append(&directory.join("twin"), TWIN, &mut twin);
        self.breaks.extend([1, 2, 3].map(|number| (TWIN, "fork", number, 0, false)));
        edit(&directory.join(name(GAP)), |lines| drop(lines.drain(49..52)));
        self.breaks.push((GAP, "gap", 53, 3, false));
        edit(&directory.join(name(DROPPING)), |lines| drop(lines.drain(19..29)));
        edit(&directory.join(name(CHANGED)), |lines| lines[44] = lines[44].replace("of itself", "of others"));
        self.breaks.push((CHANGED, "changed", 46, 0, false));
        // Torn within a letter, garbage, what a crash of the machine leaves, and something else's line.
        let mut torn = "{\"finding\":{\"name\":\"ä".as_bytes().to_vec();
        torn.pop();
        let others = [
            torn,
            b"no record at all".to_vec(),
            vec![0; 600],
            br#"{"level":"info"}"#.to_vec(),
            b"[1]".to_vec(),
        ];
        let count = others.len() as u64;
        let others: Vec<u8> = others.join(&b'\n').into_iter().chain(*b"\n").collect();
        fs::create_dir_all(directory.join("odd")).unwrap();
        fs::write(directory.join("odd/findings-000000000001.jsonl"), others).unwrap();
        (written + 3 - 3 - 10, count)
    }
}

fn beat(node: usize, at: u64) -> Record {
    let minutes = if node == RARE { 240 } else { 60 };
    let properties = BTreeMap::from([(property::HEARTBEAT_MINUTES.to_owned(), json!(minutes))]);
    about(&machine(node), CATEGORY_HEARTBEAT, properties, at)
}

fn segments(spool: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    all.sort();
    all
}

/// Appends with the daemon's own writer.
fn append(spool: &Path, node: usize, records: &mut [Record]) {
    let settings = SpoolSettings { directory: spool.to_owned(), ..SpoolSettings::default() };
    let (mut writer, _) = Writer::open(settings, &machine(node).boot).unwrap();
    for batch in records.chunks_mut(500) {
        writer.append(batch).unwrap();
    }
}

/// Changes the lines of a spool's first segment.
fn edit(spool: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let segment = &segments(spool)[0];
    let text = fs::read_to_string(segment).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(segment, lines.join("\n") + "\n").unwrap();
}
