//! Taking up a spool where its last writer left it.
//!
//! Owns: the start: directory, lock, the newest segment's end, the next number, the last hash. Must not own: repair of
//! older damage; nothing is ever removed or overwritten here.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt;

use super::active::{Active, Known};
use super::age::Steady;
use super::checkpoint::Unsigned;
use super::directory::Directory;
use super::error::SpoolError;
use super::lines::{Lines, NO_HASH, Raw, parse, sha256_hex};
use super::link::Link;
use super::lock::Lock;
use super::reserve::Reserve;
use super::room::Drops;
use super::salvage::{GivenUp, end_line};
use super::segment;
use super::segments::Open;
use super::sequence::Mark;
use super::settings::SpoolSettings;
use super::writer::{Appended, OpenReport, Writer, now};
use crate::model::clock::parse_rfc3339;
use crate::model::finding::LINE_MAX;

/// What a segment ends with.
#[derive(Debug, Default)]
struct Tail {
    /// Number and hash of the last record.
    last: Option<(u64, String)>,
    /// When the first record was written (nanoseconds after 1970).
    since: Option<u64>,
    bytes: u64,
    /// Lines that are no records, of those that were read.
    damaged: u64,
    /// The file can be appended to: it was read to its end, and that is behind a record or at the beginning.
    sound: bool,
    /// The last line has no newline.
    unfinished: bool,
    /// ... and lacks nothing else.
    whole: bool,
}

impl Writer {
    /// Opens the spool for writing: makes the directory where it is missing, takes the lock, closes a torn tail.
    ///
    /// # Errors
    /// A directory that cannot be made, is a symbolic link, may be written by everybody or is read-only; a lock that
    /// another process holds; numbers that are used up.
    pub fn open(settings: SpoolSettings, boot_id: &str) -> Result<(Self, OpenReport), SpoolError> {
        let directory = Directory::create(&settings.directory)?;
        let lock = Lock::take(&directory)?;
        let listing = directory.list()?;
        let mark = Mark::load(&directory).unwrap_or_default();
        let (active, known) = Active::load(&directory).unzip();
        let mut report = OpenReport::default();
        let mut torn = Vec::new();
        let mut current = None;
        let mut last = None;
        let mut next = 1;
        for &first in listing.segments.iter().rev() {
            let tail = tail(&directory, first, known.as_ref().filter(|known| known.until.segment == first));
            let newest = first == listing.highest;
            report.damaged += tail.damaged;
            if newest && tail.unfinished {
                report.torn += u64::from(!tail.whole);
                if end_line(&directory, first).is_err() {
                    torn.push(first);
                }
            }
            // A segment whose first record was never finished has its number in its name.
            let own = tail.last.as_ref().map_or(first, |(number, _)| number.saturating_add(1));
            next = next.max(own);
            // A renamed segment is left alone, or the segments after it would sort before it.
            let named_right = own >= first;
            if newest && tail.sound && named_right {
                current = directory.append(&segment::name(first), false).ok().map(|file| Open {
                    file,
                    first,
                    bytes: tail.bytes,
                    since: tail.since.unwrap_or(now().wall_ns),
                });
            }
            if tail.last.is_some() {
                last = tail.last;
                break;
            }
        }
        // Where a sync failed, an older segment can hold lines with higher numbers: those that were to be written again.
        let ends = listing.segments.iter().filter_map(|&first| last_number(&directory, first));
        next = ends.map(|number| number.saturating_add(1)).fold(next, u64::max);
        if !mark.trusts(listing.highest, boot_id) {
            next = next.max(mark.unused);
        }
        // What the last writer wrote and did not live to sync is built upon from now on.
        if current.as_ref().is_some_and(|open| open.file.sync_data().is_err())
            || current.as_ref().is_some_and(|open| open.bytes == 0 && open.first != next)
        {
            current = None;
        }
        if current.is_none() && listing.highest > 0 {
            next = next.max(listing.highest.saturating_add(1));
        }
        let open_first = current.as_ref().map(|open| open.first);
        let closed = directory.sizes(listing.segments.iter().filter(|&&first| Some(first) != open_first));
        if next > segment::SEQUENCE_MAX {
            let path = directory.path().to_owned();
            return Err(SpoolError::Exhausted { path, highest: next.saturating_sub(1) });
        }
        report.next = next;
        let mut active = active.unwrap_or_default();
        active.catch_up(&directory, &listing.segments);
        active.store(&directory, false);
        let reserve = Reserve::open(&directory, settings.reserve_bytes);
        let mut writer = Self {
            directory,
            lock,
            settings,
            boot_id: boot_id.to_owned(),
            next,
            previous: last.map_or_else(|| NO_HASH.to_owned(), |(_, hash)| hash),
            pending: VecDeque::new(),
            current,
            closed,
            drops: Drops::default(),
            // The stored mark may be of another boot: write a new one with the first record.
            mark: Mark { unused: 0, ended: false, ..mark },
            given_up: GivenUp::with_torn(torn),
            active,
            tally: Appended::default(),
            reserve,
            short: false,
            steady: Steady::default(),
            next_tending_ns: 0,
            signer: None,
            unsigned: Unsigned::default(),
            last_checkpoint: 0,
            last_durable: 0,
            over: false,
        };
        if let Ok(space) = writer.directory.space() {
            writer.measure(space);
        }
        writer.note_later(listing.segments.first().copied().unwrap_or(next));
        Ok((writer, report))
    }
}

