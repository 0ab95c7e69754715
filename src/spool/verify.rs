//! Whether the spool is as it was written.
//!
//! Owns: following numbers and hashes through all segments, and telling change and removal from what is in order: torn
//! tails, lines written twice, unused numbers, segments dropped to make room. Must not own: showing it.
//!
//! What a chain cannot show: that its newest records were cut off or changed. Copies elsewhere (syslog) can.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::directory::Directory;
use super::error::SpoolError;
use super::lines::{Lines, NO_HASH, Raw, parse, sha256_hex};
use super::record::{DROPPED_COUNT, FIRST_SEQUENCE, LAST_SEQUENCE};
use super::segment::{self, Position};
use crate::model::finding::{CATEGORY_DROPPED, Record, property};

/// How many breaks are described; more are only counted.
const BREAKS_MAX: usize = 1000;

/// One place where the spool is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The line.
    pub position: Position,
    /// The number of the record it is about; 0 where the line has none.
    pub sequence: u64,
    /// What is wrong, and what lies around it: a lower-case sentence.
    pub what: String,
}

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records, each counted once.
    pub records: u64,
    /// Segments.
    pub segments: u64,
    /// The lowest number; 0 if there is no record.
    pub first: u64,
    /// The highest number.
    pub last: u64,
    /// Change or removal, in order; at most 1,000.
    pub breaks: Vec<Break>,
    /// Breaks beyond those.
    pub more_breaks: u64,
    /// Lines torn at the end of a segment: their records were never acknowledged, or were written again.
    pub torn: u64,
    /// Lines that stand twice because their first writing failed.
    pub rewritten: u64,
    /// Numbers that no record ever had, by the unbroken chain around them.
    pub unused: u64,
    /// Numbers before the first record: older segments were dropped or removed. No break: see `dropped_explained`.
    pub before_first: u64,
    /// Of all missing numbers, those that a record of the spool says were dropped to make room.
    pub dropped_explained: u64,
    /// Records that were dropped, as the spool's own records say.
    pub dropped_recorded: u64,
}

/// Missing numbers, to be compared with the records of drops when all are known.
#[derive(Debug)]
struct Gap {
    position: Position,
    first: u64,
    last: u64,
}

/// The record before.
#[derive(Debug)]
struct Before {
    position: Position,
    sequence: u64,
    hash: String,
}

#[derive(Debug, Default)]
struct Check {
    report: Report,
    before: Option<Before>,
    gaps: Vec<Gap>,
    drops: Vec<(u64, u64)>,
    /// Hashes in this segment and the one before it, for lines that stand twice.
    recent: HashMap<u64, String>,
    recent_before: HashMap<u64, String>,
}

/// Reads everything and compares. Needs no lock; a line that is being written counts as torn.
///
/// # Errors
/// A directory or segment that cannot be read.
pub fn verify(dir: &Path) -> Result<Report, SpoolError> {
    let directory = Directory::open(dir)?;
    let mut check = Check::default();
    for first in directory.list()?.segments {
        let name = segment::name(first);
        let failed = |source| SpoolError::reading(&directory.join(&name), source);
        let file = match directory.read(&name) {
            // Dropped since the directory was listed; what is missing shows in the numbers.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(failed)?,
        };
        let mut lines = Lines::new(file, 0);
        check.report.segments += 1;
        check.recent_before = std::mem::take(&mut check.recent);
        // A bad line is torn if nothing follows it, else a break.
        let mut bad: Option<Position> = None;
        loop {
            let raw = lines.next().map_err(failed)?;
            if let (Some(position), Raw::Line { .. } | Raw::Long { .. }) = (bad, &raw) {
                check.damaged_line(position);
                bad = None;
            }
            match raw {
                Raw::Line { offset, bytes, .. } => {
                    let position = Position { segment: first, offset };
                    match parse(&bytes) {
                        Some(record) => {
                            if offset == 0 && record.sequence() != first {
                                check.fault(position, record.sequence(), format!(
                                    "segment {name} begins with record {}, not with the one in its name: it was renamed, or its beginning was removed",
                                    record.sequence()
                                ));
                            }
                            check.record(position, &record, sha256_hex(&bytes));
                        }
                        None => bad = Some(position),
                    }
                }
                Raw::Long { offset, .. } => bad = Some(Position { segment: first, offset }),
                Raw::End { unfinished } => {
                    check.report.torn += u64::from(unfinished);
                    match bad {
                        Some(position) if unfinished => check.damaged_line(position),
                        Some(_) => check.report.torn += 1,
                        None => {}
                    }
                    break;
                }
            }
        }
    }
    Ok(check.finish())
}

