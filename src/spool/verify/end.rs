//! Whether the end is there.
//!
//! Owns: what the spool's small files say of records that no longer stand in it. A chain cannot show that its newest records
//! were cut off; whoever cuts them can change these files too, but has to know of them. Must not own: the files.

use std::path::Path;

use super::report::{Break, Kind, Place, Side};
use crate::spool::cursor::Cursor;
use crate::spool::directory::Directory;
use crate::spool::segment::SEQUENCE_MAX;
use crate::spool::sequence::Mark;

/// The highest number that was ever stored, and who says so.
#[derive(Debug, Default)]
pub(super) struct Told {
    number: u64,
    by: String,
}

impl Told {
    /// To be asked before the segments are read: they may grow meanwhile.
    pub(super) fn ask(directory: &Directory, dir: &Path) -> Self {
        let mut told = Self::default();
        if let Some(mark) = Mark::load(directory).filter(|mark| mark.ended) {
            told = Self { number: mark.unused.saturating_sub(1), by: "the file sequence".into() };
        }
        for name in Cursor::names(dir).unwrap_or_default() {
            let Ok(Some(cursor)) = Cursor::load(dir, &name) else { continue };
            if cursor.sequence > told.number && cursor.sequence <= SEQUENCE_MAX {
                told = Self { number: cursor.sequence, by: format!("the file cursor.{name}") };
            }
        }
        told
    }

    /// What is missing behind the last record.
    pub(super) fn beyond(&self, last: Option<&Side>, highest: u64) -> Option<Break> {
        let missing = highest + 1;
        let before = last.filter(|_| self.number > highest)?;
        let what = format!(
            "records {missing} to {} are missing at the end: {} says that they were there",
            self.number, self.by
        );
        let place = Place { line: before.place.line + 1, ..before.place };
        let before = Some(before.clone());
        Some(Break { kind: Kind::CutOff, place, sequence: missing, before, after: None, what })
    }
}
