//! What each query of conf/fleet has to say of the scenario, worked out without SQL.
//!
//! Owns: the expected rows. Must not own: what happened (`scenario`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tetherd::model::detection::{Severity, State};
use tetherd::model::finding::CATEGORY;

use crate::incident::{Incident, SECOND};
use crate::scenario::{CLOCK, DAY, DROPPING, HOUR, SILENT, Scenario, Told, name};

type Rows = Vec<Vec<Value>>;

/// Findings and the nodes that they are on.
#[derive(Default)]
struct Tally {
    findings: u64,
    nodes: BTreeSet<usize>,
}

impl Tally {
    fn add(&mut self, told: &Told) {
        self.findings += 1;
        self.nodes.insert(told.node);
    }

    fn nodes(&self) -> usize {
        self.nodes.len()
    }
}

fn seconds(at: u64) -> u64 {
    at / SECOND
}

fn last(incident: &Incident) -> u64 {
    incident.start + incident.commands.last().map_or(0, |command| command.after)
}

fn comm(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// The rows of each query, by its name.
pub fn all(scenario: &Scenario) -> BTreeMap<&'static str, Rows> {
    BTreeMap::from([
        ("01-first-seen-peer", first_seen_peer(scenario)),
        ("02-same-digest", same_digest(scenario)),
        ("03-shells-by-namespace", shells(scenario)),
        ("04-silent-nodes", silent(scenario)),
        ("05-chain", chain(scenario)),
        ("06-longest-incidents", longest(scenario)),
        ("07-commands", commands(scenario)),
        ("08-rows", rows(scenario)),
        ("09-image-drift", drift(scenario)),
        ("10-new-in-a-day", new_in_a_day()),
        ("11-losses", losses(scenario)),
        ("12-onwards", onwards(scenario)),
        ("13-campaigns", campaigns(scenario)),
        ("14-clocks", clocks()),
    ])
}

fn first_seen_peer(scenario: &Scenario) -> Rows {
    let first = scenario.now - 6 * HOUR;
    vec![vec![json!("203.0.113.7"), json!(2), json!(2), json!(seconds(first)), json!(["/usr/bin/bash"])]]
}

fn same_digest(scenario: &Scenario) -> Rows {
    let added: Vec<&Incident> = scenario
        .told
        .iter()
        .map(|told| &told.incident)
        .filter(|incident| incident.commands[0].program.origin == "added")
        .collect();
    let digest = &added[0].commands[0].program.sha256;
    let first = added.iter().map(|incident| incident.start).min().unwrap();
    let newest = added.iter().map(|incident| last(incident)).max().unwrap();
    vec![vec![
        json!(digest),
        json!(2),
        json!(2),
        json!(["/tmp/.x"]),
        json!(seconds(first)),
        json!(seconds(newest)),
    ]]
}

fn shells(scenario: &Scenario) -> Rows {
    let mut places: BTreeMap<&str, (Tally, u64, BTreeSet<&str>, u64)> = BTreeMap::new();
    // The queries go by whole days: seven before today's midnight.
    let since = scenario.now / DAY * DAY - 7 * DAY;
    for told in scenario.told.iter().filter(|told| told.incident.start >= since) {
        let incident = &told.incident;
        if !incident.commands[0].program.path.ends_with("/bash") {
            continue;
        }
        let place = incident.place.as_ref();
        let (tally, critical, pods, newest) =
            places.entry(place.map_or("(host)", |place| place.namespace.as_str())).or_default();
        tally.add(told);
        *critical += u64::from(incident.severity == Severity::Critical);
        pods.extend(place.map(|place| place.pod_uid.as_str()));
        *newest = (*newest).max(incident.start);
    }
    let mut rows: Rows = places
        .into_iter()
        .map(|(place, (tally, critical, pods, newest))| {
            vec![
                json!(place),
                json!(tally.findings),
                json!(critical),
                json!(tally.nodes()),
                json!(pods.len()),
                json!(seconds(newest)),
            ]
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row[2].as_u64()));
    rows
}

/// Without the minutes since, which go on.
fn silent(scenario: &Scenario) -> Rows {
    let heard = scenario.now - 5 * HOUR;
    vec![vec![json!(name(SILENT)), json!(seconds(heard)), json!(CATEGORY), json!(1), json!(1), json!(60)]]
}

/// Without the times of the records.
fn chain(scenario: &Scenario) -> Rows {
    let mut breaks = scenario.breaks.clone();
    breaks.sort_by_key(|(node, _, number, missing, announced)| {
        (*announced, std::cmp::Reverse(*missing), name(*node), *number)
    });
    breaks
        .into_iter()
        .map(|(node, what, number, missing, announced)| {
            vec![json!(name(node)), json!(what), json!(number), json!(missing), json!(u8::from(announced))]
        })
        .collect()
}

fn longest(scenario: &Scenario) -> Rows {
    let mut all: Vec<(u64, &Told)> = scenario
        .told
        .iter()
        .map(|told| (seconds(last(&told.incident)) - seconds(told.incident.start), told))
        .collect();
    all.sort_by_key(|(length, told)| {
        (std::cmp::Reverse(*length), name(told.node), told.incident.id.to_string())
    });
    all.into_iter()
        .take(50)
        .map(|(length, told)| {
            let incident = &told.incident;
            vec![
                json!(name(told.node)),
                json!(incident.id.to_string()),
                json!(if told.state == State::Active { "ACTIVE" } else { "INACTIVE" }),
                json!(incident.severity.name()),
                json!(incident.commands[0].program.path),
                json!(incident.peer.0),
                json!(incident.peer.1),
                json!(incident.commands.len()),
                json!(length),
            ]
        })
        .collect()
}

