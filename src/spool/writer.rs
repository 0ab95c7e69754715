//! The one writer of the spool.
//!
//! Owns: numbering, chaining, appending, syncing, writing again what failed. Must not own: starting up (`recover`),
//! beginning segments (`segments`), making room (`room`), signing (`checkpoint`), counting losses (the caller, from
//! [`Appended`] and [`OpenReport`]).

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::active::Active;
use super::age::Steady;
use super::checkpoint::Unsigned;
use super::directory::Directory;
use super::error::SpoolError;
use super::key::Signer;
use super::lines::sha256_hex;
use super::lock::Lock;
use super::reserve::{Reserve, no_room};
use super::room::Drops;
use super::salvage::{GivenUp, lines_within};
use super::segment::{self, Position};
use super::segments::Open;
use super::sequence::{BLOCK, Mark};
use super::settings::SpoolSettings;
use super::shorten;
use crate::model::clock::Moment;
use crate::model::detection::State;
use crate::model::finding::{CATEGORY, CATEGORY_CHECKPOINT, Record, property};

/// How many records may wait in memory while the spool cannot be written; at most 30 kB each.
const BACKLOG: usize = 2000;

/// What [`Writer::open`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Torn tails that were closed with a newline now (to be counted as `Loss::SpoolTorn`).
    pub torn: u64,
    /// Lines of the newest segments that are no records, torn tails of earlier times among them.
    pub damaged: u64,
    /// The number that the next record gets.
    pub next: u64,
}

/// What one [`Writer::append`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// The number of the first record handed in; 0 if there was none.
    pub first: u64,
    /// The number of the last record handed in; 0 if there was none.
    pub last: u64,
    /// Records that had to be shortened (`Loss::RecordShortened`).
    pub shortened: u64,
    /// Old records that were dropped to make room (`Loss::SpoolDropped`).
    pub dropped: u64,
    /// Lines that a failed write left torn (`Loss::SpoolTorn`); their records were written again.
    pub torn: u64,
    /// Segments that somebody else has removed (`Loss::SpoolRemoved`).
    pub removed: u64,
}

/// How much is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Segments.
    pub segments: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Records that wait in memory because they could not be written.
    pub waiting: u64,
}

/// A numbered record on its way to the disk. The bytes stay the same however often they are written.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) sequence: u64,
    name: String,
    /// It says that its finding goes on.
    active: bool,
    pub(super) bytes: Vec<u8>,
}

/// The writer; holds the spool's lock as long as it lives.
#[derive(Debug)]
pub struct Writer {
    pub(super) directory: Directory,
    pub(super) lock: Lock,
    pub(super) settings: SpoolSettings,
    pub(super) boot_id: String,
    pub(super) next: u64,
    /// Hash of the last numbered line.
    pub(super) previous: String,
    /// Numbered and not yet durable, in order, without gaps.
    pub(super) pending: VecDeque<Line>,
    pub(super) current: Option<Open>,
    /// Bytes of the other segments.
    pub(super) closed: BTreeMap<u64, u64>,
    pub(super) drops: Drops,
    pub(super) mark: Mark,
    pub(super) given_up: GivenUp,
    pub(super) active: Active,
    pub(super) tally: Appended,
    pub(super) reserve: Reserve,
    /// Room is short.
    pub(super) short: bool,
    pub(super) steady: Steady,
    /// When it is to be looked after again, in nanoseconds after the boot.
    pub(super) next_tending_ns: u64,
    pub(super) signer: Option<Signer>,
    pub(super) unsigned: Unsigned,
    pub(super) last_checkpoint: u64,
    /// The number of the last record that was made durable; 0 for none.
    pub(super) last_durable: u64,
    /// It ends, and everything is stored.
    pub(super) over: bool,
}

impl Writer {
    /// Appends records and returns when all of them are durable. Each gets its number and the hash of the line before
    /// it. One `fdatasync` for the whole batch, unless it spans segments.
    ///
    /// # Errors
    /// [`SpoolError::Full`] and [`SpoolError::Write`]: the records are numbered and wait in the writer; they are written
    /// before all others by the next call, which may hand them in again or not (they are recognised by number and
    /// name), or by a call without records. [`SpoolError::Backlog`]: too many wait already; the records of this call
    /// that were not waiting were not taken.
    pub fn append(&mut self, records: &mut [Record]) -> Result<Appended, SpoolError> {
        self.tend_if_due()?;
        let fresh = records.iter().filter(|record| !self.waits(record)).count();
        if !self.pending.is_empty() && self.pending.len() + fresh > BACKLOG && self.commit(true).is_err() {
            let (path, kept) = (self.directory.path().to_owned(), self.pending.len());
            return Err(SpoolError::Backlog { path, kept });
        }
        if fresh > 0 && self.next.saturating_add(fresh as u64) > segment::SEQUENCE_MAX {
            let path = self.directory.path().to_owned();
            return Err(SpoolError::Exhausted { path, highest: self.next - 1 });
        }
        for record in records.iter_mut() {
            if !self.waits(record) {
                self.number(record)?;
            }
        }
        if self.next > self.mark.unused {
            let segment = self.current.as_ref().map_or(self.mark.segment, |open| open.first);
            // Only guards against numbers used twice after a crash of the machine; must not stop a finding.
            let _ = self.store_mark(self.next.saturating_add(BLOCK), segment);
        }
        self.commit(true)?;
        // The records are durable: if only this note fails, it waits for the next call.
        let _ = self.note_drops();
        let _ = self.checkpoint_if_due();
        self.active.store(&self.directory, false);
        let ends = |record: Option<&Record>| record.map_or(0, Record::sequence);
        let (first, last) = (ends(records.first()), ends(records.last()));
        Ok(Appended { first, last, ..std::mem::take(&mut self.tally) })
    }