/// The number of the last record of a segment, with or without its newline; `None` where there is none. Of a segment that
/// does not end in a record, all is read.
pub(super) fn last_number(directory: &Directory, first: u64) -> Option<u64> {
    let file = directory.read(&segment::name(first)).ok()?;
    let length = file.metadata().ok()?.len();
    let from = length.saturating_sub(LINE_MAX as u64 + 1);
    let mut bytes = vec![0; usize::try_from(length - from).ok()?];
    file.read_exact_at(&mut bytes, from).ok()?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes).rsplit(|&byte| byte == b'\n').next()?;
    match Link::of(line) {
        Some(link) => Some(link.sequence()),
        None => tail(directory, first, None).last.map(|(number, _)| number),
    }
}

/// Reads a segment to its end, from what is known of it on. What cannot be read counts as damage: the writer goes on in
/// a new segment.
fn tail(directory: &Directory, first: u64, known: Option<&Known>) -> Tail {
    let mut tail = Tail::default();
    let Ok(file) = directory.read(&segment::name(first)) else {
        tail.damaged = 1;
        return tail;
    };
    let mut lines = Lines::new(file, 0);
    if let Some(known) = known {
        if let Ok(Raw::Line { bytes, .. }) = lines.next() {
            tail.since = parse(&bytes).and_then(|record| parse_rfc3339(&record.finding.create_time));
        }
        lines = lines.from(known.until.offset);
        tail.bytes = known.until.offset;
        tail.last = Some((known.sequence, known.sha256.clone()));
    }
    tail.sound = true;
    loop {
        match lines.next() {
            Ok(Raw::Line { next, bytes, .. }) => {
                tail.bytes = next;
                tail.sound = false;
                match parse(&bytes) {
                    Some(record) => {
                        tail.sound = true;
                        tail.since = tail.since.or_else(|| parse_rfc3339(&record.finding.create_time));
                        tail.last = Some((record.sequence(), sha256_hex(&bytes)));
                    }
                    None => {
                        tail.damaged += 1;
                        // A later version's: not to be added to, but its number is taken.
                        if let Some(link) = Link::of(&bytes) {
                            tail.last = Some((link.sequence(), sha256_hex(&bytes)));
                        }
                    }
                }
            }
            Ok(Raw::Long { next, .. }) => {
                tail.bytes = next;
                tail.sound = false;
                tail.damaged += 1;
            }
            Ok(Raw::End { unfinished }) => {
                tail.unfinished = unfinished;
                tail.sound &= !unfinished;
                // Torn just before the newline: with it the line is a record, whose number is taken.
                if let Some(record) = parse(lines.unfinished()) {
                    tail.last = Some((record.sequence(), sha256_hex(lines.unfinished())));
                    tail.whole = true;
                }
                return tail;
            }
            Err(_) => {
                tail.damaged += 1;
                tail.sound = false;
                return tail;
            }
        }
    }
}
