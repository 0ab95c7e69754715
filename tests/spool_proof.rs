//! What `verify` says of each kind of damage: the first break, and what lies around it; and what signed checkpoints prove.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "spool/ground.rs"]
mod ground;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ground::{edit, nine, open, path, records, segments, settings};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tetherd::config::Config;
use tetherd::daemon::allowance::Allowance;
use tetherd::daemon::journal::Heartbeat;
use tetherd::daemon::queue::queue;
use tetherd::daemon::record_thread::RecordThread;
use tetherd::daemon::restore::Leftovers;
use tetherd::daemon::screen::Screen;
use tetherd::daemon::status::Board;
use tetherd::deliver::News;
use tetherd::enrich::{EnrichSettings, Enricher};
use tetherd::model::finding::{CATEGORY_CHECKPOINT, CATEGORY_HEARTBEAT, CATEGORY_SEGMENT, CATEGORY_STOPPED};
use tetherd::spool::cursor::Cursor;
use tetherd::spool::ending::ending;
use tetherd::spool::key::{PublicKey, Signer};
use tetherd::spool::reader::Reader;
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::verify::{Kind, Report, verify, verify_with};
use tetherd::spool::writer::Writer;
use tetherd::stats::Stats;

/// What is expected of a damaged spool of nine records in the segments 1, 4 and 7: all kinds of break in order, and of the
/// first one segment, line, number, and the numbers on both sides (0: none).
struct Case {
    what: &'static str,
    damage: fn(&Path),
    kinds: &'static [Kind],
    first: (u64, u64, u64, u64, u64),
}

const CASES: &[Case] = &[
    Case {
        what: "a line edited",
        damage: |dir| edit(dir, 4, |lines| lines[1] = lines[1].replace("a test", "a rest")),
        kinds: &[Kind::ChangedLine],
        first: (4, 2, 5, 5, 6),
    },
    Case {
        what: "the last line of a segment edited",
        damage: |dir| edit(dir, 4, |lines| lines[2] = lines[2].replace("a test", "a rest")),
        kinds: &[Kind::ChangedLine],
        first: (4, 3, 6, 6, 7),
    },
    Case {
        what: "a line deleted",
        damage: |dir| edit(dir, 4, |lines| drop(lines.remove(1))),
        kinds: &[Kind::MissingLines],
        first: (4, 2, 5, 4, 6),
    },
    Case {
        what: "a segment removed by hand",
        damage: |dir| fs::remove_file(path(dir, 4)).unwrap(),
        kinds: &[Kind::MissingSegment],
        first: (7, 1, 4, 3, 7),
    },
    Case {
        what: "the newest segment removed by hand",
        damage: |dir| fs::remove_file(path(dir, 7)).unwrap(),
        kinds: &[Kind::CutOff],
        first: (4, 4, 7, 6, 0),
    },
    Case {
        what: "lines swapped",
        damage: |dir| edit(dir, 4, |lines| lines.swap(1, 2)),
        kinds: &[Kind::Order],
        first: (4, 3, 5, 6, 5),
    },
    Case {
        what: "the first lines of a segment swapped",
        damage: |dir| edit(dir, 4, |lines| lines.swap(0, 1)),
        kinds: &[Kind::Renamed, Kind::Order],
        first: (4, 1, 5, 3, 5),
    },
    Case {
        what: "the tail cut off between lines, after a clean stop",
        damage: |dir| edit(dir, 7, |lines| lines.truncate(2)),
        kinds: &[Kind::CutOff],
        first: (7, 3, 9, 8, 0),
    },
    Case {
        what: "the tail cut off within a line, after a clean stop",
        damage: |dir| {
            let whole = fs::read(path(dir, 7)).unwrap();
            fs::write(path(dir, 7), &whole[..whole.len() - 300]).unwrap();
        },
        kinds: &[Kind::CutOff],
        first: (7, 3, 9, 8, 0),
    },
    Case {
        what: "the tail cut off after a kill, of what a destination has had",
        damage: |dir| {
            fs::remove_file(dir.join("sequence")).unwrap();
            Cursor { sequence: 8, ..Cursor::default() }.store(dir, "siem").unwrap();
            edit(dir, 7, |lines| lines.truncate(1));
        },
        kinds: &[Kind::CutOff],
        first: (7, 2, 8, 7, 0),
    },
    Case {
        what: "another record under a number that is taken",
        damage: |dir| edit(dir, 4, |lines| lines.insert(2, lines[1].replace("a test", "a rest"))),
        kinds: &[Kind::TwoContents],
        first: (4, 3, 5, 5, 5),
    },
    Case {
        what: "a line once more",
        damage: |dir| edit(dir, 4, |lines| lines.insert(3, lines[0].clone())),
        kinds: &[Kind::Order],
        first: (4, 4, 4, 6, 4),
    },
    Case {
        what: "something else put in",
        damage: |dir| edit(dir, 4, |lines| lines.insert(1, "(nothing)".into())),
        kinds: &[Kind::NoRecord],
        first: (4, 2, 0, 4, 0),
    },
    Case {
        what: "a line blanked out",
        damage: |dir| edit(dir, 4, |lines| lines[1] = " ".repeat(lines[1].len())),
        kinds: &[Kind::NoRecord, Kind::MissingLines],
        first: (4, 2, 0, 4, 0),
    },
    Case {
        what: "a segment renamed",
        damage: |dir| fs::rename(path(dir, 4), path(dir, 5)).unwrap(),
        kinds: &[Kind::Renamed],
        first: (5, 1, 4, 3, 4),
    },
    Case {
        what: "much at once",
        damage: |dir| {
            edit(dir, 1, |lines| lines[0] = lines[0].replace("a test", "a rest"));
            edit(dir, 4, |lines| drop(lines.remove(1)));
            edit(dir, 7, |lines| lines.truncate(2));
        },
        kinds: &[Kind::ChangedLine, Kind::MissingLines, Kind::CutOff],
        first: (1, 1, 1, 1, 2),
    },
];

