//! Which findings go on, by their newest records.
//!
//! Owns: the file `active`, which says where in the spool the newest record of each ACTIVE finding stands, as of a
//! place in it. Must not own: what a start makes of them (`daemon::restore`).
//!
//! The file is replaced whole, and only ever names records that are durable, so it is right whenever the daemon or the
//! machine stops; it may only be old. What was appended after it is read at the start, and it is written anew often
//! enough that this is little. It is believed only if the line before its place is the one whose hash it has;
//! otherwise, the whole spool is read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::directory::Directory;
use super::lines::{Lines, Raw, parse, sha256_hex};
use super::reader::line_before;
use super::segment::{self, Position};
use crate::model::detection::State;
use crate::model::finding::{CATEGORY, Record};

const NAME: &str = "active";
/// How much may be appended before the file is written anew.
const EVERY: u64 = 1 << 20;
/// The longest file that is read.
const FILE_MAX: u64 = 64 << 20;
/// How many findings a start takes up, of a few kilobytes of memory each: twice as many as incidents are open at a time by
/// default. A spool that has more of them did not come about in that way, and must not choose how much memory is used.
const RECORDS_MAX: usize = 8192;

/// The file's content, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Active {
    /// Everything before it is taken into account.
    pub(super) until: Position,
    /// Of the line before that.
    sha256: String,
    /// The findings that go on, by name.
    findings: BTreeMap<String, Position>,
    /// Bytes of records since it was stored.
    #[serde(skip)]
    behind: u64,
}

/// A record that need not be read again.
#[derive(Debug)]
pub(super) struct Known {
    /// The place behind it.
    pub(super) until: Position,
    pub(super) sequence: u64,
    pub(super) sha256: String,
}

/// What a line is read for.
#[derive(Deserialize)]
struct Glance<'a> {
    #[serde(borrow)]
    finding: GlanceFinding<'a>,
}

#[derive(Deserialize)]
struct GlanceFinding<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    state: State,
    #[serde(borrow)]
    category: Cow<'a, str>,
    #[serde(borrow, rename = "sourceProperties")]
    source_properties: GlanceProperties<'a>,
}

#[derive(Deserialize)]
struct GlanceProperties<'a> {
    #[serde(borrow, rename = "Sequence")]
    sequence: Cow<'a, str>,
}

impl Active {
    /// What is stored, and the place, number and hash of the line before its place; `None` if it is not about this
    /// spool.
    pub(super) fn load(directory: &Directory) -> Option<(Self, Known)> {
        let mut content = Vec::new();
        directory.read(NAME).ok()?.take(FILE_MAX).read_to_end(&mut content).ok()?;
        let stored: Self = serde_json::from_slice(&content).ok()?;
        let line = line_before(directory, stored.until)?;
        let record = parse(line.as_bytes()).filter(|_| sha256_hex(line.as_bytes()) == stored.sha256)?;
        let known = Known { until: stored.until, sequence: record.sequence(), sha256: stored.sha256.clone() };
        Some((stored, known))
    }

    /// The spool's directory was made again: what stood in the old one is gone.
    pub(super) fn begin_anew(&mut self, directory: &Directory, segments: &[u64]) {
        *self = Self::default();
        self.catch_up(directory, segments);
    }

    /// Takes account of what was appended since.
    pub(super) fn catch_up(&mut self, directory: &Directory, segments: &[u64]) {
        let mut last = None;
        // Lines that were written again after a failed sync come behind lines with higher numbers.
        let mut highest = 0;
        let begin = self.until;
        for &segment in segments.iter().filter(|&&segment| segment >= begin.segment) {
            let from = if segment == begin.segment { begin.offset } else { 0 };
            let Ok(file) = directory.read(&segment::name(segment)) else { continue };
            let mut lines = Lines::new(file, from);
            // What cannot be read is not known of.
            while let Ok(raw) = lines.next() {
                let (offset, next, bytes) = match raw {
                    Raw::Line { offset, next, bytes } => (offset, next, bytes),
                    Raw::Long { .. } => continue,
                    Raw::End { .. } => break,
                };
                let Ok(glance) = serde_json::from_slice::<Glance<'_>>(&bytes) else { continue };
                let finding = glance.finding;
                let open = finding.category == CATEGORY && finding.state == State::Active;
                let sequence = finding.source_properties.sequence.parse().unwrap_or(0);
                if sequence > highest {
                    highest = sequence;
                    self.note(&finding.name, open, Position { segment, offset });
                }
                self.until = Position { segment, offset: next };
                self.behind += next - offset;
                last = Some(bytes);
            }
        }
        if let Some(line) = last {
            self.sha256 = sha256_hex(&line);
        }
    }