    /// The newest records of the findings that go on.
    pub fn active_records(&self) -> impl Iterator<Item = Record> + '_ {
        self.active.records(&self.directory)
    }

    /// The newest record of the finding with this whole name, where it goes on.
    pub fn active_record(&self, name: &str) -> Option<Record> {
        self.active.record(&self.directory, name)
    }

    /// The number that the next record gets.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// How much is stored.
    pub fn usage(&self) -> Usage {
        let current = self.current.as_ref();
        Usage {
            segments: (self.closed.len() + usize::from(current.is_some())) as u64,
            bytes: self.closed.values().sum::<u64>() + current.map_or(0, |open| open.bytes),
            waiting: self.pending.len() as u64,
        }
    }

    /// Whether the record was handed in before and is not yet durable.
    fn waits(&self, record: &Record) -> bool {
        let Some(front) = self.pending.front() else { return false };
        let place =
            record.sequence().checked_sub(front.sequence).and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| self.pending.get(place)).is_some_and(|line| line.name == record.finding.name)
    }

    /// Gives a record its number and its place in the chain, and lets it wait.
    pub(super) fn number(&mut self, record: &mut Record) -> Result<(), SpoolError> {
        let properties = &mut record.finding.source_properties;
        properties.insert(property::SEQUENCE.into(), self.next.to_string().into());
        properties.insert(property::PREVIOUS_SHA256.into(), self.previous.clone().into());
        self.sign(record);
        let (text, shortened) = shorten::line(record).map_err(|source| SpoolError::Encode { source })?;
        self.previous = sha256_hex(text.as_bytes());
        let mut bytes = text.into_bytes();
        bytes.push(b'\n');
        let finding = &record.finding;
        let active = finding.category == CATEGORY && finding.state == State::Active;
        if finding.category != CATEGORY_CHECKPOINT {
            self.unsigned.add();
        }
        self.pending.push_back(Line { sequence: self.next, name: finding.name.clone(), active, bytes });
        self.tally.shortened += u64::from(shortened);
        self.next += 1;
        Ok(())
    }

    /// Writes and syncs everything that waits.
    pub(super) fn commit(&mut self, caps: bool) -> Result<(), SpoolError> {
        self.end_torn();
        if caps {
            self.keep_caps();
        }
        let mut failures = 0;
        while !self.pending.is_empty() {
            let Err(source) = self.write_group() else { continue };
            let (path, kept) = (self.directory.path().to_owned(), self.pending.len());
            if no_room(&source) {
                if self.drop_oldest("no space left on device").is_some()
                    || self.reserve.give_up(&self.directory)
                {
                    continue;
                }
                return Err(SpoolError::Full { path, kept });
            }
            failures += 1;
            if failures == 2 {
                return Err(match source.kind() {
                    io::ErrorKind::ReadOnlyFilesystem => SpoolError::ReadOnly { path },
                    _ => SpoolError::Write { path, source, kept },
                });
            }
        }
        self.all_synced();
        Ok(())
    }

    /// Writes and syncs as much of what waits as fits into one segment, at least one line.
    pub(super) fn write_group(&mut self) -> io::Result<()> {
        self.choose_segment()?;
        let Some(open) = self.current.as_mut() else { return Ok(()) };
        let mut buffer = Vec::new();
        for line in &self.pending {
            let fits = open.bytes + (buffer.len() + line.bytes.len()) as u64 <= self.settings.segment_bytes;
            if !buffer.is_empty() && !fits {
                break;
            }
            buffer.extend_from_slice(&line.bytes);
        }
        let (segment, mut offset) = (open.first, open.bytes);
        let mut written = 0;
        let mut result = Ok(());
        while let Some(rest) = buffer.get(written..).filter(|rest| !rest.is_empty()) {
            match open.file.write(rest) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
            if result.is_err() {
                break;
            }
        }
        open.bytes += written as u64;
        let synced = open.file.sync_data();
        let sound = synced.is_ok();
        // Where only the writing failed, the lines before are as durable as any.
        let durable = if sound { lines_within(&self.pending, written) } else { 0 };
        let failed = result.and(synced).err();
        let (begin, mut last) = (offset, Vec::new());
        for line in self.pending.drain(..durable) {
            self.active.note(&line.name, line.active, Position { segment, offset });
            offset += line.bytes.len() as u64;
            self.last_durable = line.sequence;
            last = line.bytes;
        }
        if let Some(line) = last.strip_suffix(b"\n") {
            self.active.reached(Position { segment, offset }, offset - begin, line);
        }
        let Some(error) = failed else { return Ok(()) };
        let left = written - usize::try_from(offset - begin).unwrap_or(written);
        if sound && left == 0 && no_room(&error) {
            // It is as good as before: what is in it stays, and it takes the next line that there is room for.
            return Err(error);
        }
        if let Some(open) = self.current.take() {
            self.give_up(open, left);
        }
        Err(error)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let segment = self.current.as_ref().map_or(self.mark.segment, |open| open.first);
        self.over = self.pending.is_empty() && self.last_durable + 1 == self.next;
        // Without it, the next start leaves some numbers unused.
        let _ = self.store_mark(self.next, segment);
        self.active.store(&self.directory, true);
    }
}