#[test]
fn the_first_break_is_named_and_the_rest_is_counted() {
    for Case { what, damage, kinds, first } in CASES {
        let dir = tempfile::tempdir().unwrap();
        let written = nine(dir.path());
        damage(dir.path());
        let report = verify(dir.path()).unwrap();
        let found: Vec<Kind> = report.breaks.iter().map(|found| found.kind).collect();
        assert_eq!(found, *kinds, "{what}: {report:?}");
        assert_eq!(report.broken(), kinds.len() as u64);
        assert_eq!(report.kinds.values().sum::<u64>(), kinds.len() as u64);
        let found = &report.breaks[0];
        let number =
            |side: &Option<tetherd::spool::verify::Side>| side.as_ref().map_or(0, |side| side.sequence);
        let told = (
            found.place.position.segment,
            found.place.line,
            found.sequence,
            number(&found.before),
            number(&found.after),
        );
        assert_eq!(told, *first, "{what}: {found:?}");
        for side in found.before.iter().chain(&found.after) {
            let record = &written[usize::try_from(side.sequence).unwrap() - 1];
            assert_eq!(
                (&side.name, &side.time),
                (&record.finding.name, &record.finding.create_time),
                "{what}"
            );
        }
    }
}

#[test]
fn what_is_in_order_is_no_break() {
    // Restarts, a torn tail, a drop by retention, over and over.
    let dir = tempfile::tempdir().unwrap();
    let small = || SpoolSettings { max_bytes: 20_000, ..settings(dir.path()) };
    for round in 0..8 {
        let (mut writer, _) = Writer::open(small(), "boot").unwrap();
        for _ in 0..3 {
            writer.append(&mut records(2)).unwrap();
        }
        drop(writer);
        if round % 2 == 0 {
            let newest = path(dir.path(), *segments(dir.path()).last().unwrap());
            let torn = [fs::read(&newest).unwrap(), b"{\"finding\":{\"na".to_vec()].concat();
            fs::write(newest, torn).unwrap();
        }
        let report = verify(dir.path()).unwrap();
        assert!(report.breaks.is_empty(), "round {round}: {report:?}");
    }
    let report = verify(dir.path()).unwrap();
    assert!(report.before_first > 0 && report.dropped_recorded > 0, "{report:?}");
    assert!(report.torn > 0 && report.torn == report.torn_lines.len() as u64);
    let torn = report.torn_lines[0];
    assert!(torn.after > 0 && torn.place.line > 1, "{torn:?}");
}