impl Check {
    fn fault(&mut self, position: Position, sequence: u64, what: String) {
        if self.report.breaks.len() < BREAKS_MAX {
            self.report.breaks.push(Break { position, sequence, what });
        } else {
            self.report.more_breaks += 1;
        }
    }

    fn damaged_line(&mut self, position: Position) {
        let after = self.before.as_ref().map_or(0, |before| before.sequence);
        self.fault(
            position,
            0,
            format!(
                "a line after record {after} is no record: it was changed or put in after it was written"
            ),
        );
    }

    fn record(&mut self, position: Position, record: &Record, hash: String) {
        let sequence = record.sequence();
        let link = record.text(property::PREVIOUS_SHA256).unwrap_or_default();
        let twice = self.recent.get(&sequence).or(self.recent_before.get(&sequence)) == Some(&hash);
        match self.before.take() {
            None => {
                self.report.first = sequence;
                self.report.before_first = sequence - 1;
                if sequence > 1 {
                    self.gaps.push(Gap { position, first: 1, last: sequence - 1 });
                } else if link != NO_HASH {
                    self.fault(position, sequence, "record 1 names a record before it: it was changed".into());
                }
            }
            Some(before) if twice => {
                self.report.rewritten += 1;
                self.before = Some(Before { position, sequence, hash });
                // Only lines of a segment that was given up stand twice; the numbers go on behind them.
                if before.position.segment == position.segment && before.sequence + 1 != sequence {
                    self.fault(position, sequence, format!("record {sequence} stands twice in one segment"));
                }
                return;
            }
            Some(before) if sequence <= before.sequence => self.fault(
                position,
                sequence,
                format!("record {sequence} follows record {}: records were put in or reordered", before.sequence),
            ),
            Some(before) if link == before.hash => {
                // Of lines that were to be written again when the writer was killed, the first writing stands.
                self.report.unused += sequence.saturating_sub(before.sequence.max(self.report.last) + 1);
            }
            Some(before) if sequence == before.sequence + 1 => self.fault(
                before.position,
                before.sequence,
                format!(
                    "record {} is not the one that record {sequence} names by its SHA-256: one of the two was changed",
                    before.sequence
                ),
            ),
            Some(before) => {
                self.gaps.push(Gap { position, first: before.sequence + 1, last: sequence - 1 });
            }
        }
        self.report.records += 1;
        self.report.last = self.report.last.max(sequence);
        if record.finding.category == CATEGORY_DROPPED {
            let number = |key| record.number(key).unwrap_or(0);
            self.report.dropped_recorded = self.report.dropped_recorded.saturating_add(number(DROPPED_COUNT));
            self.drops.push((number(FIRST_SEQUENCE), number(LAST_SEQUENCE)));
        }
        self.recent.insert(sequence, hash.clone());
        self.before = Some(Before { position, sequence, hash });
    }

    /// Compares what is missing with what is said to have been dropped.
    fn finish(mut self) -> Report {
        self.drops.sort_unstable();
        for gap in std::mem::take(&mut self.gaps) {
            let mut explained = 0;
            let mut from = gap.first;
            let mut unexplained = None;
            for &(first, last) in &self.drops {
                if last < from.max(first) || first > gap.last {
                    continue;
                }
                if first > from {
                    unexplained.get_or_insert(from);
                }
                let begin = first.max(from);
                let end = last.min(gap.last);
                explained += end - begin + 1;
                from = end.saturating_add(1);
            }
            if from <= gap.last {
                unexplained.get_or_insert(from);
            }
            self.report.dropped_explained += explained;
            // Missing at the beginning is no break: the record of the drop may itself have been dropped since.
            if gap.first > 1
                && let Some(from) = unexplained
            {
                self.fault(
                    gap.position,
                    from,
                    format!(
                        "records {} to {} are missing before record {}, and no record says that they were dropped",
                        gap.first,
                        gap.last,
                        gap.last + 1
                    ),
                );
            }
        }
        self.report.breaks.sort_by_key(|fault| fault.position);
        self.report
    }
}
