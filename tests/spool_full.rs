//! The spool on filesystems that are full, out of inodes, or read-only: tmpfs that the test mounts. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use tetherd::model::clock::Moment;
use tetherd::model::exit::Exit;
use tetherd::model::finding::{CATEGORY_DROPPED, CATEGORY_LOSS, Record};
use tetherd::spool::error::SpoolError;
use tetherd::spool::reader::Reader;
use tetherd::spool::record::observation;
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::verify::verify;
use tetherd::spool::writer::Writer;

struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// `None` where mounting is not allowed; fails then if `TETHERD_TESTS_STRICT=1`.
    fn mount(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).output();
        if status.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        assert!(
            std::env::var_os("TETHERD_TESTS_STRICT").is_none_or(|v| v != "1"),
            "cannot mount a tmpfs: run as root"
        );
        eprintln!("SKIPPED: cannot mount a tmpfs; run as root");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.path()).status().unwrap().success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn settings(dir: &Path) -> SpoolSettings {
    SpoolSettings {
        directory: dir.join("spool"),
        segment_bytes: 20_000,
        segment_hours: 24,
        max_bytes: 1 << 30,
        min_free_bytes: 0,
    }
}

fn records(count: usize) -> Vec<Record> {
    let now = Moment { mono_ns: 0, wall_ns: 1_795_492_217_000_000_000 };
    (0..count).map(|_| observation(CATEGORY_LOSS, "a test", BTreeMap::new(), now, "boot")).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let mut reader = Reader::oldest(&dir.join("spool")).unwrap();
    std::iter::from_fn(|| reader.next().unwrap()).map(|entry| entry.record.finding.name).collect()
}

#[test]
fn full_disk_drops_the_oldest_and_goes_on() {
    let Some(disk) = Tmpfs::mount("size=200k") else { return };
    let (mut writer, _) = Writer::open(settings(disk.path()), "boot").unwrap();
    let mut dropped = 0;
    for _ in 0..100 {
        let mut batch = records(7);
        dropped += writer.append(&mut batch).unwrap().dropped;
        let stored = names(disk.path());
        assert!(batch.iter().all(|record| stored.contains(&record.finding.name)));
    }
    assert!(dropped > 300, "{dropped}");
    let report = verify(&disk.path().join("spool")).unwrap();
    assert!(report.breaks.is_empty(), "{report:?}");
    assert!(report.dropped_recorded > 0);
}

#[test]
fn records_wait_until_there_is_room() {
    let Some(disk) = Tmpfs::mount("size=200k") else { return };
    let (mut writer, _) = Writer::open(settings(disk.path()), "boot").unwrap();
    let filler = disk.path().join("filler");
    let fill = || {
        let mut size = 1 << 20;
        while size > 1024 {
            use std::io::Write;
            let mut file = fs::File::options().create(true).append(true).open(&filler).unwrap();
            while file.write_all(&vec![b'x'; size]).is_ok() {}
            size /= 2;
        }
    };
    fill();
    let mut batch = records(5);
    let error = writer.append(&mut batch).unwrap_err();
    assert!(matches!(error, SpoolError::Full { kept: 5, .. }), "{error}");
    assert!(error.to_string().contains("no room on the filesystem of"));
    assert!(writer.append(&mut records(2)).is_err());
    assert_eq!(writer.usage().waiting, 7);
    fs::remove_file(&filler).unwrap();
    // What a tmpfs has given back can take a moment to be seen on every processor.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let done = loop {
        match writer.append(&mut batch) {
            Ok(done) => break done,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
    };
    assert_eq!((done.first, done.last), (1, 5));
    assert_eq!(names(disk.path()).len(), 7);

    // Full in the middle of a batch: the torn line is ended, the records stand in the next segment. What was there
    // goes, as it is the only thing that can, and is noted.
    fill();
    let mut more = records(9);
    while writer.append(&mut more).is_err() {
        fs::remove_file(&filler).unwrap();
    }
    let stored = names(disk.path());
    assert!(more.iter().all(|record| stored.contains(&record.finding.name)));
    let report = verify(&disk.path().join("spool")).unwrap();
    assert!(report.breaks.is_empty(), "{report:?}");
}

#[test]
fn out_of_inodes() {
    // The root, the spool, lock, sequence and its temporary file, and three segments.
    let Some(disk) = Tmpfs::mount("size=4m,nr_inodes=8") else { return };
    let (mut writer, _) = Writer::open(settings(disk.path()), "boot").unwrap();
    let mut dropped = 0;
    for _ in 0..200 {
        let mut batch = records(5);
        dropped += writer.append(&mut batch).unwrap().dropped;
        let stored = names(disk.path());
        assert!(batch.iter().all(|record| stored.contains(&record.finding.name)));
    }
    assert!(dropped > 500, "{dropped}");
    let mut reader = Reader::oldest(&disk.path().join("spool")).unwrap();
    let notes = std::iter::from_fn(|| reader.next().unwrap())
        .filter(|entry| entry.record.finding.category == CATEGORY_DROPPED)
        .count();
    assert!(notes > 0);
    assert!(verify(&disk.path().join("spool")).unwrap().breaks.is_empty());
}

#[test]
fn read_only() {
    let Some(disk) = Tmpfs::mount("size=1m") else { return };
    Writer::open(settings(disk.path()), "boot").unwrap().0.append(&mut records(3)).unwrap();
    disk.remount("ro");
    let error = Writer::open(settings(disk.path()), "boot").unwrap_err();
    assert!(
        error.to_string().contains("is on a read-only filesystem; remount it read-write or use --spool"),
        "{error}"
    );
    assert_eq!(error.exit(), Exit::CantCreate);
    let elsewhere = SpoolSettings { directory: disk.path().join("new/spool"), ..settings(disk.path()) };
    assert!(matches!(Writer::open(elsewhere, "boot"), Err(SpoolError::ReadOnly { .. })));
    assert_eq!(names(disk.path()).len(), 3, "reading needs no writing");
    disk.remount("rw");
    let (mut writer, _) = Writer::open(settings(disk.path()), "boot").unwrap();
    writer.append(&mut records(1)).unwrap();
    assert!(verify(&disk.path().join("spool")).unwrap().breaks.is_empty());
}