/// Without a clean stop, a cursor or a checkpoint nobody can know of what was cut off: docs/spool.md says so.
#[test]
fn a_tail_that_nobody_knew_of_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    nine(dir.path());
    fs::remove_file(dir.path().join("sequence")).unwrap();
    edit(dir.path(), 7, |lines| lines.truncate(1));
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.broken(), report.last), (0, 7));
}

/// A line of a later version, with this place in the chain.
fn newer(sequence: u64, before: &str) -> String {
    let previous = hash(before);
    format!(
        r#"{{"finding":{{"name":"x/findings/{sequence:032x}","colour":{{"hue":7}},"sourceProperties":{{"Sequence":"{sequence}","Previous_Record_Sha256":"{previous}","Schema_Version":"2","New":[[]]}}}},"planet":3}}"#
    )
}

fn hash(line: &str) -> String {
    Sha256::digest(line).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_newer_version_is_followed_and_not_understood() {
    let dir = tempfile::tempdir().unwrap();
    nine(dir.path());
    let text = fs::read_to_string(path(dir.path(), 7)).unwrap();
    let ten = newer(10, text.lines().last().unwrap());
    let eleven = newer(11, &ten);
    fs::write(path(dir.path(), 10), format!("{ten}\n{eleven}\n{}\n", newer(12, &eleven))).unwrap();
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.broken(), report.newer, report.records, report.last), (0, 3, 12, 12), "{report:?}");
    // This version's writer takes none of their numbers, and a reader passes over them.
    let (mut writer, opened) = open(dir.path());
    assert_eq!(opened.damaged, 3);
    writer.append(&mut records(1)).unwrap();
    let mut reader = Reader::oldest(dir.path()).unwrap();
    let numbers: Vec<u64> =
        std::iter::from_fn(|| reader.next().unwrap()).map(|e| e.record.sequence()).collect();
    assert_eq!((numbers.len(), numbers[9], reader.damaged()), (10, 13, 3));
    drop(writer);
    assert_eq!(verify(dir.path()).unwrap().broken(), 0, "its chain goes on");
    // A change in one of them is seen.
    edit(dir.path(), 10, |lines| lines[1] = lines[1].replace("\"hue\":7", "\"hue\":8"));
    let report = verify(dir.path()).unwrap();
    let found = &report.breaks[0];
    assert_eq!((found.kind, found.place.line, found.sequence), (Kind::ChangedLine, 2, 11), "{report:?}");
    // A form in which not even numbers are known.
    edit(dir.path(), 10, |lines| lines[1] = "TETHERD3 0x17".into());
    assert_eq!(verify(dir.path()).unwrap().breaks[0].kind, Kind::NoRecord);
}

/// Nine records and two checkpoints in one segment: 1 to 5, checkpoint 6, 7 to 9, checkpoint 10, 11.
fn signed(dir: &Path) -> PublicKey {
    let wide = SpoolSettings { segment_bytes: 1 << 20, ..settings(dir) };
    let (mut writer, _) = Writer::open(wide, "boot").unwrap();
    let (signer, _) = Signer::open_or_make(&dir.join("key")).unwrap();
    let key = signer.public();
    writer.sign_with(signer);
    for count in [5, 3] {
        writer.append(&mut records(count)).unwrap();
        writer.checkpoint().unwrap();
        writer.checkpoint().unwrap();
    }
    writer.append(&mut records(1)).unwrap();
    assert_eq!(writer.last_checkpoint(), 10, "nothing new is not signed again");
    key
}

fn told(report: &Report) -> (u64, u64, u64, u64, u64) {
    let vouched = &report.vouched;
    let last = vouched.last.as_ref().map_or(0, |side| side.sequence);
    (vouched.checkpoints, vouched.good, vouched.from, last, vouched.beyond)
}

