//! Reading records in order, and following the writer.
//!
//! Owns: going from segment to segment, also while they are written, given up, dropped or replaced; counting what is
//! damaged or missing. Must not own: the lock (readers need none), durable cursors (`cursor`).
//!
//! A reader may see a record shortly before it is durable. A record that stands twice because its first writing failed
//! is given once.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::cursor::Cursor;
use super::directory::Directory;
use super::error::SpoolError;
use super::lines::{Lines, Raw, parse, sha256_hex};
use super::segment::{self, Position};
use super::summary::Summary;
use crate::model::finding::{LINE_MAX, Record, property};

/// How many findings [`latest_where`] keeps; of more, those with the lowest numbers are left out.
pub const NAMES_MAX: usize = 100_000;

/// One record, or what is wanted of it, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<R = Record> {
    /// Where its line begins.
    pub position: Position,
    /// Where the next line begins.
    pub next: Position,
    /// The line, without its newline.
    pub line: String,
    /// What it says.
    pub record: R,
}

/// What can be read of a line.
trait Numbered: Sized {
    fn parse(line: &[u8]) -> Option<Self>;
    fn number(&self) -> u64;
    /// The hash of the line before it.
    fn previous(&self) -> Option<&str>;
}

impl Numbered for Record {
    fn parse(line: &[u8]) -> Option<Self> {
        parse(line)
    }

    fn number(&self) -> u64 {
        self.sequence()
    }

    fn previous(&self) -> Option<&str> {
        self.text(property::PREVIOUS_SHA256)
    }
}

impl Numbered for Summary {
    fn parse(line: &[u8]) -> Option<Self> {
        Self::of(line)
    }

    fn number(&self) -> u64 {
        self.sequence
    }

    fn previous(&self) -> Option<&str> {
        self.previous_sha256.as_deref()
    }
}

/// A record that was given out, or is known to be done with.
#[derive(Debug, Default)]
struct Seen {
    sequence: u64,
    /// Its line, where known.
    line: Option<String>,
}

/// Where a reader that is to begin behind a cursor really begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resumption {
    /// Behind the record that the cursor names, or where that is gone, at the first record after it.
    #[default]
    Exact,
    /// At the beginning of the cursor's segment: the line before the cursor is not the record that it names.
    SegmentAgain,
    /// At the oldest record: the whole spool ends before the cursor.
    Oldest,
}

/// Reads the spool from a place on.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    position: Position,
    open: Option<Lines>,
    /// Another segment follows: the open one gets no more lines than it has now.
    ended: bool,
    last: Option<Seen>,
    damaged: u64,
    skipped: u64,
    resumption: Resumption,
}

impl Reader {
    /// Begins at the oldest record.
    ///
    /// # Errors
    /// A directory that is missing or cannot be read.
    pub fn oldest(dir: &Path) -> Result<Self, SpoolError> {
        Self::at(dir, Position::default())
    }

    /// Begins at a place as [`Entry`] names it. Where that segment is gone, at the first record after it; where the
    /// place is not the beginning of a line, at the beginning of its segment; where the whole spool ends before it
    /// (it was replaced), at the oldest record.
    ///
    /// # Errors
    /// A directory that is missing or cannot be read.
    pub fn at(dir: &Path, position: Position) -> Result<Self, SpoolError> {
        Directory::open(dir)?;
        let last = match position {
            Position { segment: 1.., offset: 0 } => Some(Seen { sequence: position.segment - 1, line: None }),
            _ => None,
        };
        let (open, ended, resumption) = (None, false, Resumption::Exact);
        Ok(Self { path: dir.to_owned(), position, open, ended, last, damaged: 0, skipped: 0, resumption })
    }

