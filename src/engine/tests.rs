//! Whole attacks, replayed from scripts.

use std::sync::Arc;

use super::*;
use crate::host::scripted::ScriptedHost;
use crate::model::clock::Moment;
use crate::model::detection::Severity;
use crate::model::ids::StartTime;
use crate::model::look::{Args, Exe};
use crate::model::relay::Relayed;
use crate::model::socket::{Address, Direction, Family, Peer, Protocol, SocketLookup, SocketType};
use crate::model::stdio::{Backing, TetherKind};

const MS: u64 = 1_000_000;

pub(super) struct Script {
    pub(super) engine: Engine,
    pub(super) host: ScriptedHost,
    now_ns: u64,
}

impl Script {
    pub(super) fn new() -> Self {
        Self::with(EngineSettings::default(), Vec::new())
    }

    pub(super) fn with(settings: EngineSettings, restored: Vec<Restored>) -> Self {
        let place = Place { boot_id: "boot".into(), mount_namespace: Some(Inode(1)) };
        let engine = Engine::new(settings, place, Arc::new(RuleSet::shipped()), restored);
        Self { engine, host: ScriptedHost::default(), now_ns: 1_000 * SECOND }
    }

    pub(super) fn now(&self) -> Moment {
        Moment { mono_ns: self.now_ns, wall_ns: 1_700_000_000 * SECOND + self.now_ns }
    }

    pub(super) fn after(&mut self, ns: u64) -> &mut Self {
        self.now_ns += ns;
        self
    }

    pub(super) fn handle(&mut self, event: Event) -> Vec<Detection> {
        self.engine.handle(event, &self.host)
    }

    pub(super) fn tick(&mut self, ns: u64) -> Vec<Detection> {
        self.now_ns += ns;
        let at = self.now();
        self.handle(Event::Tick { at })
    }

    pub(super) fn exec(
        &mut self,
        pid: u32,
        parent: u32,
        argv: &[&str],
        stdio: [Backing; 3],
    ) -> Vec<Detection> {
        let look = self.look(pid, parent, argv, stdio);
        self.handle(Event::Look(Box::new(look)))
    }

    pub(super) fn look(&self, pid: u32, parent: u32, argv: &[&str], stdio: [Backing; 3]) -> Look {
        let key = ProcessKey { pid: Pid(pid), start: StartTime(u64::from(pid) * 10) };
        let mut look = Look::blank(key, self.now(), Observation::Live, Cause::Exec);
        look.parent = Pid(parent);
        look.exe = Exe { path: format!("/usr/bin/{}", argv[0]).into_bytes(), ..Exe::default() };
        look.args = Args { list: argv.iter().map(|arg| arg.as_bytes().to_vec()).collect(), truncated: false };
        look.namespaces.mnt = Some(Inode(1));
        look.root = b"/".to_vec();
        look.stdio = stdio;
        look
    }

    pub(super) fn fork(&mut self, parent: u32, child: u32) -> Vec<Detection> {
        let start = StartTime(u64::from(child) * 10);
        let at = self.now();
        self.handle(Event::Forked { parent: Pid(parent), child: Pid(child), start, at })
    }

    pub(super) fn exit(&mut self, pid: u32) -> Vec<Detection> {
        let at = self.now();
        self.handle(Event::Exited { pid: Pid(pid), at })
    }
}

pub(super) fn socket(inode: u64, peer: &str) -> Arc<Socket> {
    Arc::new(Socket {
        inode: Inode(inode),
        cookie: Some(SocketCookie(inode * 7)),
        family: Family::Inet,
        kind: SocketType::Stream,
        protocol: Protocol::Tcp,
        local: Some(Address::Ip("192.0.2.1:40000".parse().unwrap())),
        peer: peer.parse().map_or(Peer::Unconnected, |peer| Peer::Connected(Address::Ip(peer))),
        listening: false,
        net_ns: None,
        found_by: SocketLookup::Getfd,
    })
}

pub(super) fn tied(inode: u64) -> Backing {
    Backing::Network(socket(inode, "203.0.113.9:4444"))
}

pub(super) const NULL: Backing = Backing::Null;

