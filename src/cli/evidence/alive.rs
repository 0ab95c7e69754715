//! What still lives of an incident.
//!
//! Owns: which processes that are: those of the records by their start, so that a later process with the same id is not
//! taken for one, and what descends from them; a table of all processes. Must not own: reading one of them (`process`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::cli::evidence::NotKept;
use crate::cli::evidence::bundle::Bundle;
use crate::cli::evidence::process::{self, Limits, Places};
use crate::cli::evidence::records::Incident;
use crate::cli::failure::Failure;
use crate::enrich::container;
use crate::host::proc_dir::ProcDir;
use crate::host::processes::everybody;
use crate::host::reader::stat;
use crate::host::stat::Stat;
use crate::model::ids::{Pid, ProcessKey};
use crate::model::text::escape;

/// The most processes of which all is read.
const KEPT_MAX: usize = 64;
/// The most processes of the table.
const TABLE_MAX: usize = 65_536;
/// Of how many processes reading may hang before no more is read.
const HUNG_MAX: usize = 3;

/// One process of the incident, as it is now.
#[derive(Debug)]
pub struct Seen {
    /// Which life.
    pub key: ProcessKey,
    role: String,
    state: &'static str,
    directory: Option<String>,
}

const LIVES: &str = "lives";
const ENDED: &str = "ended";
const ZOMBIE: &str = "ended, and not waited for";
const OTHER: &str = "ended; its id is another process's now";
const ELSEWHERE: &str = "not looked for";

impl Seen {
    /// Whether it runs.
    pub fn lives(&self) -> bool {
        self.state == LIVES
    }

    /// For the manifest.
    pub fn json(&self) -> Value {
        json!({
            "pid": self.key.pid, "startTicks": self.key.start.to_string(), "role": self.role, "state": self.state,
            "directory": self.directory,
        })
    }
}

/// Keeps what can be read of each.
pub fn keep(
    bundle: &mut Bundle,
    incident: &Incident,
    limits: &Limits,
    missing: &mut NotKept,
) -> Result<Vec<Seen>, Failure> {
    if incident.more_processes {
        missing.add("some of its processes", "too many to ask for");
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let known = |state: &dyn Fn(ProcessKey) -> &'static str| -> Vec<Seen> {
        let seen = |(key, role): (&ProcessKey, &&str)| Seen {
            key: *key,
            role: (*role).into(),
            state: state(*key),
            directory: None,
        };
        incident.processes.iter().map(seen).collect()
    };
    if incident.boot.is_empty() || boot.trim() != incident.boot {
        missing.add("what lives of its processes", "the finding is of another boot, or of another machine");
        return Ok(known(&|_| ELSEWHERE));
    }
    let table = table();
    let mut seen = known(&|key| state_of(key));
    descendants(&table, &mut seen);
    let text: String = table.iter().map(Row::line).collect();
    let heading = "pid\tparent\tgroup\tsession\tstart_ticks\tstate\tcomm\tcgroup\n";
    bundle.add(
        "live/processes.tsv",
        "/proc",
        (heading.to_owned() + &text).as_bytes(),
        table.len() >= TABLE_MAX,
    )?;
    let (mut places, mut hung, mut kept) = (Places::default(), 0, 0);
    for one in &mut seen {
        if !one.lives() {
            continue;
        }
        if kept >= KEPT_MAX || hung >= HUNG_MAX {
            let why = if kept >= KEPT_MAX { "of more than 64 processes" } else { "reading others hung" };
            missing.add(format!("what lives of process {}", one.key.pid), why);
            continue;
        }
        let directory = format!("live/{}", one.key.pid);
        match process::keep(bundle, one.key, &directory, limits, &mut places, missing)? {
            process::Outcome::Kept => one.directory = Some(directory),
            process::Outcome::Gone => one.state = ENDED,
            process::Outcome::Hung => hung += 1,
        }
        kept += 1;
    }
    Ok(seen)
}

