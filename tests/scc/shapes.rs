//! Detections of all the shapes that a record can take.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, OnceLock};

use serde_json::json;
use tetherd::model::clock::Moment;
use tetherd::model::detection::{Detection, Observations, Row, Severity, State};
use tetherd::model::earlier::Earlier;
use tetherd::model::ids::{FindingId, Gid, Inode, Pid, ProcessKey, SocketCookie, StartTime, Uid};
use tetherd::model::look::{Ancestor, Args, Cause, Credentials, Exe, FileId, Look, Namespaces, Observation};
use tetherd::model::socket::{
    Address, Direction, Family, Peer, Protocol, Scope, Socket, SocketLookup, SocketType,
};
use tetherd::model::stdio::{Backing, Hop, Tether, TetherKind};

/// The container that [`pod`] is in.
pub const CONTAINER: &str = "73bfe475650de66df8e2affdc98d440dcbe84f8df83b6f75a68a82eb7026136a";
/// Its pod.
pub const POD: &str = "63b3ebfc-2890-41e9-8154-16bf8ef8d9dc";
/// Known answer: sha256("hello world"), which is what the samples' program file holds.
pub const EXE_SHA256: &str = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";

const AT: Moment = Moment { mono_ns: 4_000_000_000, wall_ns: 1_795_492_217_123_456_789 };
/// A number that no namespace has: the first ones of a boot are from 4026531834 on.
const ELSEWHERE: Inode = Inode(7);

/// One of each.
pub fn all() -> Vec<Detection> {
    vec![
        pod(),
        ipv6(),
        udp_unconnected(),
        vsock(),
        hostile(),
        restored(),
        flood(),
        protocol(Protocol::Mptcp),
        protocol(Protocol::Sctp),
        protocol(Protocol::Icmp),
        protocol(Protocol::Other(89)),
        relayed(Row::RelayedShell),
        relayed(Row::RelayedByTool),
        relayed(Row::RelayedCommands),
        ended(),
        withdrawn(),
        blank(),
    ]
}

/// A reverse shell and its first command in a pod of a kind cluster.
pub fn pod() -> Detection {
    let socket =
        Socket { net_ns: Some(Inode(4_026_532_008)), ..tcp("203.0.113.9", 4444, "10.8.3.17", 51544) };
    let mut shell = look(4711, "sh", &["/bin/sh", "-i"], &socket);
    shell.namespaces = Namespaces { pid: Some(ELSEWHERE), ..own_namespaces() };
    shell.cgroup = format!(
        "0::/docker/{}/kubelet.slice/kubelet-kubepods-pod{}.slice/cri-containerd-{CONTAINER}.scope\n",
        "0a".repeat(32),
        POD.replace('-', "_")
    )
    .into_bytes();
    let mut id = shell.clone();
    id.key = ProcessKey { pid: Pid(4712), start: StartTime(100) };
    (id.comm, id.args.list) = (b"id".to_vec(), vec![b"/usr/bin/id".to_vec()]);
    let mut found = detection(shell, socket);
    found.processes.push(Arc::new(id));
    found.process_count = 2;
    found.observations.live = 2;
    found
}

/// A bind shell on the host.
pub fn ipv6() -> Detection {
    let socket = Socket { family: Family::Inet6, ..tcp("2001:db8::9", 50000, "2001:db8::1", 4444) };
    let mut found = detection(look(4711, "bash", &["bash"], &socket), socket);
    found.direction = Direction::Inbound;
    found
}

/// A shell on a socket that hears from anybody.
pub fn udp_unconnected() -> Detection {
    let socket = Socket {
        kind: SocketType::Datagram,
        protocol: Protocol::Udp,
        local: Some(address("0.0.0.0", 9999)),
        peer: Peer::Unconnected,
        found_by: SocketLookup::Diag,
        ..tcp("203.0.113.9", 1, "0.0.0.0", 9999)
    };
    detection(look(4711, "sh", &["sh"], &socket), socket)
}

/// A shell that the virtual machine's host has.
pub fn vsock() -> Detection {
    let end = |cid, port| Address::Vsock { cid, port };
    let socket = Socket {
        family: Family::Vsock,
        protocol: Protocol::Other(0),
        local: Some(end(3, 1025)),
        peer: Peer::Connected(end(2, 5000)),
        found_by: SocketLookup::Proc,
        ..tcp("203.0.113.9", 1, "10.0.0.1", 1)
    };
    detection(look(4711, "sh", &["sh"], &socket), socket)
}

