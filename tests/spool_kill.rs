//! kill -9 at random moments: nothing that was acknowledged is lost, duplicated under another name, or torn.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tetherd::model::clock::Moment;
use tetherd::model::finding::{CATEGORY_LOSS, Record};
use tetherd::spool::reader::Reader;
use tetherd::spool::record::observation;
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::verify::verify;
use tetherd::spool::writer::Writer;

const KILLS: u64 = 220;
const DIRECTORY: &str = "TETHERD_TEST_SPOOL_CHILD";

fn settings(dir: &Path) -> SpoolSettings {
    SpoolSettings {
        directory: dir.to_owned(),
        segment_bytes: 256 << 10,
        segment_hours: 24,
        max_bytes: 1 << 40,
        min_free_bytes: 0,
        max_days: 0,
        reserve_bytes: 0,
        ..SpoolSettings::default()
    }
}

/// The child: appends batches of all sizes as fast as it can, and says what was acknowledged.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let (mut writer, report) = Writer::open(settings(Path::new(&dir)), "boot").unwrap();
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nOPEN {}", report.torn).unwrap();
    let now = Moment { mono_ns: 0, wall_ns: 1_795_492_217_000_000_000 };
    for round in 0usize.. {
        let mut batch: Vec<Record> = (0..=round % 40)
            .map(|_| {
                let padding = "x".repeat((round * 797) % 9000);
                let properties = BTreeMap::from([("Filler".to_owned(), padding.into())]);
                observation(CATEGORY_LOSS, "a test", properties, now, "boot")
            })
            .collect();
        writer.append(&mut batch).unwrap();
        let acknowledged: String =
            batch.iter().map(|r| format!("ACK {} {}\n", r.sequence(), r.id())).collect();
        out.write_all(acknowledged.as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(u64, String)> = Vec::new();
    let mut torn = 0;
    // Any spread of moments will do; a fixed seed makes a failure easier to come back to.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    // A slow disk takes more children to say something.
    for kill in 0..10 * KILLS {
        if kill >= KILLS && acknowledged.len() > 1000 {
            break;
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Every tenth child dies while it starts or recovers, the others after they have opened the spool.
        let mut line = String::new();
        while kill % 10 != 0 && !line.starts_with("OPEN") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "the child ended by itself");
        }
        torn += line.strip_prefix("OPEN ").map_or(0, |count| count.trim().parse::<u64>().unwrap());
        let reading = std::thread::spawn(move || {
            output.lines().map_while(Result::ok).filter(|line| line.starts_with("ACK ")).collect::<Vec<_>>()
        });
        std::thread::sleep(Duration::from_micros(random % 30_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut lines = reading.join().unwrap();
        // The last line may be cut: then its acknowledgement was not given in full.
        if lines.last().is_some_and(|line| line.len() < 36 || line.rsplit(' ').next().unwrap().len() != 32) {
            lines.pop();
        }
        acknowledged.extend(lines.iter().map(|line| {
            let mut words = line.split(' ').skip(1);
            (words.next().unwrap().parse().unwrap(), words.next().unwrap().to_owned())
        }));
    }
    assert!(acknowledged.len() > 1000, "only {} acknowledged", acknowledged.len());
    let mut reader = Reader::oldest(dir.path()).unwrap();
    let (mut stored, mut names, mut last) = (HashSet::new(), HashSet::new(), 0);
    while let Some(entry) = reader.next().unwrap() {
        let number = entry.record.sequence();
        assert!(number > last, "{number} follows {last}");
        last = number;
        assert!(names.insert(entry.record.id().to_owned()), "{} stands twice", entry.record.id());
        stored.insert((number, entry.record.id().to_owned()));
    }
    let lost: Vec<_> = acknowledged.iter().filter(|record| !stored.contains(*record)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let report = verify(dir.path()).unwrap();
    assert!(report.breaks.is_empty(), "{:?}", report.breaks);
    eprintln!(
        "at least {KILLS} kills: {} acknowledged, {} stored, {torn} torn tails",
        acknowledged.len(),
        stored.len()
    );
}
