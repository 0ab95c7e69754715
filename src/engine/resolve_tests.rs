//! Searches, replayed from scripts.

use super::*;
use crate::engine::machine::*;
use crate::host::scripted::ScriptedHost;
use crate::model::ids::{Inode, StartTime};
use crate::model::socket::Socket;

fn ask(
    host: &ScriptedHost,
    command: u32,
    fd: u32,
    flow: Flow,
    through_starters: bool,
) -> Option<(u32, usize)> {
    let question = Question { command: Pid(command), flow, through_starters, reach: Reach::Everybody };
    let files = host.files.get(&Pid(command)).unwrap().clone();
    let channel = files.list.iter().find_map(|file| match file.kind {
        FileKind::Channel(channel, _) if file.fd == fd => Some(channel),
        _ => None,
    })?;
    let way = resolve(question, (fd, channel), None, &OTHER, host)?;
    assert_eq!(way.hops.last().map(|hop| hop.process.pid), Some(way.relay.process.key.pid));
    Some((way.relay.process.key.pid.0, way.hops.len()))
}

#[test]
fn a_fifo_and_netcat() {
    // mkfifo f; sh <f 2>&1 | nc >f
    let host = host(&[
        (10, 1, &[]),
        (11, 10, &[(0, reads(5)), (1, writes(6)), (2, writes(6))]),
        (12, 10, &[(0, reads(6)), (1, writes(5)), (3, network(70))]),
    ]);
    assert_eq!(ask(&host, 11, 0, Flow::In, false), Some((12, 3)));
    assert_eq!(ask(&host, 11, 1, Flow::Out, false), Some((12, 3)));
}

#[test]
fn filters_and_a_terminal_in_between() {
    let host = host(&[
        (10, 1, &[(3, network(70)), (4, master(2))]),
        (11, 1, &[(0, slave(2)), (1, writes(8))]),
        (12, 1, &[(0, reads(8)), (1, writes(9))]),
        (13, 1, &[(0, reads(9))]),
    ]);
    assert_eq!(ask(&host, 13, 0, Flow::In, false), Some((10, 7)));
    assert_eq!(ask(&host, 11, 0, Flow::In, false), Some((10, 3)));
    assert_eq!(ask(&host, 11, 1, Flow::Out, false), None, "nothing of it goes to the network");
}

#[test]
fn both_sides_of_a_pair() {
    let mut host =
        host(&[(10, 1, &[(5, unix(2)), (7, network(70))]), (11, 10, &[(0, unix(1)), (1, unix(1))])]);
    assert_eq!(ask(&host, 11, 0, Flow::In, false), None, "the peer is not known");
    host.peers.insert(Inode(1), Inode(2));
    assert_eq!(ask(&host, 11, 1, Flow::Out, false), Some((10, 3)));
}

#[test]
fn what_a_program_started_for_itself_is_no_relay() {
    // git starts ssh and talks to it through pipes; its other child's output goes to git.
    let host = host(&[
        (10, 1, &[(0, slave(1)), (4, writes(21)), (5, reads(22)), (6, reads(31))]),
        (11, 10, &[(0, reads(21)), (1, writes(22)), (3, network(70))]),
        (12, 10, &[(0, reads(22)), (1, writes(31))]),
    ]);
    assert_eq!(ask(&host, 12, 0, Flow::In, false), Some((11, 3)), "one direction is there");
    assert_eq!(ask(&host, 12, 1, Flow::Out, false), None, "the other is git's own doing");
    assert_eq!(ask(&host, 12, 1, Flow::Out, true), Some((11, 5)));
    assert_eq!(ask(&host, 10, 4, Flow::Out, false), None, "a command's own child is not its relay");
    assert_eq!(
        ask(&host, 10, 4, Flow::Out, true),
        Some((11, 3)),
        "unless it is a shell that waits for commands"
    );
}

#[test]
fn loops_end() {
    let host = host(&[
        (10, 1, &[(0, reads(1)), (1, writes(2))]),
        (11, 1, &[(0, reads(2)), (1, writes(1))]),
        (12, 1, &[(0, reads(1)), (1, writes(1))]),
    ]);
    assert_eq!(ask(&host, 10, 0, Flow::In, true), None);
}