fn commands(scenario: &Scenario) -> Rows {
    let mut tallies: BTreeMap<(usize, &str), Tally> = BTreeMap::new();
    for told in &scenario.told {
        for (place, command) in told.incident.commands.iter().enumerate().skip(1) {
            tallies.entry((place, comm(&command.program.path))).or_default().add(told);
        }
    }
    let mut rows: Vec<((usize, &str), Tally)> = tallies.into_iter().collect();
    rows.sort_by_key(|((place, command), tally)| (*place, std::cmp::Reverse(tally.findings), *command));
    rows.into_iter()
        .map(|((place, command), tally)| {
            vec![json!(place), json!(command), json!(tally.findings), json!(tally.nodes())]
        })
        .collect()
}

fn rows(scenario: &Scenario) -> Rows {
    let mut tallies: BTreeMap<(u8, &str, &str, &str), (Tally, usize)> = BTreeMap::new();
    for told in &scenario.told {
        let incident = &told.incident;
        let tether = if incident.relay.is_some() { "relayed" } else { "direct" };
        let key = (incident.row.number(), tether, incident.direction, incident.severity.name());
        let (tally, commands) = tallies.entry(key).or_default();
        tally.add(told);
        *commands += incident.commands.len();
    }
    tallies
        .into_iter()
        .map(|((row, tether, direction, severity), (tally, commands))| {
            vec![
                json!(row),
                json!(tether),
                json!(direction),
                json!(severity),
                json!(tally.findings),
                json!(tally.nodes()),
                json!(commands),
            ]
        })
        .collect()
}

fn drift(scenario: &Scenario) -> Rows {
    let added =
        scenario.told.iter().find(|told| told.incident.commands[0].program.origin == "added").unwrap();
    let program = &added.incident.commands[0].program;
    let digest = |digits: &str| {
        let image = "registry.example/shop/api:2";
        let what = format!("registry.example/shop/api@sha256:{}", digits.repeat(32));
        vec![json!("digest"), json!(image), json!(what), json!(1), json!(1)]
    };
    vec![
        vec![
            json!("program"),
            json!("registry.example/shop/web:1"),
            json!(format!("added {} {}", program.path, program.sha256)),
            json!(2),
            json!(2),
        ],
        digest("aa"),
        digest("bb"),
    ]
}

fn new_in_a_day() -> Rows {
    let digest = crate::scenario::program("/usr/bin/nmap", "image").sha256;
    vec![
        vec![json!("command"), json!("nmap"), json!(1), json!(1)],
        vec![json!("program"), json!(digest), json!(1), json!(1)],
    ]
}

fn losses(scenario: &Scenario) -> Rows {
    let recent = |node: usize, kind: &str| -> (u64, u64, u64) {
        let of = scenario
            .losses
            .iter()
            .filter(|(of, at, what, _)| (*of, *what) == (node, kind) && *at >= scenario.now - 7 * DAY);
        of.fold((0, 0, 0), |(sum, records, newest), (_, at, _, count)| {
            (sum + count, records + 1, newest.max(*at))
        })
    };
    let row = |node: usize, kind: &str, (sum, records, newest): (u64, u64, u64)| {
        vec![json!(name(node)), json!(kind), json!(sum), json!(records), json!(seconds(newest))]
    };
    vec![
        row(DROPPING, "dropped records", (10, 1, scenario.now - HOUR / 2)),
        row(3, "kernel_overflow", recent(3, "kernel_overflow")),
        row(3, "vanished", recent(3, "vanished")),
    ]
}

fn onwards(scenario: &Scenario) -> Rows {
    let to = scenario.told.iter().find(|told| told.incident.peer.0 == "10.1.0.1").unwrap();
    // Everything that the other node had on that address within the day before.
    let mut rows: Vec<(u64, &Told)> = scenario
        .told
        .iter()
        .filter(|from| from.node != to.node && from.incident.local.0 == to.incident.peer.0)
        .filter_map(|from| Some((to.incident.start.checked_sub(from.incident.start)?, from)))
        .filter(|(gap, _)| *gap <= DAY)
        .collect();
    rows.sort_by_key(|(gap, from)| (*gap, from.incident.id.to_string()));
    rows.into_iter()
        .map(|(gap, from)| {
            vec![
                json!(name(from.node)),
                json!(from.incident.id.to_string()),
                json!(name(to.node)),
                json!(to.incident.id.to_string()),
                json!("10.1.0.1"),
                json!(seconds(gap)),
            ]
        })
        .collect()
}

fn campaigns(scenario: &Scenario) -> Rows {
    let hour = (scenario.now - 15 * DAY) / HOUR * HOUR;
    vec![vec![json!("198.51.100.3"), json!(seconds(hour)), json!(4), json!(4), json!(["shop"])]]
}

/// Without the lowest time.
fn clocks() -> Rows {
    vec![vec![json!(name(CLOCK)), json!(1), json!(DAY / SECOND), json!(0)]]
}

/// What is left out of a query's rows, because it depends on when it is asked, or on which of two lines has the lower
/// hash: by column.
pub fn left_out(query: &str) -> &'static [usize] {
    match query {
        "04-silent-nodes" => &[2],
        "05-chain" => &[5],
        "14-clocks" => &[4],
        _ => &[],
    }
}
