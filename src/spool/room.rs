//! Making room.
//!
//! Owns: the caps on bytes and free space, dropping the oldest closed segment, and the record that says what was
//! dropped. Must not own: when to write. The open segment is never dropped. The record of a drop may itself need
//! room; what is dropped for it is noted by the next append, so this ends.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::error::SpoolError;
use super::record::{DROPPED_COUNT, FIRST_SEQUENCE, LAST_SEQUENCE, REASON, observation};
use super::segment;
use super::writer::{Writer, now};
use crate::model::finding::CATEGORY_DROPPED;

/// What was dropped since the last note.
#[derive(Debug, Default)]
pub(super) struct Drops {
    first: u64,
    last: u64,
    count: u64,
    reasons: Vec<&'static str>,
}

impl Writer {
    /// Drops segments while a cap is exceeded.
    pub(super) fn keep_caps(&mut self) {
        let coming: u64 = self.pending.iter().map(|line| line.bytes.len() as u64).sum();
        while self.usage().bytes + coming > self.settings.max_bytes {
            if self.drop_oldest("max_bytes reached").is_none() {
                break;
            }
        }
        // A dropped file that somebody still reads frees nothing yet: counted as freed, or all would be dropped.
        let Ok(space) = self.directory.space() else { return };
        self.measure(space);
        let mut free = space.free_bytes;
        while free < self.settings.min_free_bytes.saturating_add(coming) {
            let Some(freed) = self.drop_oldest("less than min_free_bytes free") else { break };
            free = free.saturating_add(freed);
        }
    }

    /// Drops the oldest closed segment; its bytes, or `None` where there is none that can be dropped. The newest segment
    /// stays, also when it was given up: a full disk must not cost everything.
    pub(super) fn drop_oldest(&mut self, reason: &'static str) -> Option<u64> {
        loop {
            if self.current.is_none() && self.closed.len() <= 1 {
                return None;
            }
            let (&first, &bytes) = self.closed.first_key_value()?;
            let name = segment::name(first);
            let count = self.directory.read(&name).and_then(count_lines).unwrap_or(0);
            if self.given_up.waits(first) && self.say_gone().is_err() {
                return None;
            }
            match self.directory.unlink(&name) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // Removed by somebody else.
                    self.closed.remove(&first);
                    self.tally.removed += 1;
                    continue;
                }
                Err(_) => return None,
            }
            self.closed.remove(&first);
            self.active.forget(first);
            // Not durable only if the machine crashes now; then the segment is there again and is dropped again.
            let _ = self.directory.sync();
            let after = self
                .closed
                .first_key_value()
                .map(|(&first, _)| first)
                .or(self.current.as_ref().map(|open| open.first))
                .or(self.pending.front().map(|line| line.sequence))
                .unwrap_or(self.next);
            let drops = &mut self.drops;
            if drops.reasons.is_empty() {
                drops.first = first;
            }
            if !drops.reasons.contains(&reason) {
                drops.reasons.push(reason);
            }
            drops.last = drops.last.max(after.saturating_sub(1));
            drops.count += count;
            self.tally.dropped += count;
            return Some(bytes);
        }
    }

    /// Writes the record that says what was dropped.
    pub(super) fn note_drops(&mut self) -> Result<(), SpoolError> {
        if self.drops.reasons.is_empty() {
            return Ok(());
        }
        let drops = std::mem::take(&mut self.drops);
        let reason = drops.reasons.join(", ");
        let description = format!(
            "{} records (numbers {} to {}) were dropped from the spool to make room: {reason}.",
            drops.count, drops.first, drops.last
        );
        let properties = BTreeMap::from([
            (FIRST_SEQUENCE.to_owned(), drops.first.to_string().into()),
            (LAST_SEQUENCE.to_owned(), drops.last.to_string().into()),
            (DROPPED_COUNT.to_owned(), drops.count.to_string().into()),
            (REASON.to_owned(), reason.into()),
        ]);
        let mut record = observation(CATEGORY_DROPPED, &description, properties, now(), &self.boot_id);
        self.number(&mut record)?;
        self.mark.noted = self.mark.noted.max(drops.last.saturating_add(1));
        self.commit(false)?;
        self.store_mark(self.mark.unused, self.mark.segment)
    }

    /// At the start: what was dropped and not noted, because the daemon was killed in between; or removed meanwhile.
    pub(super) fn note_later(&mut self, oldest: u64) {
        // Or only lines that nobody acknowledged are gone.
        if self.mark.noted == 0 || self.mark.boot_id.is_empty() {
            self.mark.noted = oldest;
        } else if oldest > self.mark.noted {
            self.drops = Drops {
                first: self.mark.noted,
                last: oldest - 1,
                count: oldest - self.mark.noted,
                reasons: vec!["no longer there when tetherd started"],
            };
        }
    }
}

fn count_lines(mut file: impl Read) -> io::Result<u64> {
    let mut chunk = vec![0; 64 << 10];
    let mut count = 0;
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(count),
            read => {
                let newlines = chunk.iter().take(read).filter(|&&byte| byte == b'\n').count();
                count += newlines as u64;
            }
        }
    }
}
