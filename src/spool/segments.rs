//! The segment that is appended to.
//!
//! Owns: when a new one is begun, and beginning it. Must not own: writing (`writer`), names (`segment`).

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::segment;
use super::writer::{Writer, now};
use crate::model::clock::SECOND;

/// The segment that is appended to.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) file: File,
    pub(super) first: u64,
    pub(super) bytes: u64,
    /// Nanoseconds after 1970.
    pub(super) since: u64,
}

impl Writer {
    /// Whether the open segment takes so many bytes more; if not, the next record begins another.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.current.as_ref().is_some_and(|open| {
            let age = now().wall_ns.saturating_sub(open.since) / SECOND / 3600;
            let full = open.bytes > 0 && open.bytes + bytes > self.settings.segment_bytes;
            !full && age < self.settings.segment_hours.max(1)
        })
    }

    /// Closes the open segment, so that the next record begins another. Does nothing while records wait.
    pub fn end_segment(&mut self) {
        if self.pending.is_empty()
            && let Some(open) = self.current.take()
        {
            self.closed.insert(open.first, open.bytes);
        }
    }

    /// Sees to it that there is a segment that may be appended to.
    pub(super) fn choose_segment(&mut self) -> io::Result<()> {
        let Some(first) = self.pending.front().map(|line| line.sequence) else { return Ok(()) };
        if self.current.as_ref().is_some_and(|open| removed(&open.file)) {
            // What is written there is lost.
            self.current = None;
            self.tally.removed += 1;
        }
        let size = self.pending.front().map_or(0, |line| line.bytes.len() as u64);
        if self.has_room(size) {
            return Ok(());
        }
        match self.create_segment(first) {
            Ok(open) => {
                if let Some(old) = self.current.replace(open) {
                    self.closed.insert(old.first, old.bytes);
                }
                Ok(())
            }
            // Rather a segment that is too large than a record that is lost.
            Err(_)
                if self.current.as_ref().is_some_and(|open| open.bytes < 2 * self.settings.segment_bytes) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn create_segment(&mut self, first: u64) -> io::Result<Open> {
        self.clear_the_way()?;
        let name = segment::name(first);
        let file = match self.directory.append(&name, true) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The whole directory was removed.
                self.come_back().map_err(io::Error::other)?;
                self.directory.append(&name, true)?
            }
            opened => opened?,
        };
        if let Err(error) = self.directory.sync() {
            let _ = self.directory.unlink(&name);
            return Err(error);
        }
        let _ = self.store_mark(self.mark.unused.max(self.next), first);
        Ok(Open { file, first, bytes: 0, since: now().wall_ns })
    }
}

/// Whether somebody has unlinked an open file.
pub(super) fn removed(file: &File) -> bool {
    file.metadata().is_ok_and(|status| status.nlink() == 0)
}