    /// A finding's newest record stands there.
    pub(super) fn note(&mut self, name: &str, open: bool, at: Position) {
        if open {
            self.findings.insert(name.to_owned(), at);
        } else {
            self.findings.remove(name);
        }
    }

    /// `bytes` more are durable, up to there; `line` (without its newline) is the last.
    pub(super) fn reached(&mut self, until: Position, bytes: u64, line: &[u8]) {
        self.until = until;
        self.sha256 = sha256_hex(line);
        self.behind += bytes;
    }

    /// A segment is gone.
    pub(super) fn forget(&mut self, segment: u64) {
        self.findings.retain(|_, at| at.segment != segment);
    }

    /// Stores it if much has happened since the last time, or, with `now`, if anything has. An error is no loss: what
    /// is stored stays right.
    pub(super) fn store(&mut self, directory: &Directory, now: bool) {
        if self.behind < if now { 1 } else { EVERY } {
            return;
        }
        let Ok(mut content) = serde_json::to_vec(self) else { return };
        content.push(b'\n');
        if content.len() as u64 <= FILE_MAX && directory.replace(NAME, &content).is_ok() {
            self.behind = 0;
        }
    }

    /// The newest record of a finding that goes on.
    pub(super) fn record(&self, directory: &Directory, name: &str) -> Option<Record> {
        let at = self.findings.get(name)?;
        let file = directory.read(&segment::name(at.segment)).ok()?;
        let Ok(Raw::Line { bytes, .. }) = Lines::new(file, at.offset).next() else { return None };
        parse(&bytes).filter(|record| record.finding.name == *name)
    }

    /// The records, each read when it is asked for; of more than [`RECORDS_MAX`] the newest. The others stay as they are until a
    /// later start, when these have ended.
    pub(super) fn records<'a>(&'a self, directory: &'a Directory) -> impl Iterator<Item = Record> + 'a {
        let mut newest: Vec<(&String, &Position)> = self.findings.iter().collect();
        if newest.len() > RECORDS_MAX {
            log::warn!(
                "spool: {} findings go on by its records; the newest {RECORDS_MAX} are taken up, the others at a later start",
                newest.len()
            );
            newest.sort_unstable_by_key(|(_, at)| std::cmp::Reverse(**at));
            newest.truncate(RECORDS_MAX);
        }
        newest.into_iter().filter_map(|(name, _)| self.record(directory, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Moment;
    use crate::spool::record::observation;
    use std::io::Write;

    #[test]
    fn only_so_many_are_taken_up_and_the_newest() {
        let place = tempfile::tempdir().unwrap();
        let mut file = std::fs::File::create(place.path().join(segment::name(1))).unwrap();
        let mut active = Active::default();
        let mut offset = 0;
        for number in 0..RECORDS_MAX + 10 {
            let name = format!("{number:032x}");
            let now = Moment { mono_ns: 0, wall_ns: 0 };
            let sequence = BTreeMap::from([("Sequence".to_owned(), (number + 1).to_string().into())]);
            let mut record = observation(CATEGORY, "", sequence, now, "boot");
            record.finding.name.clone_from(&name);
            let line = serde_json::to_string(&record).unwrap() + "\n";
            file.write_all(line.as_bytes()).unwrap();
            active.note(&name, true, Position { segment: 1, offset });
            offset += line.len() as u64;
        }
        let directory = Directory::open(place.path()).unwrap();
        let records: Vec<_> = active.records(&directory).collect();
        assert_eq!(records.len(), RECORDS_MAX);
        assert!(records.iter().all(|record| record.finding.name >= format!("{:032x}", 10)));
    }
}