#[test]
fn the_chain_is_bounded() {
    let mut chain = vec![(10, 1, vec![(0, reads(100))])];
    for i in 0..20u64 {
        let pid = 11 + u32::try_from(i).unwrap();
        chain.push((pid, 1, vec![(1, writes(100 + i)), (0, reads(101 + i))]));
    }
    chain.push((98, 1, vec![(1, writes(110)), (3, network(71))]));
    chain.push((99, 1, vec![(1, writes(104)), (3, network(70))]));
    let long: Vec<Process<'_>> = chain.iter().map(|(a, b, c)| (*a, *b, c.as_slice())).collect();
    let mut far = host(&long);
    assert_eq!(ask(&far, 10, 0, Flow::In, false), Some((99, 11)), "five pipes");
    far.files.remove(&Pid(99));
    assert!(ask(&far, 10, 0, Flow::In, false).is_none(), "more pipes than are followed");
}

#[test]
fn a_listener_is_no_relay() {
    let FileKind::Network { socket, .. } = network(70) else { panic!() };
    let listener = FileKind::network(Socket { listening: true, ..Socket::clone(&socket) });
    let host = host(&[(10, 1, &[(3, listener), (4, writes(5))]), (11, 10, &[(0, reads(5))])]);
    assert_eq!(ask(&host, 11, 0, Flow::In, false), None);
}

/// A command that has gone, with its channel or without.
fn ask_gone(host: &ScriptedHost, parent: u32, flow: Flow) -> Option<Way> {
    let key = ProcessKey { pid: Pid(50), start: StartTime(50) };
    let known = Files { key, comm: b"id".to_vec(), parent: Pid(parent), list: Vec::new(), complete: false };
    let question = Question { command: Pid(50), flow, through_starters: false, reach: Reach::Everybody };
    let known = Known { command: &Arc::new(known), lineage: &Lineage::default() };
    resolve(question, (1, pipe(7)), Some(known), &OTHER, host)
}

#[test]
fn a_command_that_has_gone() {
    // Its parent still reads what it printed.
    let open = host(&[(10, 1, &[(3, network(70)), (4, reads(7))])]);
    let way = ask_gone(&open, 10, Flow::Out).unwrap();
    assert_eq!((way.relay.process.key.pid, way.hops.len(), way.closed), (Pid(10), 3, false));
    // It has read all and closed the pipe.
    let shut = host(&[(10, 1, &[(3, network(70)), (4, reads(8))])]);
    let way = ask_gone(&shut, 10, Flow::Out).unwrap();
    assert_eq!((way.relay.process.key.pid, way.hops.len(), way.closed), (Pid(10), 2, true));
    assert!(ask_gone(&shut, 10, Flow::In).is_none(), "where its input came from cannot be told");
    // What the parent prints to as well was not made for the command, and a parent without a socket is no relay.
    let own = host(&[(10, 1, &[(1, writes(7)), (3, network(70))])]);
    assert!(ask_gone(&own, 10, Flow::Out).is_none());
    assert!(ask_gone(&host(&[(10, 1, &[])]), 10, Flow::Out).is_none());
    // Another process has its id by now.
    let other = host(&[(10, 1, &[(3, network(70)), (4, reads(7))]), (50, 1, &[(1, writes(9))])]);
    let mut reused = other.clone();
    reused.files.insert(Pid(50), {
        let mut files = Files::clone(&other.files[&Pid(50)]);
        files.key.start = StartTime(99);
        Arc::new(files)
    });
    assert_eq!(ask_gone(&reused, 10, Flow::Out).map(|way| way.relay.process.key.pid), Some(Pid(10)));
}

#[test]
fn only_above() {
    let host = host(&[
        (9, 1, &[(3, network(70)), (4, reads(5))]),
        (10, 9, &[]),
        (11, 10, &[(1, writes(5))]),
        (12, 10, &[(1, writes(6))]),
        (13, 10, &[(0, reads(6)), (3, network(71))]),
    ]);
    let search = |command, channel, above| {
        let reach = if above { Reach::Above } else { Reach::Everybody };
        let question = Question { command: Pid(command), flow: Flow::Out, through_starters: false, reach };
        resolve(question, (1, pipe(channel)), None, &OTHER, &host).map(|way| way.relay.process.key.pid.0)
    };
    assert_eq!((search(11, 5, true), search(11, 5, false)), (Some(9), Some(9)));
    assert_eq!((search(12, 6, true), search(12, 6, false)), (None, Some(13)));
}

/// A machine that changes while it is asked: `change` comes before the nth question for open files.
struct Changing<F> {
    now: std::cell::RefCell<ScriptedHost>,
    asked: std::cell::Cell<usize>,
    change: F,
}

