//! Floods of findings: the first and the last record of each incident get in, what says no more than a later record gives
//! way, and nothing is lost without a count. No attack is run: the detections are made here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "scc/shapes.rs"]
mod shapes;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tetherd::config::Config;
use tetherd::daemon::allowance::Allowance;
use tetherd::daemon::journal::Heartbeat;
use tetherd::daemon::queue::{Giver, Taking, Work, queue};
use tetherd::daemon::record_thread::RecordThread;
use tetherd::daemon::restore::Leftovers;
use tetherd::daemon::screen::Screen;
use tetherd::daemon::status::Board;
use tetherd::deliver::News;
use tetherd::enrich::{EnrichSettings, Enricher};
use tetherd::model::detection::{Detection, Severity, State};
use tetherd::model::finding::property;
use tetherd::model::ids::FindingId;
use tetherd::model::loss::Loss;
use tetherd::spool::reader::Reader;
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::verify::verify;
use tetherd::spool::writer::Writer;
use tetherd::stats::{Count, Stats};

/// A record of an incident: its `nth` command.
fn record(incident: u32, nth: u64, state: State) -> Work {
    Work::Detection(Box::new(detection(incident, nth, state)))
}

fn detection(incident: u32, nth: u64, state: State) -> Detection {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&incident.to_be_bytes());
    Detection { id: FindingId(id), process_count: nth, state, ..shapes::blank() }
}

/// Which incident, and which of its records.
fn brief(work: &Work) -> (u8, u64) {
    match work {
        Work::Detection(detection) => (detection.id.0[3], detection.process_count),
        _ => (0, 0),
    }
}

struct Running {
    giver: Giver,
    stats: Arc<Stats>,
    board: Arc<Board>,
    thread: JoinHandle<()>,
}

fn run(directory: &Path, max_bytes: u64) -> Running {
    let mut config = Config::defaults();
    config.spool = SpoolSettings {
        directory: directory.to_owned(),
        segment_bytes: 256 << 10,
        max_bytes,
        min_free_bytes: 0,
        ..SpoolSettings::default()
    };
    let stats = Arc::new(Stats::default());
    let board = Arc::new(Board::new(&config, "boot", "node", stats.clone()));
    let (writer, opened) = Writer::open(config.spool, "boot").unwrap();
    let enricher = Enricher::new(EnrichSettings::default(), "boot".into());
    let allowance = Allowance::of(max_bytes, tetherd::sys::clock::now().mono_ns);
    let heartbeat = Heartbeat::default();
    let (giver, taker) = queue();
    let thread = RecordThread {
        writer,
        enricher,
        stats: stats.clone(),
        board: board.clone(),
        allowance,
        heartbeat,
        gap: None,
    }
    .spawn(taker, News::default(), Leftovers::default(), opened, Screen::new(true))
    .unwrap();
    Running { giver, stats, board, thread }
}

#[test]
fn first_records_go_first_and_only_the_newest_of_the_others_waits() {
    let (giver, taker) = queue();
    for nth in 1..=3 {
        for incident in 1..=3 {
            giver.give(record(incident, nth, State::Active));
        }
    }
    giver.give(record(2, 4, State::Inactive));
    giver.give(record(2, 5, State::Active));
    giver.give(record(4, 1, State::Active));
    giver.give(Work::Losses(vec![(Loss::ChannelFull, 2)]));
    giver.give(Work::Losses(vec![(Loss::ChannelFull, 3), (Loss::Vanished, 1)]));
    assert_eq!(taker.len(), (6, 3));
    let soon = || Some(Instant::now() + Duration::from_millis(1));
    let batch = taker.take(7, Taking::FirstAndLast, soon());
    let taken: Vec<_> = batch.work.iter().map(|(work, later)| (brief(work), *later)).collect();
    // Incident 2 ended and began again, so its fifth is a first.
    let first = [(1, 1), (2, 1), (3, 1), (2, 5), (4, 1), (0, 0)].map(|work| (work, false));
    assert_eq!(taken, [&first[..], &[((2, 4), true)]].concat());
    match &batch.work[5].0 {
        Work::Losses(losses) => assert_eq!(losses, &[(Loss::ChannelFull, 5), (Loss::Vanished, 1)]),
        other => panic!("{other:?}"),
    }
    assert!(taker.take(9, Taking::FirstAndLast, soon()).work.is_empty());
    let rest = taker.take(9, Taking::Everything, None);
    assert_eq!(rest.work.iter().map(|(work, _)| brief(work)).collect::<Vec<_>>(), [(1, 3), (3, 3)]);
    giver.give(record(1, 4, State::Active));
    drop(giver);
    let last = taker.take(9, Taking::FirstAndLast, None);
    assert_eq!((last.work.len(), last.over), (1, true), "at the end, everything");
}

