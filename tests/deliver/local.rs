//! Receivers on UNIX sockets that end with messages unread.

use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::{Duration, Instant};

use tetherd::deliver::progress::{State, Tally};
use tetherd::deliver::settings::Transport;

use super::ground::{Ground, destination};
use super::receiver::{Arrived, Datagram, read_lines};
use crate::common::wait_for;

/// Datagrams that were queued and not read are gone with the receiver, whether another one comes at once or later.
fn dies_with_its_queue(transport: Transport, at_once: bool) {
    let mut ground = Ground::new(1000);
    let path = ground.spool().join("log");
    let deaf = UnixDatagram::bind(&path).unwrap();
    ground.start(&[destination("local", transport, path.to_str().unwrap())]);
    wait_for("its queue fills", || (ground.of("local").on_the_way() > 1).then_some(()));
    assert_eq!(ground.of("local").done(), 0, "nothing was read yet");
    drop(deaf);
    if !at_once {
        wait_for("the trouble", || (ground.of("local").situation().state == State::Failing).then_some(()));
    }
    let arrived = Arrived::default();
    let receiver = Datagram::new(&path, &arrived);
    assert_eq!(ground.all_arrive("local", || arrived.lock().unwrap().clone()), 0);
    ground.stop();
    drop(receiver);
}

#[test]
fn datagrams_unread_come_again() {
    dies_with_its_queue(Transport::DevLog, false);
    dies_with_its_queue(Transport::UnixDatagram, true);
}

/// The same on streams, with a break within a message.
#[test]
fn lines_unread_come_again() {
    let mut ground = Ground::new(1000);
    let path = ground.spool().join("log");
    let listener = UnixListener::bind(&path).unwrap();
    let arrived = Arrived::default();
    ground.start(&[destination("local", Transport::UnixStream, path.to_str().unwrap())]);
    // Some are read, and behind them the buffers fill.
    read_lines(&listener, &arrived, 100);
    let (stream, _) = listener.accept().unwrap();
    wait_for("the buffers fill", || (ground.of("local").on_the_way() > 20).then_some(()));
    drop(stream);
    let into = arrived.clone();
    let reader = std::thread::spawn(move || read_lines(&listener, &into, usize::MAX));
    let again = ground.all_arrive("local", || arrived.lock().unwrap().clone());
    assert!(again <= 100, "{again}");
    ground.stop();
    reader.join().unwrap();
}

/// A receiver of a local syslog's socket that takes streams.
#[test]
fn a_stream_in_place_of_dev_log() {
    let mut ground = Ground::new(10);
    let path = ground.spool().join("log");
    let listener = UnixListener::bind(&path).unwrap();
    let arrived = Arrived::default();
    let into = arrived.clone();
    let reader = std::thread::spawn(move || read_lines(&listener, &into, usize::MAX));
    ground.start(&[destination("local", Transport::DevLog, path.to_str().unwrap())]);
    assert_eq!(ground.all_arrive("local", || arrived.lock().unwrap().clone()), 0);
    let messages = arrived.lock().unwrap().clone();
    assert!(messages.iter().all(|message| message.contains(" tetherd[") && message.contains("]: @cee: {")));
    ground.stop();
    reader.join().unwrap();
}

/// Nobody accepts, or nobody reads: stopping takes about a second all the same.
#[test]
fn stopping_waits_for_nobody() {
    let mut ground = Ground::new(500);
    let at = |name: &str| ground.spool().join(name);
    let (_deaf, _slow) = (UnixDatagram::bind(at("deaf")).unwrap(), UnixListener::bind(at("slow")).unwrap());
    let of = |name: &str, transport| destination(name, transport, at(name).to_str().unwrap());
    let destinations = [
        of("deaf", Transport::UnixDatagram),
        of("slow", Transport::UnixStream),
        destination("nowhere", Transport::Tcp, "203.0.113.1:9"),
    ];
    ground.start(&destinations);
    wait_for("they stand still", || {
        ["deaf", "slow"].iter().all(|name| ground.of(name).on_the_way() > 1).then_some(())
    });
    let began = Instant::now();
    ground.stop();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(ground.of("deaf").get(Tally::Resent), 0);
}