    /// Begins behind a cursor. Unlike [`Reader::at`], it knows exactly what is missing if the cursor's segment is gone,
    /// and where the line before the cursor is not the record it names (the spool was replaced, or the machine crashed
    /// before that record was durable) it begins at the segment's beginning: rather twice than not at all.
    ///
    /// # Errors
    /// A directory that is missing or cannot be read.
    pub fn after(dir: &Path, cursor: Cursor) -> Result<Self, SpoolError> {
        let mut reader = Self::at(dir, cursor.position)?;
        let segments = Directory::open(dir)?.list()?.segments;
        if segments.last().is_some_and(|&newest| newest < cursor.position.segment) {
            reader.resumption = Resumption::Oldest;
        }
        if cursor.position.offset == 0 || cursor.sequence == 0 {
            return Ok(reader);
        }
        let line = line_before(&Directory::open(dir)?, cursor.position)
            .filter(|line| parse(line.as_bytes()).is_some_and(|record| record.sequence() == cursor.sequence));
        if segments.contains(&cursor.position.segment) && line.is_none() {
            reader.position.offset = 0;
            reader.resumption = Resumption::SegmentAgain;
        } else {
            reader.last = Some(Seen { sequence: cursor.sequence, line });
        }
        Ok(reader)
    }

    /// Begins at the end, for records still to come.
    ///
    /// # Errors
    /// A directory that is missing, or a segment that cannot be read.
    pub fn newest(dir: &Path) -> Result<Self, SpoolError> {
        let segment = Directory::open(dir)?.list()?.segments.last().copied().unwrap_or(0);
        let mut reader = Self::at(dir, Position { segment, offset: 0 })?;
        while reader.next()?.is_some() {}
        (reader.damaged, reader.skipped) = (0, 0);
        Ok(reader)
    }

    /// Where the next line begins.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The place behind the last record that was given out, or that it began behind.
    pub fn cursor(&self) -> Cursor {
        Cursor { position: self.position, sequence: self.last.as_ref().map_or(0, |seen| seen.sequence) }
    }

    /// Where it began, of a reader that was to begin behind a cursor.
    pub fn resumption(&self) -> Resumption {
        self.resumption
    }

    /// Lines that were passed over because they are no records.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Records that are missing by their numbers: dropped or removed before they were read.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next record; `None` if there is none yet: ask again later.
    ///
    /// # Errors
    /// A directory or segment that cannot be read; asking again tries again.
    #[allow(clippy::should_implement_trait)] // not an iterator: None is not the end
    pub fn next(&mut self) -> Result<Option<Entry>, SpoolError> {
        self.next_as()
    }

    /// The same, read only as far as it takes to choose and number it. Lines that are no records in other respects are
    /// given out.
    ///
    /// # Errors
    /// As for [`Reader::next`].
    pub fn next_summary(&mut self) -> Result<Option<Entry<Summary>>, SpoolError> {
        self.next_as()
    }

