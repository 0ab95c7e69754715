//! The records of an incident, as they stand in the spool.
//!
//! Owns: finding them, their lines word for word, the hashes that chain them to the records around them, and related
//! findings. Must not own: judging the whole chain (`spool::verify`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::cli::evidence::NotKept;
use crate::cli::evidence::bundle::Bundle;
use crate::cli::facts::PID_MAX;
use crate::cli::failure::Failure;
use crate::model::finding::{Record, property};
use crate::model::ids::{Pid, ProcessKey, StartTime};
use crate::model::text::hexadecimal;
use crate::spool::reader::{Entry, Reader};

/// The most bytes of the incident's records; beyond them only the last one is kept.
const BYTES_MAX: usize = 256 << 20;
/// The most records of the chain that are listed.
const CHAIN_MAX: usize = 200_000;
/// The most records that the manifest names.
const NAMED_MAX: usize = 10_000;
/// The most related findings.
const RELATED_MAX: usize = 64;
/// The most processes that are asked for.
const PROCESSES_MAX: usize = 4096;

/// What an incident's records say together.
#[derive(Debug, Default)]
pub struct Incident {
    /// `finding.name`.
    pub name: String,
    /// The boot that its processes are of.
    pub boot: String,
    /// Each process once, and what it was: the command, a relay.
    pub processes: BTreeMap<ProcessKey, &'static str>,
    /// Digests of files that the records name.
    pub digests: BTreeSet<String>,
    /// There were more processes.
    pub more_processes: bool,
    first: u64,
    last: u64,
    related: BTreeSet<String>,
}

/// Reads the spool once, for what the incident's records say.
pub fn survey(directory: &Path, newest: &Record) -> Result<Incident, Failure> {
    let mut incident = Incident { name: newest.finding.name.clone(), ..Incident::default() };
    let mut reader = Reader::oldest(directory)?;
    while let Some(entry) = reader.next()? {
        let record = &entry.record;
        if record.finding.name == incident.name {
            incident.take(record);
        } else if linked(record).any(|id| id == newest.id()) {
            incident.relate(record.id());
        }
    }
    Ok(incident)
}

impl Incident {
    fn take(&mut self, record: &Record) {
        if self.first == 0 {
            self.first = record.sequence();
        }
        self.last = record.sequence();
        if let Some(boot) = record.text(property::BOOT_ID) {
            boot.clone_into(&mut self.boot);
        }
        let list = |key| record.finding.source_properties.get(key).and_then(Value::as_array);
        for (key, role) in [(property::TIMELINE, "command"), (property::TETHER_PATH, "relay")] {
            for process in list(key).into_iter().flatten().filter_map(process) {
                self.process(process, role);
            }
        }
        let script = record.finding.source_properties.get(property::PROCESS_SCRIPT);
        let copy = record.finding.source_properties.get(property::EVIDENCE_FILE);
        let of_property =
            [script, copy].into_iter().flatten().filter_map(|value| value.get("sha256")?.as_str());
        let files = record.finding.processes.iter().flat_map(|process| [&process.binary, &process.script]);
        let of_file = files.flatten().filter_map(|file| file.sha256.as_deref());
        let new = of_property.chain(of_file).filter(|sum| is_sum(sum)).map(str::to_owned);
        self.digests.extend(new.take(1024));
        for id in linked(record) {
            self.relate(id);
        }
    }

    fn process(&mut self, key: ProcessKey, role: &'static str) {
        if self.processes.len() < PROCESSES_MAX || self.processes.contains_key(&key) {
            self.processes.entry(key).or_insert(role);
        } else {
            self.more_processes = true;
        }
    }

    fn relate(&mut self, id: &str) {
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id && self.related.len() < RELATED_MAX {
            self.related.insert(id.to_owned());
        }
    }
}

fn is_sum(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// A process of a list, by the id and the start that make it one life. Not pid 1, and none that cannot be.
fn process(entry: &Value) -> Option<ProcessKey> {
    let pid = u32::try_from(entry.get("pid")?.as_u64()?).ok().filter(|pid| (2..PID_MAX).contains(pid))?;
    let start = entry.get("startTicks")?.as_str()?.parse().ok().filter(|ticks| *ticks > 0)?;
    Some(ProcessKey { pid: Pid(pid), start: StartTime(start) })
}

/// Ids of the findings that a record is linked with.
fn linked(record: &Record) -> impl Iterator<Item = &str> {
    let list = record.finding.source_properties.get(property::RELATED_FINDINGS).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|link| link.get("id")?.as_str())
}