#[test]
fn where_the_disk_refuses_nobody_waits_and_the_least_gives_way() {
    let (giver, taker) = queue();
    taker.refuse(true);
    let severe = |incident: u32, severity| {
        Work::Detection(Box::new(Detection { severity, ..detection(incident, 1, State::Active) }))
    };
    for incident in 0..1000 {
        giver.give(severe(incident, Severity::Medium));
    }
    for incident in 1000..1500 {
        giver.give(severe(incident, Severity::Critical));
    }
    assert_eq!((taker.len(), taker.lost(), taker.lost()), ((1024, 0), 476, 0));
    let batch = taker.take(2000, Taking::Everything, None);
    let severities = |wanted| {
        let of = |work: &Work| matches!(work, Work::Detection(found) if found.severity == wanted);
        batch.work.iter().filter(|(work, _)| of(work)).count()
    };
    assert_eq!((severities(Severity::Medium), severities(Severity::Critical)), (524, 500));
    // The next record of one that was lost is its first.
    giver.give(record(0, 2, State::Active));
    assert_eq!(taker.len(), (1, 0));
}

#[test]
fn hundred_thousand_findings() {
    const INCIDENTS: u32 = 1000;
    const RECORDS: u64 = 99;
    let dir = tempfile::tempdir().unwrap();
    let Running { giver, stats, thread, .. } = run(dir.path(), 1 << 30);
    let began = Instant::now();
    let givers: Vec<_> = (0..2)
        .map(|half| {
            let giver = giver.clone();
            std::thread::spawn(move || {
                // A thousand at a time are open.
                for open in (half * INCIDENTS / 2..(half + 1) * INCIDENTS / 2).collect::<Vec<_>>().chunks(500)
                {
                    for nth in 1..=RECORDS {
                        open.iter().for_each(|&incident| giver.give(record(incident, nth, State::Active)));
                    }
                    open.iter().for_each(|&incident| giver.give(record(incident, RECORDS, State::Inactive)));
                }
            })
        })
        .collect();
    givers.into_iter().for_each(|giver| giver.join().unwrap());
    drop(giver);
    thread.join().unwrap();
    let took = began.elapsed();
    let mut reader = Reader::oldest(dir.path()).unwrap();
    let (mut first, mut last) = (HashMap::new(), HashSet::new());
    while let Some(entry) = reader.next().unwrap() {
        let (id, count) = (entry.record.id().to_owned(), entry.record.number(property::PROCESS_COUNT));
        first.entry(id.clone()).or_insert(count);
        if entry.record.finding.state == State::Inactive {
            assert_eq!(count, Some(RECORDS));
            last.insert(id);
        }
    }
    assert_eq!((first.len(), last.len()), (INCIDENTS as usize, INCIDENTS as usize));
    assert!(first.values().all(|count| *count == Some(1)), "the first record of each is its first");
    let lost: u64 = Loss::ALL.iter().map(|loss| stats.lost(*loss)).sum();
    assert_eq!(lost, 0);
    assert!(verify(dir.path()).unwrap().breaks.is_empty());
    let given = u64::from(INCIDENTS) * (RECORDS + 1);
    eprintln!("{given} records of {INCIDENTS} incidents in {took:?}: {} stored", stats.get(Count::Records));
}

#[test]
fn later_records_do_not_push_out_what_is_older() {
    let dir = tempfile::tempdir().unwrap();
    let Running { giver, stats, board, thread } = run(dir.path(), 4 << 20);
    let end = Instant::now() + Duration::from_secs(60);
    let mut nth = 0;
    let held_back = || board.json().pointer("/spool/held_back").unwrap().as_u64().unwrap();
    // Until all of what is handed in waits: without a bound that would never be.
    while held_back() < 200 {
        assert!(Instant::now() < end, "{} held back, {} stored", held_back(), stats.get(Count::Records));
        nth += 1;
        (0..200).for_each(|incident| giver.give(record(incident, nth, State::Active)));
        std::thread::sleep(Duration::from_millis(2));
    }
    // A new incident is not held back, nor is the end of an old one.
    let stored = stats.get(Count::Records);
    giver.give(record(200, 1, State::Active));
    giver.give(record(0, nth, State::Inactive));
    while stats.get(Count::Records) < stored + 2 {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(giver);
    thread.join().unwrap();
    assert_eq!(stats.lost(Loss::SpoolDropped), 0);
    let newest = tetherd::spool::reader::latest_by_name(dir.path()).unwrap();
    let counts: Vec<_> =
        newest.iter().map(|record| record.number(property::PROCESS_COUNT).unwrap()).collect();
    assert_eq!(
        counts.iter().filter(|&&count| count == nth).count(),
        200,
        "the stop writes what was held back"
    );
}