/// Everything that the process chose is as bad as it gets, in a container of an unknown kind, with most of it unread.
pub fn hostile() -> Detection {
    let socket = tcp("127.0.0.1", 4444, "127.0.0.1", 50000);
    let mut shell = look(4711, "", &[], &socket);
    shell.comm = b"a\x1b[2J\n".to_vec();
    shell.exe.path = b"/\x01".repeat(2048);
    shell.cwd = [b"/".to_vec(), vec![0xff; 5000]].concat();
    shell.args.list =
        vec![b"sh".to_vec(), b"\xff\xfex".to_vec(), b"\x02".repeat(16_000), b"more".repeat(3000)];
    shell.args.truncated = true;
    shell.args.list.extend(vec![vec![b'"'; 1000]; 40]);
    shell.cgroup = [b"0::/".to_vec(), vec![b'\\'; 9000], b"\n".to_vec()].concat();
    shell.namespaces = Namespaces { pid: Some(ELSEWHERE), ..own_namespaces() };
    let mut found = detection(shell, socket);
    found.evidence = vec!["\u{1}".repeat(9000); 8];
    found.severity = Severity::High;
    found
}

/// An incident that an earlier daemon knew of.
pub fn restored() -> Detection {
    let mut found = pod();
    let processes = [
        json!({"name": "bash", "args": ["bash", "-i"], "argumentsTruncated": false, "pid": "4000",
               "parentPid": "1", "userId": "0"}),
        json!({"name": "bash", "pid": "x", "parentPid": "1", "userId": "0"}),
        json!("no process"),
    ];
    let timeline = [
        json!({"time": "2026-11-24T03:50:17.000000000Z", "pid": 4000, "startTicks": "17", "comm": "bash",
               "args": "x".repeat(9000), "seen": "live", "row": 1, "more": [1]}),
        json!({"pid": "x"}),
        json!("no entry"),
    ];
    found.earlier = Earlier::new(&processes, &timeline);
    found
}

/// As many commands as an incident keeps, all of them long.
pub fn flood() -> Detection {
    let mut found = pod();
    found.processes = (0..32)
        .map(|n| {
            let mut look = (*found.subject).clone();
            look.key.pid = Pid(5000 + n);
            look.seen = [Observation::Held, Observation::Live, Observation::Inherited, Observation::Swept]
                [n as usize % 4];
            look.args.list = vec![b"arg\xc3\xa9\x01".repeat(100); 64];
            Arc::new(look)
        })
        .collect();
    found.process_count = 1000;
    found.observations = Observations { held: 250, live: 250, inherited: 250, swept: 250 };
    found
}

/// A socket of another IP protocol.
pub fn protocol(protocol: Protocol) -> Detection {
    let socket = Socket { protocol, cookie: None, ..tcp("192.168.1.9", 4444, "192.168.1.1", 50000) };
    let mut found = detection(look(4711, "sh", &["sh"], &socket), socket);
    (found.row, found.severity) = (Row::OtherBothWays, Severity::Medium);
    found
}

/// A shell behind a FIFO, a terminal and a UNIX socket.
pub fn relayed(row: Row) -> Detection {
    let socket = tcp("203.0.113.9", 4444, "10.0.0.1", 50000);
    let mut found = detection(look(4711, "sh", &["sh"], &socket), socket);
    (found.row, found.severity, found.tether.kind) = (row, row.severity(), TetherKind::Relayed);
    let hop = |pid, fd, backing| Hop {
        process: ProcessKey { pid: Pid(pid), start: StartTime(99) },
        comm: b"relay".to_vec(),
        fds: vec![fd],
        backing,
    };
    let ends = found.tether.hops.pop().map(|hop| hop.backing).unwrap_or_default();
    found.tether.hops = vec![
        hop(4711, 0, Backing::Pipe(Inode(7))),
        hop(4712, 1, Backing::Pipe(Inode(7))),
        hop(4712, 0, Backing::PtySlave(3)),
        hop(4713, 5, Backing::Other(b"/dev/ptmx of /dev/pts/3".to_vec())),
        hop(4713, 6, Backing::Unix(Inode(8))),
        hop(4714, 7, Backing::Unix(Inode(9))),
        hop(4714, 3, ends),
    ];
    found
}

/// An incident that is over; its peer had gone.
pub fn ended() -> Detection {
    let socket = Socket { peer: Peer::Unknown, local: None, ..tcp("203.0.113.9", 1, "10.0.0.1", 1) };
    let mut found = detection(look(4711, "sh", &["sh"], &socket), socket);
    (found.state, found.row, found.severity) = (State::Inactive, Row::ShellReadsSocket, Severity::Low);
    found
}

/// One that an allow rule turned out to excuse.
pub fn withdrawn() -> Detection {
    let excused_by = Some(("debug-pods".into(), "the echo image\u{1b}[2J answers with cat".into()));
    Detection { state: State::Inactive, excused_by, ..pod() }
}

/// A process of which nothing but its parent's socket is known.
pub fn blank() -> Detection {
    let socket = tcp("203.0.113.9", 4444, "10.0.0.1", 50000);
    let mut gone = Look::blank(
        ProcessKey { pid: Pid(4711), start: StartTime(0) },
        AT,
        Observation::Inherited,
        Cause::Exec,
    );
    gone.unread = vec!["exe", "cmdline", "status"];
    detection(gone, socket)
}

