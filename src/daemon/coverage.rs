//! From when to when nobody listened.
//!
//! Owns: the note in the spool's directory of when this machine was last listened to, and what the next daemon makes of it. Must
//! not own: listening (`sensor`), the loss record (`record_thread`).
//!
//! Between the last event that one daemon heard and the first that the next one hears, processes begin and end unseen. The first
//! sweep finds what still lives; how long it was is told. Of a daemon that was killed only the last note is known: the gap is then
//! that much shorter than what is told.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::clock::{Moment, SECOND, rfc3339};

/// The file.
const NAME: &str = "heard";
/// The longest note.
const NOTE_MAX: usize = 256;
/// Between two notes of a daemon that goes on.
const EVERY_NS: u64 = 5 * SECOND;

/// What the file says.
#[derive(Debug, Deserialize, Serialize)]
struct Note {
    boot_id: String,
    /// CLOCK_MONOTONIC, which stands while the machine sleeps.
    mono_ns: u64,
    wall_ns: u64,
    /// Written at an orderly end.
    ended: bool,
}

/// A time in which nobody listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// It began then, or, if it is not `exact`, later.
    pub from: Moment,
    /// The first canary was heard.
    pub to: Moment,
    /// The daemon before ended in order, and noted when.
    pub exact: bool,
}

impl Gap {
    /// How long it was, or was at the most, in milliseconds.
    pub fn milliseconds(self) -> u64 {
        self.to.since(self.from) / 1_000_000
    }

    /// A sentence without its full stop.
    pub fn sentence(self) -> String {
        let (from, to) = (rfc3339(self.from.wall_ns), rfc3339(self.to.wall_ns));
        let most = if self.exact { "" } else { "at most " };
        format!("nobody listened for {most}{} ms, from {from} to {to}", self.milliseconds())
    }
}

/// The note of this daemon.
#[derive(Debug)]
pub struct Coverage {
    /// `None`: it cannot be written, which was said.
    file: Option<File>,
    boot_id: String,
    next_ns: u64,
}

impl Coverage {
    /// Takes over the file in the spool's directory, which is there. `now`: the kernel has just been heard. A gap is told where a
    /// daemon of this boot left a note.
    pub fn begin(directory: &Path, boot_id: &str, now: Moment) -> (Self, Option<Gap>) {
        let file = open(&directory.join(NAME));
        if let Err(error) = &file {
            log::warn!(
                "when this machine was last listened to cannot be noted in {}: {error}",
                directory.display()
            );
        }
        let file = file.ok();
        let gap = file
            .as_ref()
            .and_then(read)
            .filter(|note| note.boot_id == boot_id && note.mono_ns <= now.mono_ns);
        let gap = gap.map(|note| Gap {
            from: Moment { mono_ns: note.mono_ns, wall_ns: note.wall_ns },
            to: now,
            exact: note.ended,
        });
        let mut new = Self { file, boot_id: boot_id.to_owned(), next_ns: 0 };
        new.tick(now);
        (new, gap)
    }

    /// The kernel is listened to now. To be called once a second.
    pub fn tick(&mut self, now: Moment) {
        if now.mono_ns >= self.next_ns {
            self.next_ns = now.mono_ns.saturating_add(EVERY_NS);
            self.write(now, false);
        }
    }

    /// From now on it no longer is.
    pub fn end(mut self, now: Moment) {
        self.write(now, true);
    }

    /// Not synced: a machine that crashed has another boot.
    fn write(&mut self, now: Moment, ended: bool) {
        let note = Note { boot_id: self.boot_id.clone(), mono_ns: now.mono_ns, wall_ns: now.wall_ns, ended };
        // Text and numbers. A shorter note than the one before ends in spaces.
        let text = serde_json::to_string(&note).unwrap_or_default();
        let padded = format!("{text:<width$}\n", width = NOTE_MAX - 1);
        if let Some(file) = &self.file
            && let Err(error) = file.write_all_at(padded.as_bytes(), 0)
        {
            log::warn!("when this machine was last listened to cannot be noted: {error}");
            self.file = None;
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Whoever could put a link there is root; it is not followed even so.
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o640).custom_flags(libc::O_NOFOLLOW);
    options.open(path)
}

fn read(file: &File) -> Option<Note> {
    let mut bytes = [0; NOTE_MAX];
    let length = file.read_at(&mut bytes, 0).ok()?;
    serde_json::from_slice(bytes.get(..length)?.trim_ascii()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment { mono_ns: seconds * SECOND, wall_ns: 1_795_492_217_000_000_000 + seconds * SECOND }
    }

    #[test]
    fn a_gap_of_an_orderly_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (coverage, gap) = Coverage::begin(directory.path(), "boot", at(10));
        assert_eq!(gap, None, "the first of this boot");
        coverage.end(at(20));
        let (_, gap) = Coverage::begin(directory.path(), "boot", at(21));
        let gap = gap.unwrap();
        assert_eq!(gap, Gap { from: at(20), to: at(21), exact: true });
        assert!(gap.sentence().starts_with("nobody listened for 1000 ms, from 2026-"), "{}", gap.sentence());
    }

    #[test]
    fn one_that_was_killed_is_known_to_five_seconds() {
        let directory = tempfile::tempdir().unwrap();
        let (mut coverage, _) = Coverage::begin(directory.path(), "boot", at(10));
        coverage.tick(at(14));
        coverage.tick(at(16));
        drop(coverage);
        let (_, gap) = Coverage::begin(directory.path(), "boot", at(30));
        assert_eq!(gap, Some(Gap { from: at(16), to: at(30), exact: false }));
        assert!(gap.unwrap().sentence().contains("for at most 14000 ms"));
    }

    #[test]
    fn another_boot_and_anything_else_are_no_gap() {
        let directory = tempfile::tempdir().unwrap();
        let (coverage, _) = Coverage::begin(directory.path(), "boot", at(10));
        coverage.end(at(11));
        assert_eq!(Coverage::begin(directory.path(), "another", at(5)).1, None);
        // Longer than a note, no note at all.
        std::fs::write(directory.path().join(NAME), vec![b'{'; 4096]).unwrap();
        assert_eq!(Coverage::begin(directory.path(), "another", at(6)).1, None);
        assert_eq!(Coverage::begin(directory.path(), "another", at(7)).1.map(Gap::milliseconds), Some(1000));
        // A clock that ran backwards.
        assert_eq!(Coverage::begin(directory.path(), "another", at(1)).1, None);
        let nowhere = directory.path().join("nowhere");
        let (mut coverage, gap) = Coverage::begin(&nowhere, "boot", at(8));
        coverage.tick(at(20));
        assert_eq!(gap, None);
    }
}