impl<F: Fn(usize, Pid, &mut ScriptedHost)> Changing<F> {
    fn new(host: ScriptedHost, change: F) -> Self {
        Self { now: std::cell::RefCell::new(host), asked: std::cell::Cell::new(0), change }
    }

    fn search(&self, command: u32, channel: u64, flow: Flow) -> Option<Way> {
        let question =
            Question { command: Pid(command), flow, through_starters: true, reach: Reach::Everybody };
        let key = ProcessKey { pid: Pid(command), start: StartTime(u64::from(command)) };
        let parent = self.now.borrow().files.get(&Pid(command)).map_or(Pid(1), |files| files.parent);
        let known = Files { key, comm: b"x".to_vec(), parent, list: Vec::new(), complete: false };
        let known = Known { command: &Arc::new(known), lineage: &Lineage::default() };
        resolve(question, (0, pipe(channel)), Some(known), &OTHER, self)
    }
}

impl<F: Fn(usize, Pid, &mut ScriptedHost)> Host for Changing<F> {
    fn listened_on(&self, socket: &Socket, user: Pid) -> Option<bool> {
        self.now.borrow().listened_on(socket, user)
    }
    fn alive(&self, key: ProcessKey) -> bool {
        self.now.borrow().files.get(&key.pid).is_some_and(|files| files.key == key)
    }
    fn ephemeral_ports(&self) -> (u16, u16) {
        self.now.borrow().ephemeral_ports()
    }
    fn files(&self, pid: Pid) -> Option<Arc<Files>> {
        (self.change)(self.asked.get(), pid, &mut self.now.borrow_mut());
        self.asked.set(self.asked.get() + 1);
        self.now.borrow().files(pid)
    }
    fn relatives(&self, pid: Pid) -> Vec<Pid> {
        self.now.borrow().relatives(pid)
    }
    fn holders(&self, channel: Channel) -> Vec<Pid> {
        self.now.borrow().holders(channel)
    }
    fn unix_peer(&self, owner: Pid, socket: Inode) -> Option<Inode> {
        self.now.borrow().unix_peer(owner, socket)
    }
    fn cut(&self) {
        self.now.borrow().cut();
    }
    fn descends(&self, pid: Pid, from: Pid) -> bool {
        self.now.borrow().descends(pid, from)
    }
    fn relay(&self, holder: &Files) -> Option<crate::model::relay::Relay> {
        let lives = self.now.borrow().files.get(&holder.key.pid).is_some_and(|files| files.key == holder.key);
        lives.then(|| self.now.borrow().relay(holder)).flatten()
    }
    fn shell_behind(
        &self,
        _: &crate::model::look::Look,
        _: Option<&[u8]>,
        _: bool,
    ) -> crate::model::recognised::Behind {
        crate::model::recognised::Behind::NoShell
    }
}

fn three_in_a_row() -> ScriptedHost {
    host(&[
        (10, 1, &[]),
        (11, 10, &[(0, reads(5))]),
        (12, 1, &[(0, reads(6)), (1, writes(5))]),
        (13, 1, &[(1, writes(6)), (3, network(70))]),
    ])
}

/// Whenever anybody of the way vanishes, the search ends, with the way or without, and nobody is named who was not there.
#[test]
fn somebody_vanishes_while_it_is_asked() {
    let steady = Changing::new(three_in_a_row(), |_, _, _| {});
    assert_eq!(steady.search(11, 5, Flow::In).map(|way| way.relay.process.key.pid), Some(Pid(13)));
    let asked = steady.asked.get();
    for gone in [10, 11, 12, 13] {
        for at in 0..asked {
            let changing = Changing::new(three_in_a_row(), |n, _, host| {
                if n == at {
                    host.files.remove(&Pid(gone));
                }
            });
            if let Some(way) = changing.search(11, 5, Flow::In) {
                assert_eq!(way.relay.process.key.pid, Pid(13), "{gone} at {at}");
                assert_ne!(gone, 13, "a relay that is gone is not one");
            }
        }
    }
}

/// A process id that passes on to another while the search is under way.
#[test]
fn an_id_that_is_another_by_then() {
    for at in 0..8 {
        let changing = Changing::new(three_in_a_row(), |n, _, host| {
            if n == at {
                let mut second = Files::clone(&host.files[&Pid(13)]);
                second.key.start = StartTime(99);
                host.files.insert(Pid(13), Arc::new(second));
            }
        });
        if let Some(way) = changing.search(11, 5, Flow::In) {
            let lives: HashSet<ProcessKey> =
                way.hops.iter().map(|hop| hop.process).filter(|key| key.pid == Pid(13)).collect();
            assert_eq!(lives.len(), 1, "one life, not half of each");
        }
    }
}

