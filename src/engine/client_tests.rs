//! Who is another client, and who is not.

use std::sync::Arc;

use super::*;
use crate::engine::tests::{NULL, Script, socket};
use crate::model::ids::{Inode, Pid, ProcessKey, StartTime, Uid};
use crate::model::look::{Ancestor, FileId};
use crate::model::relay::{Channel, FileKind, Files, OpenFile, Relay};

const SHELL: u32 = 10;
const DAEMON: u32 = 20;
const CLIENT: u32 = 30;

const fn key(pid: u32) -> ProcessKey {
    ProcessKey { pid: Pid(pid), start: StartTime(pid as u64 * 10) }
}

/// A shell whose way leads through `daemon` and a channel to `client`, which has the socket on `fd`; whether that is
/// another client.
fn is_another(daemon: &str, client: &str, between: Backing, fd: u32) -> bool {
    let mut script = Script::new();
    let net = socket(5, "203.0.113.9:4444");
    let program = |pid, exe: &str| Ancestor {
        key: key(pid),
        comm: exe.rsplit('/').next().unwrap().into(),
        exe: exe.into(),
        mnt_ns: Some(Inode(1)),
        ..Ancestor::default()
    };
    let host = &mut script.host;
    host.program_file = Some(FileId {
        device: 1,
        inode: Inode(1),
        size: 1,
        mtime_ns: 0,
        ctime_ns: 0,
        owner: Uid(0),
        mode: 0o100_755,
    });
    for (pid, exe, kind) in [
        (DAEMON, daemon, FileKind::Else),
        (CLIENT, client, FileKind::Network { socket: net.clone(), heard_ms: None }),
    ] {
        host.programs.insert(Pid(pid), program(pid, exe));
        let list = vec![OpenFile { fd, kind }];
        let files = Files { key: key(pid), comm: Vec::new(), parent: Pid(1), list, complete: true };
        host.files.insert(Pid(pid), Arc::new(files));
    }
    let hop = |pid, backing| Hop { process: key(pid), comm: b"x".to_vec(), fds: vec![fd], backing };
    let relay = Relay { process: program(CLIENT, client), file: None, root: b"/".to_vec(), sockets: 1 };
    let way = Way {
        hops: vec![
            hop(SHELL, Backing::Pipe(Inode(70))),
            hop(DAEMON, Backing::Pipe(Inode(70))),
            hop(DAEMON, between.clone()),
            hop(CLIENT, between),
            hop(CLIENT, Backing::Network(net.clone())),
        ],
        socket: net,
        heard_ms: None,
        relay: Arc::new(relay),
        session: None,
        first: Channel::Pipe(1, Inode(70)),
        closed: false,
    };
    let look = script.look(SHELL, 1, &["sh"], [NULL, NULL, NULL]);
    script.engine.ends_at_another_client(&look, &way, &script.host)
}

#[test]
fn another_client_of_dockerd() {
    let unix = || Backing::Unix(Inode(80));
    assert!(is_another("/usr/sbin/dockerd", "/usr/bin/agent", unix(), 7));
    // The one that was started in a reverse shell, and what makes a port of dockerd's socket.
    assert!(!is_another("/usr/sbin/dockerd", "/usr/bin/docker", unix(), 0));
    assert!(!is_another("/usr/sbin/dockerd", "/usr/bin/socat", unix(), 7));
    // Nobody trusts it.
    assert!(!is_another("/home/u/dockerd", "/usr/bin/agent", unix(), 7));
    // Who reads what the session's own client prints is no client of the daemon's.
    assert!(!is_another("/usr/bin/docker", "/usr/bin/agent", Backing::Pipe(Inode(80)), 7));
    assert!(!is_another("/usr/sbin/dockerd", "/usr/bin/agent", Backing::Pipe(Inode(80)), 7));
}