/// Writes the lines, the chain around them, and the newest line of each related finding. Returns what the manifest says.
pub fn keep(
    bundle: &mut Bundle,
    directory: &Path,
    incident: &mut Incident,
    missing: &mut NotKept,
) -> Result<Value, Failure> {
    let mut lines = bundle.begin("records/finding.jsonl", "the spool, word for word")?;
    let mut chain = bundle.begin("records/chain.tsv", "the spool")?;
    bundle.write(&mut chain, b"sequence\tsha256\tprevious_record_sha256\tof_this_finding\n")?;
    let (mut named, mut newest) = (Vec::new(), BTreeMap::new());
    let (mut bytes, mut left_out, mut links) = (0, 0u64, 0);
    let mut before: Option<Link> = None;
    let mut reader = Reader::oldest(directory)?;
    while let Some(entry) = reader.next()? {
        let link = Link::of(&entry, &incident.name);
        // What names the last record confirms it.
        let around = (incident.first..=incident.last.saturating_add(1)).contains(&link.sequence)
            || before.as_ref().is_some_and(|before| before.own && before.sequence >= incident.last);
        if around && links < CHAIN_MAX {
            if let Some(before) = before.as_ref().filter(|_| links == 0) {
                bundle.write(&mut chain, before.line().as_bytes())?;
            }
            bundle.write(&mut chain, link.line().as_bytes())?;
            links += 1;
        }
        let follows = before.as_ref().map(|before| link.previous == before.sha256);
        if let Some(last) = named.last_mut().filter(|_| before.as_ref().is_some_and(|before| before.own)) {
            confirm(last, follows);
        }
        if link.own {
            // It grew since the survey: that record is kept as well.
            incident.last = incident.last.max(link.sequence);
            bytes += entry.line.len() + 1;
            if bytes <= BYTES_MAX || link.sequence == incident.last {
                bundle.write(&mut lines, entry.line.as_bytes())?;
                bundle.write(&mut lines, b"\n")?;
                if named.len() < NAMED_MAX {
                    named.push(link.named(&entry, follows));
                }
            } else {
                left_out += 1;
            }
        } else if incident.related.contains(entry.record.id()) {
            newest.insert(entry.record.id().to_owned(), entry.line);
        }
        before = Some(link);
    }
    if left_out > 0 {
        missing
            .add("records of the finding", format!("{left_out} in the middle: more than {BYTES_MAX} bytes"));
    }
    if reader.damaged() > 0 {
        missing.add("damaged lines of the spool", format!("{} are no records", reader.damaged()));
    }
    bundle.end(lines, left_out > 0)?;
    bundle.end(chain, links >= CHAIN_MAX)?;
    for id in &incident.related {
        if !newest.contains_key(id) {
            missing.add(format!("related finding {id}"), "the spool has no record of it any more");
        }
    }
    let text: String = newest.into_values().map(|line| line + "\n").collect();
    if !text.is_empty() {
        bundle.add(
            "records/related.jsonl",
            "the spool: the newest record of each related finding",
            text.as_bytes(),
            false,
        )?;
    }
    Ok(named.into())
}

/// A record as part of the chain.
#[derive(Debug)]
struct Link {
    sequence: u64,
    sha256: String,
    previous: String,
    own: bool,
}

impl Link {
    fn of(entry: &Entry, name: &str) -> Self {
        Self {
            sequence: entry.record.sequence(),
            sha256: hexadecimal(&Sha256::digest(entry.line.as_bytes())),
            previous: entry
                .record
                .text(property::PREVIOUS_SHA256)
                .filter(|sum| is_sum(sum))
                .unwrap_or_default()
                .to_owned(),
            own: entry.record.finding.name == name,
        }
    }

    fn line(&self) -> String {
        format!("{}\t{}\t{}\t{}\n", self.sequence, self.sha256, self.previous, u8::from(self.own))
    }

    fn named(&self, entry: &Entry, follows: Option<bool>) -> Value {
        json!({
            "sequence": self.sequence, "segment": entry.position.segment, "offset": entry.position.offset,
            "sha256": self.sha256, "previousRecordSha256": self.previous,
            // Null: there is no record before it in the spool.
            "previousMatches": follows,
            "state": entry.record.finding.state,
        })
    }
}

/// Whether the record after it has its hash.
fn confirm(named: &mut Value, follows: Option<bool>) {
    if named.get("nextMatches").is_none()
        && let (Some(named), Some(follows)) = (named.as_object_mut(), follows)
    {
        named.insert("nextMatches".into(), follows.into());
    }
}