fn detection(subject: Look, socket: Socket) -> Detection {
    let (subject, socket) = (Arc::new(subject), Arc::new(socket));
    let hop = Hop {
        process: subject.key,
        comm: subject.comm.clone(),
        fds: vec![0, 1, 2],
        backing: Backing::Network(Arc::clone(&socket)),
    };
    Detection {
        id: FindingId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
        state: State::Active,
        severity: Severity::Critical,
        row: Row::WatchedBothWays,
        evidence: vec![
            "row 1: a shell or common command has its input and output on a network socket".into(),
        ],
        direction: Direction::Outbound,
        scope: Scope::of(&socket.peer),
        tether: Tether { kind: TetherKind::Direct, hops: vec![hop], socket, fds: [true; 3] },
        processes: vec![Arc::clone(&subject)],
        subject,
        process_count: 1,
        observations: Observations { live: 1, ..Observations::default() },
        first_seen: AT,
        last_seen: AT,
        excused_by: None,
        earlier: Earlier::default(),
    }
}

fn look(pid: u32, comm: &str, args: &[&str], socket: &Socket) -> Look {
    let key = ProcessKey { pid: Pid(pid), start: StartTime(99) };
    let mut look = Look::blank(key, AT, Observation::Live, Cause::Exec);
    look.parent = Pid(4700);
    look.pgrp = Pid(pid);
    look.comm = comm.into();
    look.exe = exe();
    look.args = Args { list: args.iter().map(|arg| arg.as_bytes().to_vec()).collect(), truncated: false };
    look.cwd = b"/srv".to_vec();
    look.root = b"/".to_vec();
    let (uid, gid) = (Uid(0), Gid(0));
    look.credentials =
        Credentials { uid, euid: uid, gid, egid: gid, login: Some(Uid(1000)), privileges: None };
    look.namespaces = own_namespaces();
    look.cgroup = b"0::/system.slice/ssh.service\n".to_vec();
    look.stdio = [(); 3].map(|()| Backing::Network(Arc::new(socket.clone())));
    look.started_wall_ns = AT.wall_ns - 3_000_000;
    look.ancestors = [(4700, "python3", "/usr/bin/python3.12"), (1, "systemd", "/usr/lib/systemd/systemd")]
        .map(|(pid, comm, exe)| Ancestor {
            key: ProcessKey { pid: Pid(pid), start: StartTime(0) },
            comm: comm.into(),
            exe: exe.into(),
            args: Args { list: vec![comm.into(), b"a b".to_vec()], truncated: false },
            ..Ancestor::default()
        })
        .into();
    look
}

fn tcp(peer: &str, peer_port: u16, local: &str, local_port: u16) -> Socket {
    Socket {
        inode: Inode(8_812_345),
        cookie: Some(SocketCookie(77)),
        family: Family::Inet,
        kind: SocketType::Stream,
        protocol: Protocol::Tcp,
        local: Some(address(local, local_port)),
        peer: Peer::Connected(address(peer, peer_port)),
        listening: false,
        net_ns: None,
        found_by: SocketLookup::Getfd,
    }
}

fn address(ip: &str, port: u16) -> Address {
    Address::ip(ip.parse::<IpAddr>().unwrap(), port)
}

/// The host's, as the enrichment sees them: pid 1's, or our own.
fn own_namespaces() -> Namespaces {
    let read = |name: &str| {
        let of =
            |pid: &str| std::fs::metadata(format!("/proc/{pid}/ns/{name}")).map(|stat| Inode(stat.ino()));
        of("1").or_else(|_| of("self")).ok()
    };
    Namespaces { net: read("net"), pid: read("pid"), mnt: read("mnt"), user: read("user") }
}

/// A program file that lives as long as the test, as the sensor hands it on: by an O_PATH handle.
fn exe() -> Exe {
    static PROGRAM: OnceLock<(tempfile::TempDir, Exe)> = OnceLock::new();
    let (_, exe) = PROGRAM.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dash");
        std::fs::write(&path, "hello world").unwrap();
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
        let handle = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).unwrap();
        let stat = std::fs::metadata(&path).unwrap();
        let file = FileId {
            device: stat.dev(),
            inode: Inode(stat.ino()),
            size: stat.size(),
            mtime_ns: stat.mtime() * 1_000_000_000 + stat.mtime_nsec(),
            ctime_ns: stat.ctime() * 1_000_000_000 + stat.ctime_nsec(),
            owner: Uid(stat.uid()),
            mode: stat.mode(),
        };
        let handle = Some(Arc::new(handle));
        (dir, Exe { path: b"/bin/dash".to_vec(), deleted: false, file: Some(file), handle })
    });
    exe.clone()
}
