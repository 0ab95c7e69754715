//! Looking after the spool between appends.
//!
//! Owns: noticing that the directory or segments of it were removed by somebody else, retention by age, the reserve, and
//! the [`Level`]. Must not own: counting what was lost (the caller, from `Appended`), making room for a write (`room`).

use super::directory::{Directory, Space};
use super::error::SpoolError;
use super::level::Level;
use super::lock::Lock;
use super::recover::last_number;
use super::salvage::GivenUp;
use super::segments::removed;
use super::writer::Writer;
use super::{reserve::Reserve, segment};
use crate::model::clock::SECOND;
use crate::sys::clock;

/// How often it is looked after, at most.
const EVERY_NS: u64 = 5 * SECOND;
/// Fewer inodes than this are hardly any.
const FEW_INODES: u64 = 256;
const DAY_NS: u64 = 86_400 * SECOND;

impl Writer {
    /// Looks after the spool if that is due. Part of every append; for a caller that has had nothing to append for some
    /// seconds, an append without records.
    pub(super) fn tend_if_due(&mut self) -> Result<(), SpoolError> {
        let now = clock::boot_ns();
        if now < self.next_tending_ns {
            return Ok(());
        }
        self.next_tending_ns = now.saturating_add(EVERY_NS);
        self.tend()
    }

    /// Looks after the spool.
    ///
    /// # Errors
    /// A directory that was removed and cannot be made again, or in whose place there is another spool.
    pub fn tend(&mut self) -> Result<(), SpoolError> {
        self.come_back()?;
        self.notice_removed();
        self.reserve.renew(&self.directory);
        self.drop_old(super::writer::now().wall_ns, clock::boot_ns());
        if let Ok(space) = self.directory.space() {
            self.measure(space);
        }
        Ok(())
    }

    /// How hard pressed the spool is.
    pub fn level(&self) -> Level {
        if !self.pending.is_empty() {
            Level::Full
        } else if self.reserve.is_spent() {
            Level::Emergency
        } else if self.short {
            Level::Warn
        } else {
            Level::Ok
        }
    }

    pub(super) fn measure(&mut self, space: Space) {
        self.short = space.free_bytes < self.settings.min_free_bytes.saturating_mul(2)
            || space.free_inodes < FEW_INODES;
    }

    /// Where the directory was removed or moved away, it is made again, and the numbers go on.
    pub(super) fn come_back(&mut self) -> Result<(), SpoolError> {
        if self.directory.is_in_place() {
            return Ok(());
        }
        let directory = Directory::create(self.directory.path())?;
        let lock = Lock::take(&directory)?;
        let listing = directory.list()?;
        let ends = listing.segments.iter().filter_map(|&first| last_number(&directory, first));
        let highest = ends.fold(listing.highest, u64::max);
        if self.pending.front().is_some_and(|line| line.sequence <= highest) {
            return Err(SpoolError::Replaced { path: directory.path().to_owned() });
        }
        let before = self.closed.keys().copied().chain(self.current.as_ref().map(|open| open.first));
        // A filesystem that was mounted anew has them all.
        self.tally.removed +=
            before.filter(|first| listing.segments.binary_search(first).is_err()).count() as u64;
        self.directory = directory;
        self.lock = lock;
        self.current = None;
        self.given_up = GivenUp::default();
        self.next = self.next.max(highest.saturating_add(1));
        self.closed = self.directory.sizes(&listing.segments);
        self.active.begin_anew(&self.directory, &listing.segments);
        self.reserve = Reserve::open(&self.directory, self.settings.reserve_bytes);
        // Only guards against numbers used twice.
        let _ = self.store_mark(self.mark.unused.max(self.next), 0);
        Ok(())
    }

    fn notice_removed(&mut self) {
        let Ok(listing) = self.directory.list() else { return };
        let before = self.closed.len();
        self.closed.retain(|first, _| listing.segments.binary_search(first).is_ok());
        self.tally.removed += (before - self.closed.len()) as u64;
        if self.current.as_ref().is_some_and(|open| removed(&open.file)) {
            self.current = None;
            self.tally.removed += 1;
        }
    }

    /// Retention by age.
    fn drop_old(&mut self, wall: u64, boot: u64) {
        let believed = self.steady.is_believed(wall, boot);
        let longest = self.settings.max_days.saturating_mul(DAY_NS);
        if longest == 0 || !believed {
            return;
        }
        while let Some((&first, _)) = self.closed.first_key_value() {
            let written = self.directory.size_and_time(&segment::name(first)).map_or(wall, |(_, time)| time);
            if wall.saturating_sub(written) <= longest || self.drop_oldest("older than max_days").is_none() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::{File, FileTimes};
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::spool::record::observation;
    use crate::spool::settings::SpoolSettings;
    use crate::spool::writer::now;

    #[test]
    fn age_drops_what_is_old_and_not_what_a_wrong_clock_takes_for_old() {
        let dir = tempfile::tempdir().unwrap();
        let settings = SpoolSettings {
            directory: dir.path().to_owned(),
            segment_bytes: 3000,
            min_free_bytes: 0,
            max_days: 30,
            reserve_bytes: 0,
            ..SpoolSettings::default()
        };
        let (mut writer, _) = Writer::open(settings, "boot").unwrap();
        for _ in 0..9 {
            let mut record = observation("c", "d", BTreeMap::new(), now(), "boot");
            writer.append(std::slice::from_mut(&mut record)).unwrap();
        }
        let closed: Vec<u64> = writer.closed.keys().copied().collect();
        for (&first, days) in closed.iter().zip([40, 31, 29, 1]) {
            let then = SystemTime::now() - Duration::from_secs(days * 86_400);
            let file = File::options().append(true).open(dir.path().join(segment::name(first))).unwrap();
            file.set_times(FileTimes::new().set_modified(then)).unwrap();
        }
        let wall = now().wall_ns;
        let hour = 3600 * SECOND;
        // The clock was just set, ten years ahead: everything looks old.
        writer.drop_old(wall + 3650 * DAY_NS, 100 * hour);
        writer.drop_old(wall + 3650 * DAY_NS + hour / 2, 100 * hour + hour / 2);
        assert_eq!(writer.closed.len(), closed.len());
        // It is put right, and goes steadily for an hour.
        writer.drop_old(wall, 101 * hour);
        assert_eq!(writer.closed.len(), closed.len());
        writer.drop_old(wall + hour, 102 * hour);
        assert_eq!(writer.closed.keys().copied().collect::<Vec<_>>(), closed[2..]);
        writer.append(&mut []).unwrap();
        let report = crate::spool::verify::verify(dir.path()).unwrap();
        assert!(report.breaks.is_empty() && report.dropped_recorded == 4, "{report:?}");
    }
}