/// The time of day; the spool measures nothing shorter than hours with it.
pub(super) fn now() -> Moment {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment { mono_ns: 0, wall_ns: u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::reader::Reader;
    use crate::spool::record::observation;
    use crate::spool::verify::verify;
    use std::fs::File;
    use std::path::Path;

    fn writer(dir: &Path) -> Writer {
        let settings =
            SpoolSettings { directory: dir.to_owned(), min_free_bytes: 0, ..SpoolSettings::default() };
        Writer::open(settings, "boot").unwrap().0
    }

    fn records(count: usize) -> Vec<Record> {
        (0..count).map(|_| observation("c", "d", BTreeMap::new(), now(), "boot")).collect()
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut reader = Reader::oldest(dir).unwrap();
        std::iter::from_fn(|| reader.next().unwrap()).map(|entry| entry.record.finding.name).collect()
    }

    #[test]
    fn failed_sync_writes_the_same_lines_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path());
        let (mut first, mut second) = (records(2), records(2));
        writer.append(&mut first).unwrap();
        // fdatasync of a pipe fails (EINVAL), after the writes succeeded.
        let (reading, writing) = nix::unistd::pipe().unwrap();
        writer.current.as_mut().unwrap().file = File::from(writing);
        let done = writer.append(&mut second).unwrap();
        drop(reading);
        assert_eq!((done.first, done.last, done.torn), (3, 4, 0));
        let expected: Vec<_> =
            first.iter().chain(&second).map(|record| record.finding.name.clone()).collect();
        assert_eq!(names(dir.path()), expected);
        assert_eq!(writer.usage().segments, 2);
        assert!(verify(dir.path()).unwrap().breaks.is_empty());
    }

    #[test]
    fn records_wait_until_the_spool_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path());
        let mut first = records(3);
        writer.append(&mut first).unwrap();
        // The name that the next segment needs is taken by a directory, and the open segment fails: /dev/full gives
        // ENOSPC, and cannot be synced. What is in the only segment stays.
        std::fs::create_dir(dir.path().join(segment::name(4))).unwrap();
        writer.current.as_mut().unwrap().file = File::options().write(true).open("/dev/full").unwrap();
        let mut second = records(2);
        let error = writer.append(&mut second).unwrap_err();
        assert!(error.to_string().contains("2 records wait in memory"), "{error}");
        assert_eq!(writer.usage().waiting, 2);
        std::fs::remove_dir(dir.path().join(segment::name(4))).unwrap();
        let mut both: Vec<Record> = second.iter().cloned().chain(records(1)).collect();
        let done = writer.append(&mut both).unwrap();
        assert_eq!((done.first, done.last, done.dropped), (4, 6, 0));
        assert_eq!(names(dir.path()).len(), 6);
        assert!(verify(dir.path()).unwrap().breaks.is_empty());
    }

    #[test]
    fn a_removed_segment_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path());
        writer.append(&mut records(2)).unwrap();
        std::fs::remove_file(dir.path().join(segment::name(1))).unwrap();
        writer.append(&mut records(2)).unwrap();
        assert_eq!(names(dir.path()).len(), 2);
        std::fs::remove_dir_all(dir.path()).unwrap();
        writer.append(&mut records(3)).unwrap();
        assert_eq!(names(dir.path()).len(), 3);
        assert_eq!(writer.next_sequence(), 8);
    }
}