/// A pipe that is closed, and its inode another pipe's, between two questions: what a process has is what it had when it
/// was asked, and who has only the second pipe is found by nobody who asked for the first.
#[test]
fn an_inode_that_is_used_again() {
    let changing = Changing::new(three_in_a_row(), |_, pid, host| {
        // Once the middle has been asked, its pipe to the relay is gone; 14 gets the number.
        if pid == Pid(13) {
            let mut relay = Files::clone(&host.files[&Pid(13)]);
            relay.list.retain(|file| file.fd != 1);
            host.files.insert(Pid(13), Arc::new(relay));
        }
    });
    assert!(changing.search(11, 5, Flow::In).is_none(), "the relay has nothing of it any more");
}

/// The parent of a command that has gone dies while it is asked.
#[test]
fn a_parent_that_dies_while_it_is_asked() {
    for at in 0..4 {
        let machine = host(&[(10, 1, &[(3, network(70)), (4, reads(8))])]);
        let changing = Changing::new(machine, |n, _, host| {
            if n == at {
                host.files.remove(&Pid(10));
            }
        });
        let question = Question {
            command: Pid(50),
            flow: Flow::Out,
            through_starters: false,
            reach: if at % 2 == 0 { Reach::Above } else { Reach::Everybody },
        };
        let key = ProcessKey { pid: Pid(50), start: StartTime(50) };
        let known = Files { key, comm: b"id".to_vec(), parent: Pid(10), list: Vec::new(), complete: false };
        let known = Known { command: &Arc::new(known), lineage: &Lineage::default() };
        let way = resolve(question, (1, pipe(7)), Some(known), &OTHER, &changing);
        assert!(way.is_none_or(|way| way.closed && way.relay.process.key.pid == Pid(10)));
    }
}

/// A brother of the shell that has the far end too, and no socket, hides nobody.
#[test]
fn a_decoy_near_the_command() {
    let host = host(&[
        (10, 1, &[(8, reads(5)), (9, writes(5))]),
        (11, 10, &[(0, reads(5))]),
        (40, 1, &[(4, writes(5)), (3, network(70))]),
    ]);
    assert_eq!(ask(&host, 11, 0, Flow::In, true), Some((40, 3)));
    assert_eq!(host.cuts.get(), 0);
}

/// More have the far end than are asked: it is counted. And what one process holds beyond the usual is followed.
#[test]
fn too_many_are_counted() {
    let mut machine = host(&[(10, 1, &[]), (11, 10, &[(0, reads(5))])]);
    for pid in 100..100 + u32::try_from(PROCESSES_MAX).unwrap() + 5 {
        let one = host(&[(pid, 1, &[(3, writes(5))])]);
        machine.files.extend(one.files);
    }
    assert_eq!(ask(&machine, 11, 0, Flow::In, true), None);
    assert_eq!(machine.cuts.get(), 1);

    let door = [(0, reads(5))];
    let mut maze: Vec<Process<'_>> = vec![(10, 1, &[]), (11, 10, &door)];
    let rooms: Vec<Vec<Open>> = (0..8u64)
        .map(|room| {
            let doors = (0..100).map(|n| (10 + n, reads(10_000 + 100 * room + u64::from(n))));
            doors.chain([(1, writes(5)), (2, writes(10_000 + 100 * room)), (3, reads(5))]).collect()
        })
        .collect();
    maze.extend((100..).zip(&rooms).map(|(pid, open)| (pid, 1, open.as_slice())));
    let maze = host(&maze);
    assert_eq!(ask(&maze, 11, 0, Flow::In, true), None);
    assert_eq!(maze.cuts.get(), 1, "more channels than are followed");

    let mut open: Vec<Open> = (0..100).map(|n| (10 + n, reads(1000 + u64::from(n)))).collect();
    open.extend([(1, writes(5)), (200, reads(6))]);
    let many = host(&[
        (10, 1, &[]),
        (11, 10, &[(0, reads(5))]),
        (12, 1, &open),
        (13, 1, &[(1, writes(6)), (3, network(70))]),
    ]);
    assert_eq!(ask(&many, 11, 0, Flow::In, true), Some((13, 5)));
}