#[test]
fn a_reverse_shell_from_first_to_last() {
    let mut script = Script::new();
    let first = script.exec(10, 1, &["bash", "-i"], [tied(5), tied(5), tied(5)]);
    assert_eq!(first.len(), 1, "the first record is written at once");
    assert_eq!((first[0].row, first[0].severity), (Row::WatchedBothWays, Severity::Critical));
    assert_eq!((first[0].direction, first[0].scope), (Direction::Outbound, Scope::Public));
    assert_eq!(first[0].tether.fds, [true; 3]);

    // Commands with their own stdio join by lineage; nothing is written within the second.
    for child in 20..30 {
        script.after(MS).fork(10, child);
        assert!(script.exec(child, 10, &["id"], [NULL, NULL, NULL]).is_empty());
        assert!(script.exit(child).is_empty());
    }
    let again = script.tick(SECOND);
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].id, again[0].process_count, again[0].observations.live), (first[0].id, 11, 11));
    assert!(script.tick(5 * SECOND).is_empty(), "nothing has changed");

    assert!(script.exit(10).is_empty());
    let last = script.tick(3 * SECOND);
    assert_eq!(last.len(), 1);
    assert_eq!((last[0].state, last[0].process_count), (State::Inactive, 11));
    assert!(script.tick(10 * SECOND).is_empty());
}

#[test]
fn rows_by_what_is_tied() {
    let (s, n) = (|| tied(5), || NULL);
    for (argv, stdio, row) in [
        (&["bash", "-i"][..], [s(), s(), s()], Some(1)),
        (&["sh"], [s(), s(), n()], Some(1)),
        (&["id"], [s(), n(), s()], Some(1)),
        (&["sh"], [s(), n(), n()], Some(2)),
        (&["env", "-i", "sh"], [s(), n(), n()], Some(2)),
        (&["sh", "-c", "id"], [s(), n(), n()], None),
        (&["cat"], [s(), n(), n()], None),
        (&["ls"], [n(), s(), s()], Some(3)),
        (&["frobnicate"], [n(), s(), s()], None),
        (&["frobnicate"], [s(), s(), n()], Some(7)),
        (&["date"], [n(), s(), n()], None),
        (&["bash"], [n(), n(), n()], None),
        (&["sh"], [tied(6), s(), n()], Some(1)),
    ] {
        let found = Script::new().exec(10, 1, argv, stdio.clone());
        assert_eq!(found.first().map(|d| d.row.number()), row, "{argv:?} {stdio:?}");
    }
}

#[test]
fn loopback_lowers_by_one_step() {
    let local = || Backing::Network(socket(5, "127.0.0.1:4444"));
    let found = Script::new().exec(10, 1, &["sh"], [local(), local(), local()]);
    assert_eq!(found[0].severity, Severity::High);
    let settings = EngineSettings { loopback_lowers: false, ..EngineSettings::default() };
    let found = Script::with(settings, Vec::new()).exec(10, 1, &["sh"], [local(), local(), local()]);
    assert_eq!(found[0].severity, Severity::Critical);
}

#[test]
fn one_way_needs_a_second_different_command() {
    let mut script = Script::new();
    for pid in 10..60 {
        assert!(script.exec(pid, 1, &["date"], [NULL, tied(5), NULL]).is_empty(), "the same command again");
    }
    assert!(script.exec(60, 1, &["date"], [NULL, tied(6), NULL]).is_empty(), "another socket");
    let found = script.exec(61, 1, &["hostname"], [NULL, tied(5), NULL]);
    assert_eq!((found[0].row, found[0].severity), (Row::SecondOneWay, Severity::Medium));
    assert_eq!(script.engine.tally().one_way, 52);
}

#[test]
fn a_launcher_and_what_it_becomes_are_one_command() {
    let mut script = Script::new();
    assert!(script.exec(10, 1, &["setsid", "cat"], [tied(5), NULL, NULL]).is_empty());
    assert!(script.exec(10, 1, &["cat"], [tied(5), NULL, NULL]).is_empty());
    assert!(script.exec(10, 1, &["tail"], [tied(5), NULL, NULL]).is_empty(), "the same process goes on");
}

#[test]
fn lineage_outlives_setsid_double_fork_and_reparenting() {
    let mut script = Script::new();
    script.exec(10, 1, &["sh"], [tied(5), tied(5), tied(5)]);
    script.fork(10, 11);
    script.fork(11, 12);
    script.exit(11);
    script.exit(10);
    // The grandchild's parent is pid 1 by now.
    script.after(MS);
    script.exec(12, 1, &["nc", "-l"], [NULL, NULL, NULL]);
    let found = script.tick(SECOND);
    assert_eq!((found[0].process_count, found[0].state), (2, State::Active));
    script.exit(12);
    assert_eq!(script.tick(3 * SECOND)[0].state, State::Inactive);
}

