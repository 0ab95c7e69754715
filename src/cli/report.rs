//! `tetherd report`.
//!
//! Owns: which findings, in which order, and the file. Must not own: the page (`report::page`), reading records (`spool`).
//!
//! The spool is read twice: once to learn where the newest record of each finding stands, then record by record as the
//! page is written. So memory does not grow with the records, only by some hundred bytes a finding.

pub mod html;
pub mod page;
pub mod response;
pub mod svg;
pub mod tree;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::cli::args::{Common, Report};
use crate::cli::failure::Failure;
use crate::cli::filter::Filter;
use crate::cli::pick::pick;
use crate::cli::report::page::Page;
use crate::cli::{shown, spool};
use crate::model::exit::Exit;
use crate::model::finding::Record;
use crate::spool::reader::{NAMES_MAX, Reader};
use crate::spool::segment::Position;

/// Writes the page.
pub fn report(report: &Report) -> Result<Exit, Failure> {
    let filter = Filter::new(&report.filters)?;
    let directory = spool(&report.common)?;
    let mut places = match &report.id {
        Some(id) => one(&directory, id)?,
        None => chosen(&directory, &filter)?,
    };
    let first = places.len().saturating_sub(report.n.unwrap_or(usize::MAX));
    places.drain(..first);
    if report.output == Path::new("-") {
        let mut out = BufWriter::new(io::stdout().lock());
        return match write(&mut out, &directory, &places, &report.common).and_then(|()| Ok(out.flush()?)) {
            Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
            outcome => outcome.map(|()| Exit::Ok),
        };
    }
    let (file, temporary) = begin(&report.output)?;
    let mut out = BufWriter::new(file);
    let written = write(&mut out, &directory, &places, &report.common)
        .and_then(|()| Ok(out.flush()?))
        .and_then(|()| Ok(fs::rename(&temporary, &report.output)?));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    let count = places.len();
    let findings = if count == 1 { "finding" } else { "findings" };
    crate::cli::out::print(&format!("{count} {findings} in {}\n", shown(&report.output)))?;
    Ok(Exit::Ok)
}

/// A new file beside the one that is wanted, for its owner only; it takes that one's place when it is whole.
fn begin(output: &Path) -> Result<(File, PathBuf), Failure> {
    if fs::symlink_metadata(output).is_ok_and(|status| !status.is_file()) {
        return Err(Failure::Usage(format!("{} is not a plain file; it is left as it is", shown(output))));
    }
    let Some(name) = output.file_name() else {
        return Err(Failure::Usage(format!("{} names no file", shown(output))));
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}", std::process::id()));
    let temporary = output.with_file_name(temporary);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
    Ok((
        file.map_err(|error| Failure::CannotCreate(format!("cannot write {}: {error}", shown(output))))?,
        temporary,
    ))
}

/// Where a record stands, and its number.
type Place = (u64, Position);

fn one(directory: &Path, id: &str) -> Result<Vec<Place>, Failure> {
    let wanted = pick(directory, id)?.sequence();
    let mut reader = Reader::oldest(directory)?;
    while let Some(entry) = reader.next()? {
        if entry.record.sequence() == wanted {
            return Ok(vec![(wanted, entry.position)]);
        }
    }
    Err(Failure::NotFound(format!(
        "the record of {} has just been dropped from the spool",
        shown(Path::new(id))
    )))
}

/// Where the newest record of each finding stands that the filters choose, oldest first.
fn chosen(directory: &Path, filter: &Filter) -> Result<Vec<Place>, Failure> {
    let mut reader = Reader::oldest(directory)?;
    let mut newest: HashMap<String, Place> = HashMap::new();
    while let Some(entry) = reader.next()? {
        let record = entry.record;
        if filter.wants(&record, false) {
            let sequence = record.sequence();
            newest.insert(record.finding.name, (sequence, entry.position));
        } else {
            newest.remove(&record.finding.name);
        }
        // As `latest_where`: of too many, the oldest are left out.
        if newest.len() > NAMES_MAX + NAMES_MAX / 10 {
            let mut sequences: Vec<u64> = newest.values().map(|(sequence, _)| *sequence).collect();
            sequences.sort_unstable();
            let least = sequences.get(sequences.len() - NAMES_MAX).copied().unwrap_or(0);
            newest.retain(|_, (sequence, _)| *sequence >= least);
        }
    }
    let mut places: Vec<Place> = newest.into_values().collect();
    places.sort_unstable_by_key(|(sequence, _)| *sequence);
    places.drain(..places.len().saturating_sub(NAMES_MAX));
    Ok(places)
}

/// The record at a place; `None` if the spool has dropped or replaced it since.
fn read(directory: &Path, place: &Place) -> Result<Option<Record>, Failure> {
    let entry = Reader::at(directory, place.1)?.next()?;
    Ok(entry.map(|entry| entry.record).filter(|record| record.sequence() == place.0))
}

fn write(out: &mut impl Write, directory: &Path, places: &[Place], common: &Common) -> Result<(), Failure> {
    let mut page = Page::begin(out, places.len(), common.spool.clone())?;
    for (number, place) in places.iter().enumerate() {
        if let Some(record) = read(directory, place)? {
            page.row(number, &record)?;
        }
    }
    page.between()?;
    for (number, place) in places.iter().enumerate() {
        match read(directory, place)? {
            Some(record) => page.finding(number, &record)?,
            None => page.gone(number)?,
        }
    }
    page.end()?;
    Ok(())
}
