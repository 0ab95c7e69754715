//! What a check of the spool found.
//!
//! Owns: the kinds of break and their names, the report. Must not own: finding them (`check`), showing them (`cli`).

use std::collections::BTreeMap;

use crate::spool::segment::Position;

/// How many breaks are described; more are only counted.
pub const BREAKS_MAX: usize = 1000;

/// In which way the spool is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A line is not the one that the next one names by its hash.
    ChangedLine,
    /// Numbers are missing within a segment.
    MissingLines,
    /// Numbers are missing between two segments.
    MissingSegment,
    /// Numbers are missing at the end.
    CutOff,
    /// A number stands with two contents.
    TwoContents,
    /// A lower number follows a higher one, or a line stands twice where no writer puts it.
    Order,
    /// A line is no record, and others follow it.
    NoRecord,
    /// A segment does not begin with the record in its name.
    Renamed,
    /// A checkpoint's signature is not that of a key that was given.
    Signature,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 9] = [
        Kind::ChangedLine,
        Kind::MissingLines,
        Kind::MissingSegment,
        Kind::CutOff,
        Kind::TwoContents,
        Kind::Order,
        Kind::NoRecord,
        Kind::Renamed,
        Kind::Signature,
    ];

    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChangedLine => "changed_line",
            Self::MissingLines => "missing_lines",
            Self::MissingSegment => "missing_segment",
            Self::CutOff => "cut_off",
            Self::TwoContents => "two_contents",
            Self::Order => "order",
            Self::NoRecord => "no_record",
            Self::Renamed => "renamed_segment",
            Self::Signature => "signature",
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::ChangedLine => "changed line",
            Self::MissingLines => "missing lines",
            Self::MissingSegment => "missing segment",
            Self::CutOff => "end cut off",
            Self::TwoContents => "two contents under one number",
            Self::Order => "order",
            Self::NoRecord => "no record",
            Self::Renamed => "renamed segment",
            Self::Signature => "signature",
        }
    }
}

/// A place in the spool as people count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Segment and byte.
    pub position: Position,
    /// The line in the segment, from 1 on.
    pub line: u64,
}

/// A record beside a break.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Where it stands.
    pub place: Place,
    /// Its number.
    pub sequence: u64,
    /// `finding.name`, cut at 200 bytes. From the file: not escaped.
    pub name: String,
    /// `finding.createTime`, cut at 200 bytes. From the file: not escaped.
    pub time: String,
}

/// One place where the spool is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// In which way.
    pub kind: Kind,
    /// The line.
    pub place: Place,
    /// The number of the record it is about; 0 where the line has none.
    pub sequence: u64,
    /// The record before it. Of a changed line: that line.
    pub before: Option<Side>,
    /// The record behind it.
    pub after: Option<Side>,
    /// What is wrong: a lower-case sentence.
    pub what: String,
}

/// A line that a crash, or somebody, has cut short; nothing follows it in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The line.
    pub place: Place,
    /// The record before it; 0 for none.
    pub after: u64,
}

/// What the signed checkpoints say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vouched {
    /// Checkpoints in the spool.
    pub checkpoints: u64,
    /// Those of them that a given key has signed.
    pub good: u64,
    /// The last one that a given key has signed.
    pub last: Option<Side>,
    /// The first record of the unbroken chain that ends in that one; 0 where there is none.
    pub from: u64,
    /// Records behind it: those could have been rewritten.
    pub beyond: u64,
}

/// What [`verify`](super::verify) found.
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
    /// All breaks by kind.
    pub kinds: BTreeMap<Kind, u64>,
    /// Lines torn at the end of a segment: their records were never acknowledged, or were written again.
    pub torn: u64,
    /// The first 1,000 of them.
    pub torn_lines: Vec<Torn>,
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
    /// Records of a later version than this one: their place in the chain was checked, what they say was not.
    pub newer: u64,
    /// What the checkpoints say.
    pub vouched: Vouched,
}

impl Report {
    /// How many breaks there are.
    pub fn broken(&self) -> u64 {
        self.breaks.len() as u64 + self.more_breaks
    }

    /// Notes a break, or counts it where there are too many.
    pub(super) fn add(&mut self, found: Break) {
        *self.kinds.entry(found.kind).or_default() += 1;
        if self.breaks.len() < BREAKS_MAX {
            self.breaks.push(found);
        } else {
            self.more_breaks += 1;
        }
    }
}