#[test]
fn a_process_id_used_again_is_another_process() {
    let mut script = Script::new();
    script.exec(10, 1, &["sh"], [tied(5), tied(5), tied(5)]);
    // Its end was not heard; later somebody else has its id.
    let mut other = script.look(10, 1, &["ls"], [NULL, NULL, NULL]);
    other.key.start = StartTime(9_999);
    assert!(script.handle(Event::Look(Box::new(other))).is_empty());
    script.fork(10, 11);
    script.exec(11, 10, &["id"], [NULL, NULL, NULL]);
    script.host.dead.insert(ProcessKey { pid: Pid(10), start: StartTime(100) });
    let ended = script.tick(60 * SECOND);
    assert!(ended.iter().all(|d| d.process_count <= 2), "{ended:?}");
}

#[test]
fn a_vanished_command_counts_as_inherited() {
    let mut script = Script::new();
    script.exec(10, 1, &["sh"], [tied(5), tied(5), tied(5)]);
    script.fork(10, 11);
    let at = script.now();
    script.handle(Event::Vanished { pid: Pid(11), at });
    script.handle(Event::Vanished { pid: Pid(99), at });
    let found = script.tick(SECOND);
    assert_eq!((found[0].process_count, found[0].observations.inherited), (2, 1));
    assert_eq!(script.engine.take_losses(), [(Loss::Vanished, 1)]);
}

#[test]
fn a_child_come_upon_in_the_midst_of_execve_is_one_life() {
    let mut script = Script::new();
    script.exec(10, 1, &["sh"], [tied(5), tied(5), tied(5)]);
    script.exec(11, 10, &["id"], [NULL, tied(5), NULL]);
    // Its arguments are not there yet when its parent's children are looked up.
    let mut half = script.look(11, 10, &["id"], [NULL, tied(5), NULL]);
    half.args.list.clear();
    half.cause = Cause::Fork;
    script.handle(Event::Look(Box::new(half)));
    script.exit(11);
    script.exit(10);
    let ended = script.tick(3 * SECOND).pop().unwrap();
    assert_eq!((ended.process_count, ended.state), (2, State::Inactive));
}

#[test]
fn a_flood_counts_exactly_and_floods_nothing() {
    let mut script = Script::new();
    let mut records = script.exec(10, 1, &["sh"], [tied(5), tied(5), tied(5)]).len();
    for pid in 100..5_100 {
        records += script.after(MS).fork(10, pid).len();
        records += script.exec(pid, 10, &["id"], [tied(5), tied(5), tied(5)]).len();
        records += script.exit(pid).len();
    }
    let last = script.tick(SECOND).pop().unwrap();
    assert_eq!(last.process_count, 5_001);
    assert!(last.processes.len() <= EngineSettings::default().processes_max);
    assert_eq!(last.processes[0].key.pid, Pid(10), "the first stays on the timeline");
    assert!(records <= 6, "{records} records in five seconds");
    assert!(script.engine.sizes().1 <= 2);
}

#[test]
fn a_worse_row_raises_the_severity() {
    let mut script = Script::new();
    let first = script.exec(10, 1, &["frobnicate"], [tied(5), tied(5), NULL]);
    assert_eq!(first[0].severity, Severity::Medium);
    script.exec(11, 10, &["sh", "-i"], [tied(5), tied(5), tied(5)]);
    let found = script.tick(SECOND);
    assert_eq!((found[0].severity, found[0].subject.key.pid), (Severity::Critical, Pid(11)));
}

/// The relay thread finds out later what the sensor has looked at: the subject stands on the timeline once.
#[test]
fn a_relayed_subject_is_its_entry_of_the_timeline() {
    let script = Script::new();
    let socket = socket(5, "203.0.113.9:4444");
    let judgement = |row, severity| Judgement {
        row,
        severity,
        evidence: Vec::new(),
        tether: Tether {
            kind: TetherKind::Relayed,
            hops: Vec::new(),
            socket: socket.clone(),
            fds: [true; 3],
        },
    };
    let tool = Arc::new(script.look(10, 1, &["script", "-c", "sh"], [NULL, NULL, NULL]));
    let mut incident = Incident::new(
        FindingId([1; 16]),
        Anchor::of_socket(&socket),
        judgement(Row::RelayedByTool, Severity::High),
        (Direction::Outbound, Scope::Public),
        tool.clone(),
        Restored::default(),
        100,
    );
    incident.join(&tool);
    let mut shell = script.look(11, 10, &["sh"], [NULL, NULL, NULL]);
    incident.join(&Arc::new(shell.clone()));
    shell.at.mono_ns += MS;
    shell.relayed = Some(Box::new(Relayed { input: None, output: None, fds: [true; 3], hears: false }));
    assert!(incident.has(&shell));
    incident.raise(judgement(Row::RelayedShell, Severity::Critical), &Arc::new(shell));
    let record = incident.issue(script.now(), 0).unwrap();
    assert_eq!((record.process_count, record.processes.len()), (2, 2));
    assert!(Arc::ptr_eq(&record.processes[1], &record.subject) && record.subject.relayed.is_some());
    assert_eq!(record.subject.at.mono_ns, script.now().mono_ns, "as it was first seen");
}