/// What was noted of `sh -c id` under a program that runs commands: the shell with the socket it inherited and the pipe
/// as its own output, then the program.
fn noted(files: bool) -> Vec<Arc<Files>> {
    let machine =
        host(&[(20, 10, &[(1, writes(7)), (3, network(70))]), (10, 1, &[(3, network(70)), (4, reads(7))])]);
    let of = |pid: u32| {
        let mut noted = Files::clone(&machine.files[&Pid(pid)]);
        if !files {
            noted.list.clear();
        }
        Arc::new(noted)
    };
    vec![of(20), of(10)]
}

fn gone(lineage: &Lineage, host: &ScriptedHost) -> Option<Way> {
    let question =
        Question { command: Pid(30), flow: Flow::Out, through_starters: false, reach: Reach::Above };
    let key = ProcessKey { pid: Pid(30), start: StartTime(30) };
    let command = Files { key, comm: b"id".to_vec(), parent: Pid(20), list: Vec::new(), complete: false };
    resolve(question, (1, pipe(7)), Some(Known { command: &Arc::new(command), lineage }), &OTHER, host)
}

#[test]
fn a_command_and_its_shell_that_have_gone() {
    // The program has closed the pipe; what it was doing is known, or not.
    let machine = host(&[(10, 1, &[(3, network(70))])]);
    let lineage = Lineage { line: noted(false), ..Lineage::default() };
    let way = gone(&lineage, &machine).unwrap();
    assert!(way.closed && way.relay.process.key.pid == Pid(10));
    // Another life under its number is not it.
    let mut other = Files::clone(&machine.files[&Pid(10)]);
    other.key.start = StartTime(99);
    let mut reused = ScriptedHost::default();
    reused.files.insert(Pid(10), Arc::new(other));
    assert!(gone(&lineage, &reused).is_none());
}

#[test]
fn a_shell_that_still_lives_has_the_pipe_as_its_own_output() {
    let machine = host(&[(20, 10, &[(1, writes(7)), (3, network(70))]), (10, 1, &[(3, network(70))])]);
    let way = gone(&Lineage { line: noted(false), ..Lineage::default() }, &machine).unwrap();
    assert_eq!(way.relay.process.key.pid, Pid(10));
}

#[test]
fn what_was_noted_while_it_waited_is_proof() {
    let machine = host(&[(10, 1, &[(3, network(70))])]);
    let way = gone(&Lineage { line: noted(true), ..Lineage::default() }, &machine).unwrap();
    assert!(!way.closed && way.relay.process.key.pid == Pid(10));
    assert_eq!(way.hops.iter().map(|hop| hop.process.pid.0).collect::<Vec<_>>(), [30, 10, 10]);
    // So is a parent that was reading.
    let line = vec![noted(false)[1].clone()];
    let way = gone(&Lineage { line, reads: Some(4), ..Lineage::default() }, &machine).unwrap();
    assert!(!way.closed && way.hops[1].fds == [4]);
}

#[test]
fn a_relay_that_has_gone_too() {
    let machine = ScriptedHost::default();
    assert!(gone(&Lineage { line: noted(true), ..Lineage::default() }, &machine).is_none());
    let relay = host(&[(10, 1, &[])]).relay(&noted(true)[1]).map(Arc::new);
    assert!(relay.is_some());
    let way = gone(&Lineage { line: noted(true), relay, ..Lineage::default() }, &machine).unwrap();
    assert_eq!(way.relay.process.key.pid, Pid(10));
}

#[test]
fn the_peer_of_a_socket_that_has_gone() {
    let machine = host(&[(10, 1, &[(3, network(70)), (5, unix(41))])]);
    let question =
        Question { command: Pid(30), flow: Flow::In, through_starters: false, reach: Reach::Everybody };
    let key = ProcessKey { pid: Pid(30), start: StartTime(30) };
    let command = Files { key, comm: b"sh".to_vec(), parent: Pid(10), list: Vec::new(), complete: false };
    let lineage = Lineage {
        line: vec![machine.files[&Pid(10)].clone()],
        peers: vec![(Inode(40), Inode(41))],
        ..Lineage::default()
    };
    let find = |lineage: &Lineage| {
        let known = Known { command: &Arc::new(command.clone()), lineage };
        resolve(question, (0, Channel::Unix(Inode(40))), Some(known), &OTHER, &machine)
    };
    assert_eq!(find(&lineage).unwrap().relay.process.key.pid, Pid(10));
    assert!(find(&Lineage { peers: Vec::new(), ..lineage }).is_none());
}