/// Writes all lines anew from one on, with a chain that holds: what somebody does who may write the spool.
fn forge(dir: &Path, from: u64, change: impl Fn(&mut Value) -> bool) {
    let mut previous = String::new();
    for first in segments(dir) {
        let mut lines = Vec::new();
        for line in fs::read_to_string(path(dir, first)).unwrap().lines() {
            let mut record: Value = serde_json::from_str(line).unwrap();
            let properties = &record["finding"]["sourceProperties"];
            let number: u64 = properties["Sequence"].as_str().unwrap().parse().unwrap();
            if number < from {
                previous = hash(line);
                lines.push(line.to_owned());
                continue;
            }
            if !change(&mut record) {
                continue;
            }
            record["finding"]["sourceProperties"]["Previous_Record_Sha256"] = previous.clone().into();
            let line = record.to_string();
            previous = hash(&line);
            lines.push(line);
        }
        fs::write(path(dir, first), lines.iter().map(|line| format!("{line}\n")).collect::<String>())
            .unwrap();
    }
}

fn rest(record: &mut Value) -> bool {
    let description = record["finding"]["description"].as_str().unwrap().replace("a test", "a rest");
    record["finding"]["description"] = description.into();
    true
}

#[test]
fn checkpoints_vouch_for_what_is_before_them() {
    let dir = tempfile::tempdir().unwrap();
    let key = signed(dir.path());
    let report = verify_with(dir.path(), &[key]).unwrap();
    assert_eq!((report.broken(), told(&report)), (0, (2, 2, 1, 10, 1)), "{report:?}");
    assert_eq!(told(&verify(dir.path()).unwrap()), (2, 0, 0, 0, 11), "without a key nothing is vouched for");

    // A removal is a break of the chain: only what is behind it is vouched for by the last checkpoint.
    let whole = fs::read(path(dir.path(), 1)).unwrap();
    edit(dir.path(), 1, |lines| drop(lines.remove(7)));
    let report = verify_with(dir.path(), &[key]).unwrap();
    assert_eq!((report.broken(), told(&report)), (1, (2, 2, 9, 10, 1)), "{report:?}");
    fs::write(path(dir.path(), 1), whole).unwrap();

    // Somebody else's key.
    let other = tempfile::tempdir().unwrap();
    let stranger = Signer::open_or_make(&other.path().join("key")).unwrap().0.public();
    let report = verify_with(dir.path(), &[stranger]).unwrap();
    assert_eq!((report.kinds[&Kind::Signature], told(&report)), (2, (2, 0, 0, 0, 11)));
    assert_eq!(told(&verify_with(dir.path(), &[stranger, key]).unwrap()), (2, 2, 1, 10, 1));
}

#[test]
fn a_chain_written_anew_is_seen_up_to_the_last_checkpoint() {
    let made = || {
        let dir = tempfile::tempdir().unwrap();
        let key = signed(dir.path());
        (dir, key)
    };
    // From record 8 on, behind checkpoint 6: the chain holds, the signature of checkpoint 10 does not.
    let (dir, key) = made();
    forge(dir.path(), 8, rest);
    assert!(verify(dir.path()).unwrap().breaks.is_empty(), "the chain alone shows nothing");
    let report = verify_with(dir.path(), &[key]).unwrap();
    assert_eq!((report.breaks[0].kind, report.breaks[0].sequence), (Kind::Signature, 10), "{report:?}");
    assert_eq!(told(&report), (2, 1, 1, 6, 5));

    // Behind the last checkpoint it cannot be seen, and that is said: one record is beyond.
    let (dir, key) = made();
    forge(dir.path(), 11, rest);
    let report = verify_with(dir.path(), &[key]).unwrap();
    assert_eq!((report.broken(), told(&report)), (0, (2, 2, 1, 10, 1)));

    // A checkpoint moved to another place proves nothing there.
    let (dir, key) = made();
    forge(dir.path(), 1, |record| {
        if record["finding"]["category"] == CATEGORY_CHECKPOINT {
            record["finding"]["createTime"] = "2030-01-01T00:00:00.000000000Z".into();
        }
        true
    });
    let report = verify_with(dir.path(), &[key]).unwrap();
    assert_eq!((report.kinds[&Kind::Signature], report.vouched.last), (2, None));
}

