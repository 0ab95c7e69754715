//! Numbers that are missing.
//!
//! Owns: what is known to be missing until all is read, and what of it is said to have been dropped, or stands elsewhere.
//! Must not own: reading.

use super::report::{Break, Kind, Report, Side};

/// How many gaps are kept; of more, what was dropped is not compared.
const GAPS_MAX: usize = 100_000;

/// Missing numbers, to be compared with the records of drops when all are known.
#[derive(Debug)]
struct Gap {
    first: u64,
    last: u64,
    before: Option<Side>,
    after: Side,
}

/// Gaps, and drops that may explain them.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    gaps: Vec<Gap>,
    /// Gaps beyond the bound.
    more: u64,
    drops: Vec<(u64, u64)>,
}

impl Gaps {
    /// What is missing between two records; `before` is `None` at the beginning of the spool.
    pub(super) fn missing(&mut self, before: Option<Side>, after: Side) {
        let first = before.as_ref().map_or(1, |before| before.sequence + 1);
        let last = after.sequence - 1;
        if self.gaps.len() < GAPS_MAX {
            self.gaps.push(Gap { first, last, before, after });
        } else {
            self.more += 1;
        }
    }

    /// A record says that these were dropped.
    pub(super) fn dropped(&mut self, first: u64, last: u64) {
        if self.drops.len() < GAPS_MAX {
            self.drops.push((first, last));
        }
    }

    /// A missing number turned up where it does not belong.
    pub(super) fn found(&mut self, sequence: u64) {
        // A short way back: moved lines are near.
        let Some(place) = self.gaps.iter().rposition(|gap| (gap.first..=gap.last).contains(&sequence)) else {
            return;
        };
        let Some(gap) = self.gaps.get_mut(place) else { return };
        if gap.first == gap.last {
            self.gaps.remove(place);
        } else if gap.first == sequence {
            gap.first += 1;
        } else if gap.last == sequence {
            gap.last -= 1;
        }
        // In the middle of a gap it explains nothing that matters: the rest is missing.
    }

    /// Compares what is missing with what is said to have been dropped.
    pub(super) fn close(mut self, report: &mut Report) {
        self.drops.sort_unstable();
        report.more_breaks += self.more;
        *report.kinds.entry(Kind::MissingLines).or_default() += self.more;
        report.kinds.retain(|_, count| *count > 0);
        for gap in self.gaps {
            let (explained, unexplained) = compare(&self.drops, gap.first, gap.last);
            report.dropped_explained += explained;
            // Missing at the beginning is no break: the record of the drop may itself have been dropped since.
            if let (Some(from), Some(before)) = (unexplained, &gap.before) {
                report.add(broken(from, &gap, before));
            }
        }
    }
}

/// How many numbers are said to have been dropped, and the first that is not.
fn compare(drops: &[(u64, u64)], first: u64, last: u64) -> (u64, Option<u64>) {
    let mut explained = 0;
    let mut from = first;
    let mut unexplained = None;
    for &(begin, end) in drops {
        if end < from.max(begin) || begin > last {
            continue;
        }
        if begin > from {
            unexplained.get_or_insert(from);
        }
        let (begin, end) = (begin.max(from), end.min(last));
        explained += end - begin + 1;
        from = end.saturating_add(1);
    }
    if from <= last {
        unexplained.get_or_insert(from);
    }
    (explained, unexplained)
}

fn broken(from: u64, gap: &Gap, before: &Side) -> Break {
    let (old, new) = (before.place.position.segment, gap.after.place.position.segment);
    let between = old != new && gap.after.place.line == 1;
    let (kind, how) = if between {
        (Kind::MissingSegment, ": a segment was removed, or the end of the one before was cut off")
    } else {
        (Kind::MissingLines, "")
    };
    let what = format!(
        "records {} to {} are missing before record {}, and no record says that they were dropped{how}",
        gap.first, gap.last, gap.after.sequence
    );
    let after = Some(gap.after.clone());
    Break { kind, place: gap.after.place, sequence: from, before: Some(before.clone()), after, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drops_explain() {
        assert_eq!(compare(&[], 3, 5), (0, Some(3)));
        assert_eq!(compare(&[(1, 9)], 3, 5), (3, None));
        assert_eq!(compare(&[(1, 3), (5, 5)], 3, 5), (2, Some(4)));
        assert_eq!(compare(&[(4, 2), (0, 0), (1, u64::MAX)], 3, 5), (3, None));
    }
}
