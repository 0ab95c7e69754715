//! Where a destination begins: anew, behind its cursor, and behind a cursor or a spool that is damaged.

use std::fs;

use tetherd::deliver::progress::Tally;
use tetherd::deliver::settings::{Destination, Start, Transport};
use tetherd::spool::cursor::Cursor;

use super::ground::{Ground, destination, sequence};
use super::receiver::{Arrived, Datagram};
use crate::common::wait_for;

/// A ground with a destination that has got everything.
fn delivered(count: usize) -> (Ground, Arrived, Datagram, Destination) {
    let mut ground = Ground::new(count);
    let path = ground.spool().join("log");
    let arrived = Arrived::default();
    let receiver = Datagram::new(&path, &arrived);
    let own = destination("own", Transport::UnixDatagram, path.to_str().unwrap());
    ground.start(std::slice::from_ref(&own));
    assert_eq!(ground.all_arrive("own", || arrived.lock().unwrap().clone()), 0);
    ground.stop();
    (ground, arrived, receiver, own)
}

/// The numbers that arrive of `own` after it starts again, once it has caught up.
fn again(ground: &mut Ground, arrived: &Arrived, own: &Destination) -> Vec<u64> {
    arrived.lock().unwrap().clear();
    ground.start(std::slice::from_ref(own));
    let last = *ground.lines().keys().last().unwrap();
    wait_for("it has caught up", || {
        let progress = ground.of("own");
        (progress.done() == last && progress.on_the_way() == 0).then_some(())
    });
    ground.stop();
    let messages = arrived.lock().unwrap().clone();
    messages.iter().map(|message| sequence(&message[message.find('{').unwrap()..])).collect()
}

#[test]
fn a_new_one_begins_where_it_should() {
    let (mut ground, arrived, _receiver, own) = delivered(20);
    let newest = Destination { name: "newest".into(), start: Start::Newest, ..own.clone() };
    let oldest = Destination { name: "oldest".into(), ..own.clone() };
    arrived.lock().unwrap().clear();
    ground.start(&[newest.clone(), oldest]);
    wait_for("the oldest came", || (ground.of("oldest").done() == 20).then_some(()));
    wait_for("the newest has begun", || (ground.of("newest").done() == 20).then_some(()));
    assert_eq!(ground.of("newest").get(Tally::Sent), 0);
    ground.stop();
    // `own` was left out of the configuration: its cursor went.
    assert_eq!(Cursor::names(ground.spool()).unwrap(), ["newest", "oldest"]);
    // What comes while it does not run is sent later, although it began with the newest.
    ground.append(5);
    ground.start(&[newest]);
    wait_for("the newest has caught up", || (ground.of("newest").done() == 25).then_some(()));
    assert_eq!(ground.of("newest").get(Tally::Sent), 5);
    ground.stop();
}

#[test]
fn a_cursor_that_is_damaged() {
    let (mut ground, arrived, _receiver, own) = delivered(30);
    let cursor = ground.spool().join("cursor.own");
    let good = Cursor::load(ground.spool(), "own").unwrap().unwrap();
    assert_eq!(again(&mut ground, &arrived, &own), [] as [u64; 0]);
    let all: Vec<u64> = (1..=30).collect();
    for damage in ["", "{", "\0\0\0", "{\"position\":{\"segment\":1,\"offset\":7},\"sequence\":3}"] {
        fs::write(&cursor, damage).unwrap();
        assert_eq!(again(&mut ground, &arrived, &own), all, "{damage:?}");
        assert_eq!(Cursor::load(ground.spool(), "own").unwrap(), Some(good));
    }
}

/// Of a spool that was replaced, or after a crash that took the newest records with it.
#[test]
fn a_cursor_ahead_of_the_spool() {
    let (mut ground, arrived, _receiver, own) = delivered(30);
    let good = Cursor::load(ground.spool(), "own").unwrap().unwrap();
    let all: Vec<u64> = (1..=30).collect();
    for ahead in [
        Cursor { sequence: 31, ..good },
        Cursor { position: tetherd::spool::segment::Position { segment: 1, offset: 1 << 40 }, sequence: 99 },
        Cursor { position: tetherd::spool::segment::Position { segment: 900, offset: 77 }, sequence: 950 },
    ] {
        ahead.store(ground.spool(), "own").unwrap();
        assert_eq!(again(&mut ground, &arrived, &own), all, "{ahead:?}");
    }
}

/// What was removed is counted to the record, and the rest comes.
#[test]
fn a_segment_removed_by_hand() {
    let mut ground = Ground::new(5000);
    let mut segments: Vec<_> = fs::read_dir(ground.spool())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    segments.sort();
    assert!(segments.len() >= 3, "{segments:?}");
    let gone = fs::read_to_string(&segments[1]).unwrap().lines().count();
    fs::remove_file(&segments[1]).unwrap();
    let path = ground.spool().join("log");
    let arrived = Arrived::default();
    let _receiver = Datagram::new(&path, &arrived);
    ground.start(&[destination("own", Transport::UnixDatagram, path.to_str().unwrap())]);
    assert_eq!(ground.all_arrive("own", || arrived.lock().unwrap().clone()), 0);
    assert_eq!(ground.of("own").get(Tally::Skipped), gone as u64);
    assert_eq!(ground.stats.lost(tetherd::model::loss::Loss::DeliverySkipped), gone as u64);
    ground.stop();
}