fn state_of(key: ProcessKey) -> &'static str {
    match stat(key.pid) {
        None => ENDED,
        Some(stat) if stat.start != key.start => OTHER,
        Some(stat) if !stat.lives() => ZOMBIE,
        Some(_) => LIVES,
    }
}

/// One process of the machine.
struct Row {
    pid: Pid,
    stat: Stat,
    cgroup: String,
}

impl Row {
    fn line(&self) -> String {
        let stat = &self.stat;
        format!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n",
            self.pid,
            stat.parent,
            stat.pgrp,
            stat.session,
            stat.start,
            char::from(stat.state),
            escape(&stat.comm),
            escape(self.cgroup.as_bytes())
        )
    }
}

/// All processes, by id.
fn table() -> Vec<Row> {
    let row = |pid: Pid| {
        let dir = ProcDir::open(pid).ok()?;
        let stat = dir.stat()?;
        let cgroup = dir.read(c"cgroup", 16 << 10).map(|(text, _)| text).unwrap_or_default();
        Some(Row { pid, stat, cgroup: container::cgroup_path(&cgroup).unwrap_or_default() })
    };
    everybody().into_iter().take(TABLE_MAX).filter_map(row).collect()
}

/// Adds what descends from those that live and is no process of the records.
fn descendants(table: &[Row], seen: &mut Vec<Seen>) {
    let mut children: BTreeMap<Pid, Vec<&Row>> = BTreeMap::new();
    for row in table {
        children.entry(row.stat.parent).or_default().push(row);
    }
    let mut known: BTreeSet<Pid> = seen.iter().filter(|one| one.lives()).map(|one| one.key.pid).collect();
    // A relay is often a server: what else it started is not the incident's.
    let mut open: Vec<Pid> =
        seen.iter().filter(|one| one.lives() && one.role == "command").map(|one| one.key.pid).collect();
    while let Some(parent) = open.pop() {
        for row in children.get(&parent).into_iter().flatten() {
            if row.stat.lives() && known.insert(row.pid) {
                let key = ProcessKey { pid: row.pid, start: row.stat.start };
                seen.push(Seen {
                    key,
                    role: format!("descendant of {parent}"),
                    state: LIVES,
                    directory: None,
                });
                open.push(row.pid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::StartTime;

    #[test]
    fn lives_by_the_start_alone() {
        let pid = Pid(std::process::id());
        let start = stat(pid).unwrap().start;
        assert_eq!(state_of(ProcessKey { pid, start }), LIVES);
        assert_eq!(state_of(ProcessKey { pid, start: StartTime(start.0 + 1) }), OTHER);
        assert_eq!(state_of(ProcessKey { pid: Pid(4_194_304), start }), ENDED);
        let rows = table();
        assert!(rows.iter().any(|row| row.pid == pid && row.stat.start == start));
    }

    #[test]
    fn children_of_commands() {
        let row = |pid: u32, parent: u32| Row {
            pid: Pid(pid),
            stat: Stat {
                parent: Pid(parent),
                state: b'S',
                start: StartTime(u64::from(pid)),
                ..Stat::default()
            },
            cgroup: String::new(),
        };
        let one = |pid: u32, role: &str, state| Seen {
            key: ProcessKey { pid: Pid(pid), start: StartTime(1) },
            role: role.into(),
            state,
            directory: None,
        };
        let mut seen = vec![one(10, "command", LIVES), one(20, "relay", LIVES), one(30, "command", OTHER)];
        descendants(&[row(11, 10), row(12, 11), row(21, 20), row(31, 30), row(10, 12)], &mut seen);
        let names: Vec<(u32, &str)> =
            seen.iter().skip(3).map(|one| (one.key.pid.0, one.role.as_str())).collect();
        assert_eq!(names, [(11, "descendant of 10"), (12, "descendant of 11")]);
    }
}
