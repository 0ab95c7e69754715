//! How the last run ended, as its records say.
//!
//! Owns: reading the newest records backwards to the one that tells. Must not own: writing it (`daemon::journal`).

use std::path::Path;

use super::directory::Directory;
use super::error::SpoolError;
use super::link::Link;
use super::reader::line_before;
use super::segment::{self, Position};
use crate::model::finding::{CATEGORY_CHECKPOINT, CATEGORY_DROPPED, CATEGORY_STOPPED};

/// How many lines are looked at.
const LINES_MAX: usize = 16;

/// The end of the last run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The number of the newest record; 0: there is none.
    pub sequence: u64,
    /// When it was written (RFC 3339); empty: there is none.
    pub time: String,
    /// The boot that it was written in.
    pub boot_id: String,
    /// It was an orderly stop.
    pub clean: bool,
}

/// Looks at the end of a spool that nobody writes to.
///
/// # Errors
/// A directory that cannot be read.
pub fn ending(dir: &Path) -> Result<Ending, SpoolError> {
    let directory = Directory::open(dir)?;
    let mut end = Ending::default();
    let mut left = LINES_MAX;
    let mut torn = false;
    for first in directory.list()?.segments.into_iter().rev() {
        let length = directory.size_and_time(&segment::name(first)).map_or(0, |(size, _)| size);
        let mut position = Position { segment: first, offset: length };
        while let Some(line) = line_before(&directory, position) {
            position.offset = position.offset.saturating_sub(line.len() as u64 + 1);
            left = left.saturating_sub(1);
            let Some(link) = Link::of(line.as_bytes()) else {
                torn = true;
                continue;
            };
            if end.sequence == 0 {
                let boot_id = link.text(crate::model::finding::property::BOOT_ID).to_owned();
                end =
                    Ending { sequence: link.sequence(), time: link.time().to_owned(), boot_id, clean: false };
            }
            // These come after everything else at a stop, and before it at a start.
            if matches!(link.category(), CATEGORY_CHECKPOINT | CATEGORY_DROPPED) && left > 0 {
                continue;
            }
            end.clean = link.category() == CATEGORY_STOPPED && !torn;
            return Ok(end);
        }
        // A line without its newline was never finished.
        torn |= position.offset > 0;
    }
    Ok(end)
}
