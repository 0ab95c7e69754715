//! kill -9 at random moments on a disk that fails now and then (`tests/programs/faultyfs.c`): nothing that was acknowledged is
//! lost, no record has two names, no number two contents, the chain holds.
//!
//! TETHERD_TESTS_KILLS=1000 for the long run, whose last result is in docs/spool.md; TETHERD_TESTS_SEED for other chances.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that cannot go on fails

mod common;

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::wait_for;
use tetherd::model::clock::Moment;
use tetherd::model::finding::{CATEGORY_DROPPED, CATEGORY_LOSS, Record};
use tetherd::spool::reader::Reader;
use tetherd::spool::record::{FIRST_SEQUENCE, LAST_SEQUENCE, observation};
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::verify::verify;
use tetherd::spool::writer::Writer;

const KILLS: u64 = 40;
const DIRECTORY: &str = "TETHERD_TEST_SPOOL_CHILD";

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn settings(dir: &Path) -> SpoolSettings {
    SpoolSettings {
        directory: dir.to_owned(),
        segment_bytes: 128 << 10,
        segment_hours: 24,
        max_bytes: 1 << 40,
        min_free_bytes: 0,
        max_days: 0,
        reserve_bytes: 64 << 10,
        ..SpoolSettings::default()
    }
}

/// The child: appends as the daemon does, and says what was acknowledged. What the disk refused is tried again.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let mut out = std::io::stdout().lock();
    let mut writer = loop {
        match Writer::open(settings(Path::new(&dir)), "boot") {
            Ok((writer, _)) => break writer,
            Err(_) => writeln!(out, "\nREFUSED").unwrap(),
        }
    };
    writeln!(out, "\nOPEN").unwrap();
    let now = Moment { mono_ns: 0, wall_ns: 1_795_492_217_000_000_000 };
    // Numbered, and not yet known to be on the disk.
    let mut waiting: Vec<String> = Vec::new();
    for round in 0usize.. {
        let mut batch: Vec<Record> = (0..=round % 20)
            .map(|_| {
                let padding = "x".repeat((round * 797) % 5000);
                let properties = BTreeMap::from([("Filler".to_owned(), padding.into())]);
                observation(CATEGORY_LOSS, "a test", properties, now, "boot")
            })
            .collect();
        let mut outcome = writer.append(&mut batch);
        let taken = batch.iter().filter(|record| record.sequence() > 0);
        waiting.extend(taken.map(|record| format!("ACK {} {}\n", record.sequence(), record.id())));
        while outcome.is_err() {
            writeln!(out, "REFUSED").unwrap();
            outcome = writer.append(&mut []);
        }
        out.write_all(waiting.concat().as_bytes()).unwrap();
        waiting.clear();
        out.flush().unwrap();
    }
}

/// The filesystem. Unmounted when dropped.
struct Faulty {
    server: Child,
    backing: PathBuf,
    mounted: PathBuf,
}

impl Faulty {
    fn mount(under: &Path, seed: u64) -> Self {
        let (backing, mounted) = (under.join("backing"), under.join("mounted"));
        for directory in [&backing, &mounted] {
            std::fs::create_dir(directory).unwrap();
        }
        let server = Command::new(compiled())
            .args([&backing, &mounted])
            .arg(seed.to_string())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mounts = || std::fs::read_to_string("/proc/self/mounts").unwrap();
        wait_for("the filesystem is mounted", || mounts().contains(mounted.to_str().unwrap()).then_some(()));
        Self { server, backing, mounted }
    }

