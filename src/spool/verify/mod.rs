//! Whether the spool is as it was written.
//!
//! Owns: reading all segments for the check, telling torn tails from other lines that are no records. The parts: `check`
//! follows numbers and hashes and tells change and removal from what is in order (torn tails, lines written twice, unused
//! numbers, segments dropped to make room); `gaps` compares what is missing with what is said to have been dropped; `end`
//! asks the spool's small files whether its end is there. Must not own: showing it.
//!
//! What a chain cannot show: that its newest records were cut off or changed, or that all of it was written anew. Copies
//! elsewhere can, and signed checkpoints (`checkpoint`) up to the last of them.

mod check;
mod end;
mod gaps;
mod report;

use std::io;
use std::path::Path;

pub use report::{Break, Kind, Place, Report, Side, Torn, Vouched};

use self::check::Check;
use self::end::Told;
use super::directory::Directory;
use super::error::SpoolError;
use super::key::PublicKey;
use super::lines::{Lines, Raw, sha256_hex};
use super::link::Link;
use super::segment::{self, Position};

/// Reads everything and compares. Needs no lock; a line that is being written counts as torn.
///
/// # Errors
/// A directory or segment that cannot be read.
pub fn verify(dir: &Path) -> Result<Report, SpoolError> {
    verify_with(dir, &[])
}

/// The same, and checks the signature of every checkpoint: it has to be that of one of `keys`, unless there are none.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(dir: &Path, keys: &[PublicKey]) -> Result<Report, SpoolError> {
    let directory = Directory::open(dir)?;
    let told = Told::ask(&directory, dir);
    let mut check = Check::new(keys);
    for first in directory.list()?.segments {
        let name = segment::name(first);
        let failed = |source| SpoolError::reading(&directory.join(&name), source);
        let file = match directory.read(&name) {
            // Dropped since the directory was listed; what is missing shows in the numbers.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(failed)?,
        };
        check.segment();
        read(&mut check, first, &mut Lines::new(file, 0)).map_err(failed)?;
    }
    if let Some(cut) = told.beyond(check.last(), check.report.last) {
        check.report.add(cut);
    }
    Ok(check.finish())
}

fn read(check: &mut Check<'_>, segment: u64, lines: &mut Lines) -> io::Result<()> {
    // A bad line is torn if nothing follows it, else a break.
    let mut bad: Option<Place> = None;
    let mut line = 0;
    let mut end = 0;
    loop {
        let raw = lines.next()?;
        line += 1;
        let place = |offset| Place { position: Position { segment, offset }, line };
        if let (Some(bad), Raw::Line { .. } | Raw::Long { .. }) = (bad, &raw) {
            check.no_record(bad);
        }
        match raw {
            Raw::Line { offset, next, bytes } => {
                end = next;
                match Link::of(&bytes) {
                    Some(link) => {
                        check.record(place(offset), &link, sha256_hex(&bytes));
                        bad = None;
                    }
                    None => bad = Some(place(offset)),
                }
            }
            Raw::Long { offset, next } => {
                end = next;
                bad = Some(place(offset));
            }
            Raw::End { unfinished } => {
                match bad {
                    Some(bad) if unfinished => check.no_record(bad),
                    Some(bad) => check.torn(bad),
                    None => {}
                }
                if unfinished {
                    check.torn(place(end));
                }
                return Ok(());
            }
        }
    }
}
