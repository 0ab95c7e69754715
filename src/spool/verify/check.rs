//! Following the chain.
//!
//! Owns: comparing each line with the ones before it, in order, and which checkpoint vouches for what. Must not own:
//! reading files (`super`), what drops explain (`gaps`), what stands behind the end (`end`).

use std::collections::HashMap;

use super::gaps::Gaps;
use super::report::{BREAKS_MAX, Break, Kind, Place, Report, Side, Torn};
use crate::model::finding::{CATEGORY_CHECKPOINT, CATEGORY_DROPPED};
use crate::spool::checkpoint;
use crate::spool::key::PublicKey;
use crate::spool::lines::NO_HASH;
use crate::spool::link::Link;
use crate::spool::record::{DROPPED_COUNT, FIRST_SEQUENCE, LAST_SEQUENCE};

/// The record before, and its hash.
#[derive(Debug)]
struct Before {
    side: Side,
    hash: String,
    /// Of a line that was put in behind it: the next record may name either.
    other: Option<String>,
}

/// A check that goes on.
#[derive(Debug)]
pub(super) struct Check<'a> {
    pub(super) report: Report,
    keys: &'a [PublicKey],
    before: Option<Before>,
    gaps: Gaps,
    /// Where the unbroken chain that goes on began.
    chained_from: u64,
    /// Hashes in this segment and the one before it, for lines that stand twice.
    recent: HashMap<u64, String>,
    recent_before: HashMap<u64, String>,
}

impl<'a> Check<'a> {
    pub(super) fn new(keys: &'a [PublicKey]) -> Self {
        Self {
            report: Report::default(),
            keys,
            before: None,
            gaps: Gaps::default(),
            chained_from: 0,
            recent: HashMap::new(),
            recent_before: HashMap::new(),
        }
    }

    pub(super) fn segment(&mut self) {
        self.report.segments += 1;
        self.recent_before = std::mem::take(&mut self.recent);
    }

    /// The last record so far.
    pub(super) fn last(&self) -> Option<&Side> {
        self.before.as_ref().map(|before| &before.side)
    }

    /// A line that is no record, and others follow.
    pub(super) fn no_record(&mut self, place: Place) {
        let before = self.last().cloned();
        let number = before.as_ref().map_or(0, |before| before.sequence);
        self.report.add(Break {
            kind: Kind::NoRecord,
            place,
            sequence: 0,
            before,
            after: None,
            what: format!(
                "a line after record {number} is no record: it was changed or put in after it was written, or has a form that this version does not know"
            ),
        });
        self.chained_from = 0;
    }

    /// A line that is no record, at the end of its segment.
    pub(super) fn torn(&mut self, place: Place) {
        self.report.torn += 1;
        let after = self.last().map_or(0, |before| before.sequence);
        if self.report.torn_lines.len() < BREAKS_MAX {
            self.report.torn_lines.push(Torn { place, after });
        }
    }

    /// A record.
    pub(super) fn record(&mut self, place: Place, link: &Link, hash: String) {
        let sequence = link.sequence();
        let side = Side { place, sequence, name: link.name().to_owned(), time: link.time().to_owned() };
        if place.position.offset == 0 && sequence != place.position.segment {
            let what = format!(
                "the segment begins with record {sequence}, not with the one in its name: it was renamed, or its beginning was removed"
            );
            self.fault(Kind::Renamed, &side, self.last().cloned(), None, what);
        }
        let seen = self.recent.get(&sequence).or(self.recent_before.get(&sequence));
        let (twice, other) = (seen == Some(&hash), seen.is_some_and(|seen| *seen != hash));
        match self.before.take() {
            None => self.first(&side, link.previous()),
            Some(before) if twice => return self.again(before, side, hash),
            Some(before) if sequence <= before.side.sequence => return self.back(before, side, hash, other),
            Some(before) => self.follows(before, &side, link.previous()),
        }
        self.count(&side, link);
        self.recent.insert(sequence, hash.clone());
        self.before = Some(Before { side, hash, other: None });
    }

    fn first(&mut self, side: &Side, link: &str) {
        let sequence = side.sequence;
        self.report.first = sequence;
        self.report.before_first = sequence - 1;
        self.chained_from = sequence;
        if sequence > 1 {
            self.gaps.missing(None, side.clone());
        } else if link != NO_HASH {
            let what = "record 1 names a record before it: it was changed".into();
            self.fault(Kind::ChangedLine, side, None, Some(side.clone()), what);
        }
    }