    /// From now on nothing fails.
    fn calm(&self) {
        std::fs::write(self.backing.join(".calm"), "").unwrap();
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.mounted).status();
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn compiled() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faultyfs");
    let output = Command::new("gcc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-D_FILE_OFFSET_BITS=64", "-I/usr/include/fuse3", "-o"])
        .arg(&target)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/faultyfs.c"))
        .args(["-lfuse3", "-lpthread"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target
}

/// Lets a child write until it is killed; what it says it has stored, and how often the disk refused.
fn life(spool: &Path, microseconds: u64, waits: bool) -> (Vec<(u64, String)>, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIRECTORY, spool)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let mut refused = 0;
    while waits && !line.starts_with("OPEN") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the child ended by itself");
        refused += u64::from(line.starts_with("REFUSED"));
    }
    let reading = std::thread::spawn(move || output.lines().map_while(Result::ok).collect::<Vec<String>>());
    std::thread::sleep(Duration::from_micros(microseconds));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut stored = Vec::new();
    for line in reading.join().unwrap() {
        refused += u64::from(line == "REFUSED");
        // A line that was cut was not said in full.
        if let Some((sequence, name)) = line.strip_prefix("ACK ").and_then(|rest| rest.split_once(' '))
            && name.len() == 32
        {
            stored.push((sequence.parse().unwrap(), name.to_owned()));
        }
    }
    (stored, refused)
}

#[test]
fn nothing_acknowledged_is_lost_on_a_bad_disk() {
    if std::env::var_os(DIRECTORY).is_some() {
        return;
    }
    require!("gcc");
    for needed in ["/dev/fuse", "/usr/include/fuse3/fuse.h"] {
        if !Path::new(needed).exists() {
            return common::skip(needed);
        }
    }
    let scratch = tempfile::tempdir().unwrap();
    let (kills, seed) = (number("TETHERD_TESTS_KILLS", KILLS), number("TETHERD_TESTS_SEED", 20_261_128));
    let disk = Faulty::mount(scratch.path(), seed);
    let spool = disk.mounted.join("spool");
    let mut random = seed * 2 + 1;
    let (mut acknowledged, mut refusals) = (HashMap::new(), 0);
    for kill in 0..kills {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (stored, refused) = life(&spool, random % 60_000, kill % 10 != 0);
        refusals += refused;
        for (sequence, name) in stored {
            assert_eq!(acknowledged.insert(sequence, name), None, "{sequence} was given twice");
        }
    }
    assert!(
        acknowledged.len() as u64 > kills && refusals > kills / 4,
        "{} stored, {refusals} refused",
        acknowledged.len()
    );
    disk.calm();
    // Whoever starts next closes what the last one left.
    drop(Writer::open(settings(&spool), "boot").unwrap());
    let mut reader = Reader::oldest(&spool).unwrap();
    let (mut names, mut last, mut dropped) = (HashMap::new(), 0, Vec::new());
    while let Some(entry) = reader.next().unwrap() {
        let (number, name) = (entry.record.sequence(), entry.record.id().to_owned());
        assert!(number > last, "{number} follows {last}");
        last = number;
        if entry.record.finding.category == CATEGORY_DROPPED {
            let said = |property: &str| {
                entry.record.finding.source_properties[property].as_str().unwrap().parse::<u64>().unwrap()
            };
            dropped.push(said(FIRST_SEQUENCE)..=said(LAST_SEQUENCE));
        }
        assert_eq!(names.insert(name, number), None, "a record has two numbers");
    }
    // A disk without room costs the oldest segments, and a record says which.
    let is_dropped = |number: u64| dropped.iter().any(|range| range.contains(&number));
    let mut lost: Vec<u64> = acknowledged
        .iter()
        .filter(|(number, name)| names.get(*name) != Some(number) && !is_dropped(**number))
        .map(|(number, _)| *number)
        .collect();
    lost.sort_unstable();
    assert!(lost.is_empty(), "{} acknowledged and lost: {lost:?}", lost.len());
    let kept = acknowledged.keys().filter(|number| !is_dropped(**number)).count();
    let report = verify(&spool).unwrap();
    assert!(report.breaks.is_empty(), "{:?}", report.breaks);
    eprintln!(
        "{kills} kills, {refusals} refusals of the disk: {} acknowledged, {} of them dropped for want of room, {kept} still there; {} \
         stored, {} torn, {} written twice, {} numbers unused",
        acknowledged.len(),
        acknowledged.len() - kept,
        names.len(),
        report.torn,
        report.rewritten,
        report.unused
    );
}
