//! A receiver that is away, stands still or comes late, and a daemon that is restarted.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;

use nix::sys::signal::Signal;

use super::receiver::{Kind, Receiver};
use super::shells::{all_arrive, crowd, daemon, in_order, most_often, place, shell, spooled};
use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::{DEADLINE, wait_at_most};
use crate::require_receiver;

/// Shells enough that the messages about them do not fit into a stream's buffer.
const CROWD: usize = 100;
/// How many messages may come again after kill -9: those behind the last cursor.
const CURSOR_EVERY: u64 = 64;

fn away(kind: Kind) {
    let mut receiver = Receiver::new(kind);
    receiver.start();
    let place = place(&receiver, "");
    let daemon = daemon(&place);
    let mut ports = Vec::new();
    for round in 0..3 {
        let (_session, _victim, port) = shell();
        spooled(&daemon, port, "ACTIVE", 1);
        ports.push(port);
        all_arrive(&place, &receiver, &ports);
        receiver.stop();
        let missed: Vec<_> = (0..4).map(|_| shell()).collect();
        for (mut session, mut victim, port) in missed {
            spooled(&daemon, port, "ACTIVE", 1);
            session.run("/usr/bin/env");
            session.exit();
            victim.wait();
            spooled(&daemon, port, "INACTIVE", 1);
            ports.push(port);
        }
        let said = daemon.said();
        let told = said.lines().filter(|line| line.contains("cannot be reached")).count();
        assert_eq!(told, round + 1, "said once for each outage:\n{said}");
        receiver.start();
        in_order(&all_arrive(&place, &receiver, &ports));
    }
    daemon.stop();
}

#[test]
fn rsyslog_away() {
    require_receiver!(Kind::Rsyslog);
    away(Kind::Rsyslog);
}

#[test]
fn syslog_ng_datagrams_away() {
    require_receiver!(Kind::NgDatagram);
    away(Kind::NgDatagram);
}

#[test]
fn syslog_ng_stream_away() {
    require_receiver!(Kind::NgStream);
    away(Kind::NgStream);
}

/// The receiver stands still and takes nothing. Findings are stored all the same; the daemon ends and starts; and
/// when the receiver goes on, everything comes.
fn still(kind: Kind) {
    let mut receiver = Receiver::new(kind);
    receiver.start();
    let place = place(&receiver, "");
    let daemon1 = daemon(&place);
    let attacker = Listener::tcp();
    let before = crowd(&attacker, 1);
    spooled(&daemon1, attacker.port(), "ACTIVE", 1);
    all_arrive(&place, &receiver, &[attacker.port()]);
    receiver.signal(Signal::SIGSTOP);
    if kind != Kind::NgStream {
        fill(&receiver);
    }
    let sent = daemon1.count("syslog_sent");
    let shells = crowd(&attacker, CROWD);
    spooled(&daemon1, attacker.port(), "ACTIVE", 1 + CROWD);
    drop((before, shells));
    spooled(&daemon1, attacker.port(), "INACTIVE", 1 + CROWD);
    let (records, now) = (daemon1.count("records"), daemon1.count("syslog_sent"));
    assert!(now < records, "the receiver's queue was full: {now} of {records} were sent");
    assert!(kind == Kind::NgStream || now == sent, "{now} after {sent} in a full queue");
    // It ends although the receiver stands still, and the next one goes on where this one stopped.
    daemon1.stop();
    let daemon2 = daemon(&place);
    let (session, mut victim, port) = shell();
    spooled(&daemon2, port, "ACTIVE", 1);
    receiver.signal(Signal::SIGCONT);
    let arrived = all_arrive(&place, &receiver, &[attacker.port(), port]);
    // Of two connections, the receiver reads first which it likes.
    if kind != Kind::NgStream {
        in_order(&arrived);
    }
    session.exit();
    victim.wait();
    daemon2.stop();
}

/// Fills the queue of a datagram socket, which is one for all senders.
fn fill(receiver: &Receiver) {
    let socket = UnixDatagram::unbound().unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.connect(receiver.socket()).unwrap();
    let full = wait_at_most(DEADLINE, || match socket.send(b"<13>Nov 24 12:00:00 filler: x") {
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::WouldBlock => Some(()),
        Err(error) => panic!("{error}"),
    });
    assert!(full.is_some(), "the queue has no end");
}

#[test]
fn rsyslog_stands_still() {
    require_receiver!(Kind::Rsyslog);
    still(Kind::Rsyslog);
}

#[test]
fn syslog_ng_datagrams_stand_still() {
    require_receiver!(Kind::NgDatagram);
    still(Kind::NgDatagram);
}

#[test]
fn syslog_ng_stream_stands_still() {
    require_receiver!(Kind::NgStream);
    still(Kind::NgStream);
}

/// After an orderly end nothing comes again; after kill -9 at most what was sent since the cursor was written.
#[test]
fn a_restart_sends_nothing_twice_and_loses_nothing() {
    require_receiver!(Kind::Rsyslog);
    let mut receiver = Receiver::new(Kind::Rsyslog);
    receiver.start();
    let place = place(&receiver, "");
    let mut ports = Vec::new();
    let session = |daemon: &Daemon| {
        let (session, mut victim, port) = shell();
        session.exit();
        victim.wait();
        spooled(daemon, port, "INACTIVE", 1);
        port
    };
    for _ in 0..3 {
        let daemon = daemon(&place);
        ports.push(session(&daemon));
        let arrived = all_arrive(&place, &receiver, &ports);
        in_order(&arrived);
        assert_eq!(most_often(&arrived), 1, "nothing comes twice");
        daemon.stop();
    }
    let daemon1 = daemon(&place);
    ports.push(session(&daemon1));
    daemon1.kill();
    let all = place.records().iter().map(|record| record.number("Sequence")).max().unwrap();
    let daemon2 = daemon(&place);
    ports.push(session(&daemon2));
    let arrived = all_arrive(&place, &receiver, &ports);
    in_order(&arrived);
    assert!(most_often(&arrived) <= 2, "{arrived:?}");
    let mut seen = std::collections::BTreeSet::new();
    let again = receiver.messages().into_iter().map(|m| m.number("seq")).filter(|seq| !seen.insert(*seq));
    let again: Vec<u64> = again.collect();
    assert!(again.iter().all(|seq| *seq + CURSOR_EVERY > all && *seq <= all), "{again:?} of {all}");
    daemon2.stop();
}

/// No syslog at all through the lives of two daemons; then it is there.
#[test]
fn a_receiver_that_comes_at_last() {
    require_receiver!(Kind::NgDatagram);
    let mut receiver = Receiver::new(Kind::NgDatagram);
    let place = place(&receiver, "");
    let attacker = Listener::tcp();
    for round in 1..=2 {
        let daemon = daemon(&place);
        let shells = crowd(&attacker, 10);
        spooled(&daemon, attacker.port(), "ACTIVE", round * 10);
        drop(shells);
        spooled(&daemon, attacker.port(), "INACTIVE", round * 10);
        daemon.stop();
    }
    let daemon = daemon(&place);
    receiver.start();
    let arrived = all_arrive(&place, &receiver, &[attacker.port()]);
    in_order(&arrived);
    assert_eq!(most_often(&arrived), 1, "each of them once");
    daemon.stop();
}