    fn next_as<R: Numbered>(&mut self) -> Result<Option<Entry<R>>, SpoolError> {
        loop {
            if self.open.is_none() && !self.enter()? {
                return Ok(None);
            }
            let Some(lines) = self.open.as_mut() else { return Ok(None) };
            let segment = self.position.segment;
            let raw = lines
                .next()
                .map_err(|source| SpoolError::reading(&self.path.join(segment::name(segment)), source))?;
            match raw {
                Raw::Line { offset, next, bytes } => {
                    self.position.offset = next;
                    let (Some(record), Ok(line)) = (R::parse(&bytes), String::from_utf8(bytes)) else {
                        self.damaged += 1;
                        continue;
                    };
                    if self.admit(&record, &line) {
                        let position = Position { segment, offset };
                        return Ok(Some(Entry { position, next: self.position, line, record }));
                    }
                }
                Raw::Long { next, .. } => {
                    self.position.offset = next;
                    self.damaged += 1;
                }
                Raw::End { unfinished } => {
                    if self.ended {
                        self.damaged += u64::from(unfinished);
                        self.open = None;
                        self.position = Position { segment: segment + 1, offset: 0 };
                    } else if !self.look_beyond()? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether a record is given out; counts what is missing before it.
    fn admit(&mut self, record: &impl Numbered, line: &str) -> bool {
        let sequence = record.number();
        if let Some(last) = &self.last {
            if sequence <= last.sequence {
                return false;
            }
            let missing = sequence - last.sequence - 1;
            // Numbers that no record ever had: the chain is whole.
            let linked = || {
                let before = last.line.as_ref().map(|line| sha256_hex(line.as_bytes()));
                before.is_some() && before.as_deref() == record.previous()
            };
            if missing > 0 && !linked() {
                self.skipped += missing;
            }
        }
        let last = self.last.get_or_insert_default();
        last.sequence = sequence;
        line.clone_into(last.line.get_or_insert_default());
        true
    }

    /// At the end of the open segment: `false` if there is only waiting to do. Otherwise the segment is read once
    /// more (the writer may have added to it before it began another) and then left.
    fn look_beyond(&mut self) -> Result<bool, SpoolError> {
        let directory = Directory::open(&self.path)?;
        let segments = directory.list()?.segments;
        let here = self.position.segment;
        let Some(&newest) = segments.last() else { return Ok(false) };
        if newest > here {
            self.ended = true;
            return Ok(true);
        }
        let inode = |file: &File| file.metadata().map(|status| (status.dev(), status.ino())).ok();
        let same = newest == here
            && directory.read(&segment::name(here)).ok().as_ref().and_then(inode)
                == self.open.as_ref().and_then(|lines| inode(lines.file()));
        if same {
            return Ok(false);
        }
        // Given up and begun anew under its name, or the whole spool replaced.
        self.open = None;
        self.position.offset = 0;
        Ok(true)
    }

    /// Opens the segment at or after the position; `false` if there is none.
    fn enter(&mut self) -> Result<bool, SpoolError> {
        let directory = Directory::open(&self.path)?;
        let segments = directory.list()?.segments;
        let after = segments.iter().copied().find(|&first| first >= self.position.segment);
        let Some(first) = after.or_else(|| segments.first().copied()) else { return Ok(false) };
        if after.is_none() {
            self.last = None;
        }
        if first != self.position.segment {
            self.position = Position { segment: first, offset: 0 };
        }
        let name = segment::name(first);
        let failed = |source| SpoolError::reading(&directory.join(&name), source);
        let file = match directory.read(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(failed)?,
        };
        if self.position.offset > 0 {
            let mut byte = [0];
            let read = file.read_at(&mut byte, self.position.offset - 1).map_err(failed)?;
            if read == 0 || byte != *b"\n" {
                self.position.offset = 0;
            }
        }
        self.open = Some(Lines::new(file, self.position.offset));
        self.ended = false;
        Ok(true)
    }
}

/// The whole record on a line that was read as a summary; `None` where it is none in all respects.
pub fn whole(line: &str) -> Option<Record> {
    parse(line.as_bytes())
}

/// The line that ends at a place.
pub(super) fn line_before(directory: &Directory, position: Position) -> Option<String> {
    let file = directory.read(&segment::name(position.segment)).ok()?;
    let from = position.offset.saturating_sub(LINE_MAX as u64 + 2);
    let mut bytes = vec![0; usize::try_from(position.offset - from).ok()?];
    file.read_exact_at(&mut bytes, from).ok()?;
    let line = bytes.strip_suffix(b"\n")?.rsplit(|&byte| byte == b'\n').next()?;
    String::from_utf8(line.to_vec()).ok()
}

/// The newest record of each finding, in the order of their numbers; at most [`NAMES_MAX`].
///
/// # Errors
/// A directory or segment that cannot be read.
pub fn latest_by_name(dir: &Path) -> Result<Vec<Record>, SpoolError> {
    latest_where(dir, |_| true)
}

/// The newest record of each finding where `keep` holds for that record. Memory grows only with what is kept.
///
/// # Errors
/// A directory or segment that cannot be read.
pub fn latest_where(dir: &Path, keep: impl Fn(&Record) -> bool) -> Result<Vec<Record>, SpoolError> {
    let mut reader = Reader::oldest(dir)?;
    let mut newest: HashMap<String, u64> = HashMap::new();
    let mut records: BTreeMap<u64, Record> = BTreeMap::new();
    while let Some(entry) = reader.next()? {
        let record = entry.record;
        if let Some(older) = newest.remove(&record.finding.name) {
            records.remove(&older);
        }
        if keep(&record) {
            newest.insert(record.finding.name.clone(), record.sequence());
            records.insert(record.sequence(), record);
        }
        if records.len() > NAMES_MAX
            && let Some((_, oldest)) = records.pop_first()
        {
            newest.remove(&oldest.finding.name);
        }
    }
    Ok(records.into_values().collect())
}