#[test]
fn a_restart_keeps_the_name_and_the_count() {
    let mut script = Script::new();
    let first = script.exec(10, 1, &["sh"], [tied(5), tied(5), tied(5)]).pop().unwrap();
    let restored = Restored {
        id: Some(first.id),
        process_count: 40,
        first_seen: first.first_seen,
        known: vec![first.subject.key],
        ..Restored::default()
    };
    let gone = Restored { id: Some(FindingId([9; 16])), process_count: 3, ..Restored::default() };
    let mut again = Script::with(EngineSettings::default(), vec![restored, gone]);
    let mut look = again.look(10, 1, &["sh"], [tied(5), tied(5), tied(5)]);
    (look.cause, look.seen) = (Cause::Sweep, Observation::Swept);
    let found = again.handle(Event::Look(Box::new(look)));
    assert_eq!((found[0].id, found[0].process_count), (first.id, 40));
    assert_eq!(found[0].first_seen, first.first_seen);
    assert_eq!(again.engine.take_unclaimed(), [FindingId([9; 16])]);
}

#[test]
fn a_sweep_tells_nothing_new_of_what_is_known() {
    let mut script = Script::new();
    script.exec(10, 1, &["sh"], [tied(5), tied(5), tied(5)]);
    for _ in 0..3 {
        let mut look = script.look(10, 1, &["sh"], [tied(5), tied(5), tied(5)]);
        (look.cause, look.seen) = (Cause::Sweep, Observation::Swept);
        script.handle(Event::Look(Box::new(look)));
    }
    let lives = |d: &Detection| d.process_count == 1 && d.state == State::Active;
    assert!(script.tick(10 * SECOND).iter().all(lives));
    script.exit(10);
    assert_eq!(script.tick(3 * SECOND)[0].state, State::Inactive);
}

#[test]
fn the_last_command_may_be_gone_before_it_is_read() {
    let mut script = Script::new();
    script.exec(10, 1, &["sh"], [tied(5), tied(5), tied(5)]);
    script.fork(10, 11);
    script.exit(10);
    let at = script.now();
    script.handle(Event::Vanished { pid: Pid(11), at });
    script.exit(11);
    let ended = script.tick(3 * SECOND).pop().unwrap();
    assert_eq!((ended.process_count, ended.state), (2, State::Inactive));
}

#[test]
fn what_did_not_live_at_a_sweep_has_ended() {
    let mut script = Script::new();
    script.exec(10, 1, &["sh"], [tied(5), tied(5), tied(5)]);
    script.host.dead.insert(ProcessKey { pid: Pid(10), start: StartTime(100) });
    let (began, at) = (script.now(), script.now());
    script.handle(Event::Swept { began, at, complete: true });
    assert_eq!(script.tick(3 * SECOND)[0].state, State::Inactive);
}

#[test]
fn a_socket_inode_used_again_is_another_incident() {
    let mut script = Script::new();
    let first = script.exec(10, 1, &["sh"], [tied(5), tied(5), tied(5)]).pop().unwrap();
    let mut other = Socket::clone(&socket(5, "203.0.113.9:4444"));
    other.cookie = Some(SocketCookie(1));
    let other = || Backing::Network(Arc::new(other.clone()));
    let second = script.exec(11, 1, &["sh"], [other(), other(), other()]).pop().unwrap();
    assert_ne!(first.id, second.id);
}

