//! Receivers over TCP and UDP that behave badly.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tetherd::deliver::progress::{State, Tally};
use tetherd::deliver::settings::{Confirm, Destination, Transport};

use super::ground::{Ground, destination, sequence};
use super::receiver::{Arrived, Datagram, Tcp, read_all};
use crate::common::{DEADLINE, wait_for};

/// What one break may bring again where the one before it was not long ago: what was on its way, and the margin.
pub const AGAIN_MAX: usize = 64 + 128;

fn tcp(receiver: &Tcp) -> Destination {
    destination("siem", Transport::Tcp, receiver.address())
}

#[test]
fn a_good_receiver_gets_each_record_once() {
    let mut ground = Ground::new(3000);
    let receiver = Tcp::new(|_, stream, arrived| read_all(stream, arrived));
    ground.start(&[tcp(&receiver)]);
    assert_eq!(ground.all_arrive("siem", || receiver.arrived()), 0);
    // The connection ended, and another one is made for what comes later.
    ground.append(10);
    assert_eq!(ground.all_arrive("siem", || receiver.arrived()), 0);
    ground.stop();
    assert_eq!(ground.of("siem").get(Tally::Resent), 0);
    assert_eq!(ground.of("siem").get(Tally::Sent), 3010);
    // And nothing comes again afterwards.
    ground.start(&[tcp(&receiver)]);
    ground.append(1);
    assert_eq!(ground.all_arrive("siem", || receiver.arrived()), 0);
}

#[test]
fn closes_within_a_message() {
    const BREAKS: usize = 5;
    let mut ground = Ground::new(3000);
    let receiver = Tcp::new(|number, stream, arrived| match number {
        0..BREAKS => read_all(stream.take(10_000 + 7_777 * number as u64), arrived),
        _ => read_all(stream, arrived),
    });
    ground.start(&[tcp(&receiver)]);
    let again = ground.all_arrive("siem", || receiver.arrived());
    assert!(again <= BREAKS * AGAIN_MAX, "{again}");
    assert!(ground.of("siem").get(Tally::Reconnects) >= 1);
}

/// It answers as another service would; that is read and means nothing.
#[test]
fn sends_garbage() {
    let mut ground = Ground::new(500);
    let receiver = Tcp::new(|_, mut stream, arrived| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n\0\xff");
        read_all(stream, arrived);
    });
    ground.start(&[tcp(&receiver)]);
    assert_eq!(ground.all_arrive("siem", || receiver.arrived()), 0);
}

/// It talks without an end: that is trouble, and others get theirs.
#[test]
fn talks_without_an_end() {
    let mut ground = Ground::new(50);
    let talker = Tcp::new(|_, mut stream, _| while stream.write_all(&[b'x'; 65_536]).is_ok() {});
    let good = Tcp::new(|_, stream, arrived| read_all(stream, arrived));
    ground.start(&[tcp(&talker), destination("good", Transport::Tcp, good.address())]);
    assert_eq!(ground.all_arrive("good", || good.arrived()), 0);
    let said = wait_for("the trouble", || {
        Some(ground.of("siem").situation()).filter(|situation| situation.state == State::Failing)
    });
    assert!(said.error.contains("is it the right port?"), "{said:?}");
}

