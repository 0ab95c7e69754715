//! Services with several clients, relays beside a command, and who hears whom.

use std::sync::Arc;

use crate::engine::ends::hears;
use crate::engine::machine::{OTHER, host, master, network, pipe, reads, slave, unix, writes};
use crate::engine::resolve::resolve;
use crate::engine::search::{Question, Reach, Trade};
use crate::host::scripted::ScriptedHost;
use crate::model::ids::{Inode, Pid};
use crate::model::relay::{Channel, Files, Flow, Relay};

/// A shell in a terminal window, the X server's other client, and how that has its connection.
fn on_a_display(trade: Trade, fd: u32, client: Trade) -> Option<u32> {
    let mut host = host(&[
        (10, 1, &[(0, slave(4)), (1, slave(4))]),
        (20, 1, &[(4, master(4)), (5, unix(51))]),
        (30, 1, &[(6, unix(52)), (7, unix(61))]),
        (40, 1, &[(8, unix(62)), (fd, network(70))]),
    ]);
    host.peers.extend([(51, 52), (52, 51), (61, 62), (62, 61)].map(|(a, b)| (Inode(a), Inode(b))));
    let trades = |relay: &Relay| match relay.process.key.pid.0 {
        30 => trade,
        40 => client,
        _ => Trade::Other,
    };
    let reach = Reach::Everybody;
    let question = Question { command: Pid(10), flow: Flow::In, through_starters: true, reach };
    resolve(question, (0, Channel::Pty(24, 4)), None, &trades, &host).map(|way| way.relay.process.key.pid.0)
}

#[test]
fn clients_of_one_service_do_not_hear_each_other() {
    assert_eq!(on_a_display(Trade::Hub, 9, Trade::Other), None);
    // What carries shells does so whatever it goes through.
    assert_eq!(on_a_display(Trade::Hub, 1, Trade::Other), Some(40));
    assert_eq!(on_a_display(Trade::Hub, 9, Trade::NetworkTool), Some(40));
    // Somebody's own program is no service.
    assert_eq!(on_a_display(Trade::Other, 9, Trade::Other), Some(40));
}

#[test]
fn only_beside() {
    let host = host(&[
        (9, 1, &[(3, network(70)), (4, reads(5))]),
        (10, 9, &[(5, network(71))]),
        (11, 10, &[(1, writes(5))]),
        (12, 10, &[(1, writes(6))]),
        (13, 10, &[(0, reads(6)), (1, network(71)), (5, network(71))]),
    ]);
    let search = |command, channel| {
        let reach = Reach::Beside;
        let question = Question { command: Pid(command), flow: Flow::Out, through_starters: false, reach };
        resolve(question, (1, pipe(channel)), None, &OTHER, &host)
    };
    assert!(search(11, 5).is_none());
    let way = search(12, 6).unwrap();
    assert_eq!((way.relay.process.key.pid, way.hops.last().unwrap().fds.clone()), (Pid(13), vec![1]));
}

/// Who hands its descriptors to another process of its name keeps them.
#[test]
fn whose_session_it_is() {
    let named = |host: &mut ScriptedHost, pid, comm: &[u8]| {
        let mut files = Files::clone(&host.files[&Pid(pid)]);
        files.comm = comm.to_vec();
        host.files.insert(Pid(pid), Arc::new(files));
    };
    let mut host = host(&[
        (10, 1, &[(1, writes(5))]),
        (20, 1, &[(0, reads(5))]),
        (25, 1, &[(0, reads(5))]),
        (30, 1, &[(3, network(70)), (7, reads(5))]),
    ]);
    for (pid, comm) in [(20, b"tee"), (25, b"ssh"), (30, b"ssh")] {
        named(&mut host, pid, comm);
    }
    let question =
        Question { command: Pid(10), flow: Flow::Out, through_starters: false, reach: Reach::Everybody };
    let way = resolve(question, (1, pipe(5)), None, &OTHER, &host).unwrap();
    assert_eq!((way.relay.process.key.pid, way.session.map(|key| key.pid)), (Pid(30), Some(Pid(25))));
}

#[test]
fn who_hears_whom() {
    let mut host = host(&[
        (10, 1, &[(63, reads(7)), (60, writes(8))]),
        (20, 10, &[(0, reads(8)), (1, writes(7)), (3, network(70))]),
        (30, 10, &[(0, unix(41)), (1, unix(41))]),
        (40, 10, &[(5, unix(42))]),
    ]);
    host.peers.extend([(Inode(41), Inode(42)), (Inode(42), Inode(41))]);
    let does = |listener, from, but: &[Channel]| {
        hears(&host.files[&Pid(listener)], &host.files[&Pid(from)], but, &host)
    };
    assert!(does(10, 20, &[]) && does(40, 30, &[]));
    assert!(!does(20, 10, &[]) && !does(40, 20, &[]) && !does(10, 30, &[]));
    // Where those in between print as well, it is no answer to anybody.
    assert!(!does(10, 20, &[pipe(7)]));
}