    /// The same line once more.
    fn again(&mut self, before: Before, side: Side, hash: String) {
        self.report.rewritten += 1;
        let (old, new) = (before.side.place.position.segment, side.place.position.segment);
        // Only lines of a segment that was given up stand twice; the numbers go on behind them.
        if old == new && before.side.sequence + 1 != side.sequence {
            let what = format!("record {} stands twice in one segment", side.sequence);
            self.fault(Kind::Order, &side, Some(before.side.clone()), None, what);
            self.before = Some(Before { other: Some(hash), ..before });
            return;
        }
        self.before = Some(Before { side, hash, other: None });
    }

    /// A number that is not higher than the one before. What comes next is held against both.
    fn back(&mut self, before: Before, side: Side, hash: String, other: bool) {
        let (sequence, higher) = (side.sequence, before.side.sequence);
        let (kind, what) = if other {
            let what = format!("record {sequence} stands here with another content than before");
            (Kind::TwoContents, what)
        } else {
            self.gaps.found(sequence);
            let what = format!("record {sequence} follows record {higher}: records were put in or reordered");
            (Kind::Order, what)
        };
        self.fault(kind, &side, Some(before.side.clone()), None, what);
        self.report.records += u64::from(!other);
        self.recent.entry(sequence).or_insert_with(|| hash.clone());
        self.chained_from = 0;
        self.before = Some(Before { other: Some(hash), ..before });
    }

    /// A higher number.
    fn follows(&mut self, before: Before, side: &Side, link: &str) {
        let (old, new) = (before.side.sequence, side.sequence);
        if link == before.hash || before.other.as_deref() == Some(link) {
            // Of lines that were to be written again when the writer was killed, the first writing stands.
            self.report.unused += new.saturating_sub(old.max(self.report.last) + 1);
            if self.chained_from == 0 {
                self.chained_from = new;
            }
            return;
        }
        self.chained_from = new;
        if new == old + 1 {
            let what = format!(
                "record {old} is not the one that record {new} names by its SHA-256: one of the two was changed"
            );
            self.report.add(Break {
                kind: Kind::ChangedLine,
                place: before.side.place,
                sequence: old,
                before: Some(before.side),
                after: Some(side.clone()),
                what,
            });
        } else {
            self.gaps.missing(Some(before.side), side.clone());
        }
    }

    /// What the record says of itself and of others.
    fn count(&mut self, side: &Side, link: &Link) {
        self.report.records += 1;
        self.report.last = self.report.last.max(side.sequence);
        self.report.newer += u64::from(link.is_newer());
        self.report.vouched.beyond += 1;
        match link.category() {
            CATEGORY_DROPPED => {
                let count = link.number(DROPPED_COUNT);
                self.report.dropped_recorded = self.report.dropped_recorded.saturating_add(count);
                self.gaps.dropped(link.number(FIRST_SEQUENCE), link.number(LAST_SEQUENCE));
            }
            CATEGORY_CHECKPOINT => self.checkpoint(side, link),
            _ => {}
        }
    }

    fn checkpoint(&mut self, side: &Side, link: &Link) {
        let vouched = &mut self.report.vouched;
        vouched.checkpoints += 1;
        if self.keys.is_empty() {
            return;
        }
        if checkpoint::is_signed(link, self.keys) {
            vouched.good += 1;
            vouched.beyond = 0;
            vouched.from = if self.chained_from == 0 { side.sequence } else { self.chained_from };
            vouched.last = Some(side.clone());
        } else {
            let what = format!("the signature of checkpoint {} is not that of a given key", side.sequence);
            self.fault(Kind::Signature, side, None, None, what);
        }
    }

    fn fault(&mut self, kind: Kind, side: &Side, before: Option<Side>, after: Option<Side>, what: String) {
        let (place, sequence) = (side.place, side.sequence);
        // Where the line is itself a record, it is what lies behind the break.
        let after = after.or_else(|| Some(side.clone()));
        self.report.add(Break { kind, place, sequence, before, after, what });
    }

    /// What is found when all is read.
    pub(super) fn finish(mut self) -> Report {
        self.gaps.close(&mut self.report);
        self.report.breaks.sort_by_key(|found| found.place);
        self.report
    }
}