#[test]
fn checkpoints_come_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let wide = SpoolSettings { segment_bytes: 1 << 30, ..settings(dir.path()) };
    let (mut writer, _) = Writer::open(wide, "boot").unwrap();
    writer.append(&mut records(1000)).unwrap();
    assert_eq!(writer.last_checkpoint(), 0, "without a key");
    writer.sign_with(Signer::open_or_make(&dir.path().join("key")).unwrap().0);
    writer.append(&mut records(1)).unwrap();
    assert_eq!(writer.last_checkpoint(), 1002, "what was not signed until then is due");
    writer.append(&mut records(999)).unwrap();
    assert_eq!(writer.last_checkpoint(), 1002);
    writer.append(&mut records(1)).unwrap();
    assert_eq!(writer.last_checkpoint(), 2003);
}

#[test]
fn how_the_last_run_ended() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    drop(open(dir));
    assert_eq!(ending(dir).unwrap().sequence, 0);
    let (mut writer, _) = open(dir);
    writer.sign_with(Signer::open_or_make(&dir.join("key")).unwrap().0);
    writer.append(&mut records(4)).unwrap();
    let end = ending(dir).unwrap();
    assert_eq!((end.sequence, end.clean, end.boot_id.as_str()), (4, false, "boot"));
    assert_eq!(end.time, "2096-10-02T07:06:40.000000000Z");
    let mut stop = records(2);
    for record in &mut stop {
        record.finding.category = CATEGORY_STOPPED.into();
    }
    // The stop is the last of a segment, its checkpoint the first of the next.
    writer.append(&mut stop).unwrap();
    writer.checkpoint().unwrap();
    drop(writer);
    assert_eq!(segments(dir), [1, 4, 7]);
    let end = ending(dir).unwrap();
    assert_eq!((end.sequence, end.clean), (7, true));
    // A torn line behind it was written by somebody.
    let torn = [fs::read(path(dir, 7)).unwrap(), b"{\"fin".to_vec()].concat();
    fs::write(path(dir, 7), torn).unwrap();
    drop(open(dir));
    let end = ending(dir).unwrap();
    assert_eq!((end.sequence, end.clean), (7, false));
}

/// Heartbeats come from the thread that records, each time with another record in front where a segment begins.
#[test]
fn a_heartbeat_never_begins_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::defaults();
    config.spool = SpoolSettings {
        directory: dir.path().to_owned(),
        segment_bytes: 64 << 10,
        min_free_bytes: 0,
        reserve_bytes: 0,
        ..SpoolSettings::default()
    };
    let stats = Arc::new(Stats::default());
    let board = Arc::new(Board::new(&config, "boot", "node", stats.clone()));
    let (writer, opened) = Writer::open(config.spool, "boot").unwrap();
    let enricher = Enricher::new(EnrichSettings::default(), "boot".into());
    let now = tetherd::sys::clock::now();
    let (allowance, heartbeat) = (Allowance::of(1 << 30, now.mono_ns), Heartbeat::every(100_000, now));
    let (giver, taker) = queue();
    let thread = RecordThread { writer, enricher, stats, board, allowance, heartbeat, gap: None }
        .spawn(taker, News::default(), Leftovers::default(), opened, Screen::new(true))
        .unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while segments(dir.path()).len() < 4 {
        assert!(Instant::now() < end, "heartbeats fill no segments");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(giver);
    thread.join().unwrap();
    assert!(verify(dir.path()).unwrap().breaks.is_empty());
    for first in segments(dir.path()) {
        let text = fs::read_to_string(path(dir.path(), first)).unwrap();
        let category = |line: &str| {
            let record: Value = serde_json::from_str(line).unwrap();
            record["finding"]["category"].as_str().unwrap().to_owned()
        };
        let all: Vec<String> = text.lines().map(category).collect();
        assert_eq!(all[0], CATEGORY_SEGMENT);
        assert!(all[1..].iter().all(|category| category == CATEGORY_HEARTBEAT), "{all:?}");
    }
}