#[test]
fn tables_are_bounded_and_say_so() {
    let settings =
        EngineSettings { incidents_max: 2, table_max: 4, one_way_max: 2, ..EngineSettings::default() };
    let mut script = Script::with(settings, Vec::new());
    let mut closed = 0;
    for n in 0..20u32 {
        let tie = || tied(100 + u64::from(n));
        let found = script.exec(100 + n, 1, &["sh"], [tie(), tie(), tie()]);
        closed += found.iter().filter(|d| d.state == State::Inactive).count();
        assert!(found.iter().any(|d| d.state == State::Active), "the first record is never suppressed");
        script.exec(200 + n, 1, &["date"], [NULL, tied(500 + u64::from(n)), NULL]);
    }
    assert_eq!(closed, 18);
    let (_, processes, one_way) = script.engine.sizes();
    assert!(processes <= 4 && one_way <= 2);
    let losses = script.engine.take_losses();
    let lost = |wanted| losses.iter().filter(|(loss, _)| *loss == wanted).map(|(_, n)| n).sum::<u64>();
    assert_eq!(lost(Loss::IncidentEvicted), 18);
    assert_eq!(lost(Loss::MemoryEvicted), 18);
    assert!(lost(Loss::ProcessEvicted) >= 16);
}

#[test]
fn the_real_sshd_is_excused_and_a_false_one_is_not() {
    let sshd = |script: &Script, owner: u32, mnt: u64| {
        let mut look = script.look(10, 1, &["sshd", "-R"], [tied(5), tied(5), NULL]);
        look.exe.path = b"/usr/sbin/sshd".to_vec();
        look.namespaces.mnt = Some(Inode(mnt));
        look.exe.file = Some(crate::model::look::FileId {
            device: 1,
            inode: Inode(1),
            size: 1,
            mtime_ns: 0,
            ctime_ns: 0,
            owner: crate::model::ids::Uid(owner),
            mode: 0o100_755,
        });
        Event::Look(Box::new(look))
    };
    let mut script = Script::new();
    let real = sshd(&script, 0, 1);
    assert!(script.handle(real).is_empty());
    assert_eq!(script.engine.tally().allowed, 1);
    assert_eq!(script.engine.take_orders(), [Order::Forget(Pid(10), script.now().mono_ns)]);
    for (owner, mnt) in [(1000, 1), (0, 2)] {
        let mut script = Script::new();
        let false_one = sshd(&script, owner, mnt);
        assert_eq!(script.handle(false_one).len(), 1, "owner {owner}, mount namespace {mnt}");
    }
}

#[test]
fn directions() {
    let mut script = Script::new();
    script.host.listening.insert(40_000);
    let found = script.exec(10, 1, &["sh"], [tied(5), tied(5), tied(5)]);
    assert_eq!(found[0].direction, Direction::Inbound);

    // What the look says was seen while the process lived: the host is not asked about that socket.
    for (listed, listened, expected) in [
        (7, vec![(Inode(7), true)], Direction::Inbound),
        (8, vec![(Inode(8), false)], Direction::Outbound),
        (9, vec![(Inode(99), false)], Direction::Inbound),
        (10, Vec::new(), Direction::Inbound),
    ] {
        let mut script = Script::new();
        if listed != 7 {
            script.host.listening.insert(40_000);
        }
        let mut look = script.look(50, 1, &["sh"], [tied(listed), tied(listed), tied(listed)]);
        look.listened = listened;
        let found = script.handle(Event::Look(Box::new(look)));
        assert_eq!(found[0].direction, expected, "socket {listed}");
    }

    // A vsock port is listened on in no table, and the kernel gives out large ones.
    for (local, peer, expected) in [
        (4_000_000_000, 4444, Direction::Outbound),
        (4_000_000_000, 50_000, Direction::Outbound),
        (4444, 4_000_000_000, Direction::Inbound),
        (50_000, 4_000_000_000, Direction::Inbound),
    ] {
        let mut vsock = Socket::clone(&socket(5, ""));
        (vsock.family, vsock.protocol) = (Family::Vsock, Protocol::Other(0));
        vsock.local = Some(Address::Vsock { cid: 1, port: local });
        vsock.peer = Peer::Connected(Address::Vsock { cid: 1, port: peer });
        let vsock = || Backing::Network(Arc::new(vsock.clone()));
        let found = Script::new().exec(60, 1, &["sh"], [vsock(), vsock(), vsock()]);
        assert_eq!(found[0].direction, expected, "{local} to {peer}");
    }

    // A bind shell whose listener has closed.
    let mut bind = Socket::clone(&socket(6, "203.0.113.9:50000"));
    bind.local = Some(Address::Ip("192.0.2.1:4444".parse().unwrap()));
    let bind = || Backing::Network(Arc::new(bind.clone()));
    let found = script.exec(11, 1, &["sh"], [bind(), bind(), bind()]);
    assert_eq!(found[0].direction, Direction::Inbound);
    assert!(found[0].evidence.iter().any(|e| e.contains("nobody listens on the local port any more")));
}