/// It accepts and does not read; then its process ends, and what its kernel had acknowledged is gone with it.
#[test]
fn stands_still_and_dies() {
    let mut ground = Ground::new(3000);
    let dies = Arc::new(AtomicBool::new(false));
    let die = dies.clone();
    let receiver = Tcp::new(move |number, stream, arrived| match number {
        0 => {
            while !die.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        _ => read_all(stream, arrived),
    });
    let good = Tcp::new(|_, stream, arrived| read_all(stream, arrived));
    ground.start(&[tcp(&receiver), destination("good", Transport::Tcp, good.address())]);
    assert_eq!(ground.all_arrive("good", || good.arrived()), 0);
    wait_for("it stands still", || (ground.of("siem").on_the_way() > 0).then_some(()));
    assert_eq!((receiver.arrived().len(), ground.of("siem").done()), (0, 0));
    dies.store(true, Ordering::Relaxed);
    assert_eq!(ground.all_arrive("siem", || receiver.arrived()), 0);
}

/// It never closes: what its kernel acknowledges counts, if that is asked for.
#[test]
fn never_closes() {
    let mut ground = Ground::new(1000);
    let receiver = Tcp::new(|_, stream, arrived| {
        read_all(&stream, arrived);
        std::mem::forget(stream);
    });
    ground.start(&[Destination { confirm: Confirm::Kernel, ..tcp(&receiver) }]);
    assert_eq!(ground.all_arrive("siem", || receiver.arrived()), 0);
    ground.stop();
}

/// Nobody listens; then somebody does. The trouble is told, and over.
#[test]
fn comes_late() {
    let mut ground = Ground::new(300);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    ground.start(&[destination("siem", Transport::Tcp, &address)]);
    let situation = wait_for("the trouble", || {
        Some(ground.of("siem").situation()).filter(|situation| situation.state == State::Failing)
    });
    assert!(situation.error.starts_with("cannot be reached (Connection refused"), "{situation:?}");
    let listener = TcpListener::bind(&address).unwrap();
    let arrived = Arrived::default();
    let into = arrived.clone();
    std::thread::spawn(move || {
        listener.incoming().for_each(|stream| read_all(stream.unwrap(), &into));
    });
    assert_eq!(ground.all_arrive("siem", || arrived.lock().unwrap().clone()), 0);
    wait_for("it is over", || (ground.of("siem").situation().state == State::Idle).then_some(()));
}

/// Over UDP too a receiver that is away is noticed, where its machine says so.
#[test]
fn udp_comes_late_and_again() {
    let mut ground = Ground::new(200);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    ground.start(&[destination("siem", Transport::Udp, &address.to_string())]);
    wait_for("the trouble", || (ground.of("siem").situation().state == State::Failing).then_some(()));
    let arrived = Arrived::default();
    let read = |wanted: RangeInclusive<u64>| {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (mut buffer, mut seen) = ([0; 65_536], BTreeSet::new());
        let began = Instant::now();
        while !wanted.clone().all(|number| seen.contains(&number)) && began.elapsed() < DEADLINE {
            let Ok(length) = socket.recv(&mut buffer) else { continue };
            assert!(length <= 2048, "{length}");
            let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
            seen.insert(sequence(&message[message.find('{').unwrap()..]));
            arrived.lock().unwrap().push(message);
        }
    };
    read(1..=200);
    ground.append(1);
    wait_for("the trouble again", || (ground.of("siem").situation().state == State::Failing).then_some(()));
    let again = std::thread::scope(|scope| {
        scope.spawn(|| read(201..=201));
        ground.all_arrive("siem", || arrived.lock().unwrap().clone())
    });
    assert!(again <= 2 * AGAIN_MAX, "{again}");
}

/// Many destinations, of which most can do nothing, and each gets its own selection.
#[test]
fn each_gets_what_it_wants() {
    let mut ground = Ground::new(400);
    let path = ground.spool().join("log");
    let (all, found) = (Arrived::default(), Arrived::default());
    let _all = Datagram::new(&path, &all);
    let receiver = Tcp::new(|_, stream, arrived| read_all(stream, arrived));
    let shop = Destination {
        severity: Some("high".parse().unwrap()),
        namespaces: vec!["sh*".into()],
        categories: vec!["Execution: *".into()],
        ..tcp(&receiver)
    };
    let mut destinations = vec![shop, destination("all", Transport::DevLog, path.to_str().unwrap())];
    for n in 0..8 {
        destinations.push(destination(&format!("dead-{n}"), Transport::UnixStream, "/nowhere/at/all"));
    }
    ground.start(&destinations);
    assert_eq!(ground.all_arrive("all", || all.lock().unwrap().clone()), 0);
    wait_for("the cursor passes what is not wanted", || (ground.of("siem").done() == 400).then_some(()));
    *found.lock().unwrap() = receiver.arrived();
    let wanted = |line: &String| line.contains("\"HIGH\"") && line.contains("\"shop\"");
    let wanted = ground.lines().values().filter(|line| wanted(line)).count();
    assert!(wanted > 50);
    assert_eq!(found.lock().unwrap().len(), wanted);
    assert_eq!(ground.of("siem").get(Tally::Filtered), 400 - wanted as u64);
}
