//! A small spool to do damage to, and ways of doing it.

#![allow(dead_code, reason = "each test binary uses its own part of this module")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tetherd::model::clock::Moment;
use tetherd::model::finding::{CATEGORY_LOSS, Record};
use tetherd::spool::record::observation;
use tetherd::spool::segment::name;
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::writer::{OpenReport, Writer};

/// Segments of three records.
pub fn settings(dir: &Path) -> SpoolSettings {
    // Three records of 1,025 bytes a segment.
    SpoolSettings {
        directory: dir.to_owned(),
        segment_bytes: 3100,
        segment_hours: 24,
        max_bytes: 1 << 30,
        min_free_bytes: 0,
        max_days: 0,
        reserve_bytes: 0,
        ..SpoolSettings::default()
    }
}

pub fn open(dir: &Path) -> (Writer, OpenReport) {
    Writer::open(settings(dir), "boot").unwrap()
}

pub fn records(count: usize) -> Vec<Record> {
    let now = Moment { mono_ns: 0, wall_ns: 4_000_000_000_000_000_000 };
    (0..count).map(|_| observation(CATEGORY_LOSS, "a test", BTreeMap::new(), now, "boot")).collect()
}

/// Appends nine records, which make the segments 1, 4 and 7; the writer is gone afterwards.
pub fn nine(dir: &Path) -> Vec<Record> {
    let mut all = records(9);
    open(dir).0.append(&mut all).unwrap();
    assert_eq!(segments(dir), [1, 4, 7]);
    all
}

pub fn segments(dir: &Path) -> Vec<u64> {
    let mut found: Vec<u64> = fs::read_dir(dir)
        .unwrap()
        .filter_map(|entry| tetherd::spool::segment::parse_name(entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    found.sort_unstable();
    found
}

pub fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(name(first))
}

/// Changes the lines of a segment.
pub fn edit(dir: &Path, first: u64, change: impl Fn(&mut Vec<String>)) {
    let text = fs::read_to_string(path(dir, first)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(path(dir, first), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}
