//! Against living processes of this test's own.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;
use crate::host::reader::Reader;
use crate::model::ids::{Pid, StartTime};
use crate::model::look::{Cause, Observation};
use crate::model::socket::{Family, Peer, Protocol, Socket, SocketLookup, SocketType};
use crate::model::stdio::{Backing, Hop, TetherKind};
use crate::sys::clock;

/// A process that waits for its input to end.
struct Waits(Child);

impl Waits {
    /// Ready when it has said so: by then it is the program that it is to be.
    fn new(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 1];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        Self(child)
    }

    fn look(&self) -> Look {
        let reader = Reader::new(vec![SocketLookup::Getfd]);
        reader.look(Pid(self.0.id()), clock::now(), Observation::Live, Cause::Exec).unwrap().0
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn facts(look: &Look) -> Arc<Facts> {
    let mut evidence = Evidence::new(EvidenceSettings::default(), 1 << 20, namespaces::of_host());
    evidence.ask(look, &tether(look.key, TetherKind::Direct));
    evidence.wait(look, Instant::now() + Duration::from_secs(30)).unwrap()
}

/// A tether that this process holds, or another.
fn tether(holder: ProcessKey, kind: TetherKind) -> Tether {
    let socket = Arc::new(Socket {
        inode: Inode(0),
        cookie: None,
        family: Family::Inet,
        kind: SocketType::Stream,
        protocol: Protocol::Tcp,
        local: None,
        peer: Peer::Unknown,
        listening: false,
        net_ns: None,
        found_by: SocketLookup::Getfd,
    });
    let backing = Backing::Network(socket.clone());
    let hop = Hop { process: holder, comm: Vec::new(), fds: vec![3], backing };
    Tether { kind, hops: vec![hop], socket, fds: [true; 3] }
}

/// Whom the relay talks to beside the tether; of a command that has the socket itself, nothing.
#[test]
fn a_relays_other_peers() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let address = |address: std::net::SocketAddr| address.to_string();
    let expected = ("TCP", address(ours.peer_addr().unwrap()), address(ours.local_addr().unwrap()));
    let waits = Waits::new(Command::new("/bin/sh").args(["-c", "echo x; read line"]));
    let look = waits.look();
    let reader = Reader::new(vec![SocketLookup::Getfd]);
    let own =
        reader.look(Pid(std::process::id()), clock::now(), Observation::Live, Cause::Exec).unwrap().0.key;
    let settings = EvidenceSettings { network_peers_max: 64, ..EvidenceSettings::default() };
    let ask = |tether: &Tether, settings: &EvidenceSettings| {
        let mut evidence = Evidence::new(settings.clone(), 1 << 20, namespaces::of_host());
        evidence.ask(&look, tether);
        let facts = evidence.wait(&look, Instant::now() + Duration::from_secs(30)).unwrap();
        facts.relay.as_ref().map(|known| known.as_ref().map(|peers| peers.list.clone()).map_err(|why| *why))
    };
    // Other tests of this process have sockets too.
    let peers = ask(&tether(own, TetherKind::Relayed), &settings).unwrap().unwrap();
    assert!(peers.contains(&expected), "{peers:?}");
    assert_eq!(ask(&tether(own, TetherKind::Direct), &settings), None);
    let gone = ProcessKey { start: StartTime(1), ..own };
    assert_eq!(ask(&tether(gone, TetherKind::Relayed), &settings), Some(Err(GONE)));
    let off = EvidenceSettings { network_peers_max: 0, ..settings };
    assert_eq!(ask(&tether(own, TetherKind::Relayed), &off), None);
}

fn script(directory: &Path, text: &str) -> std::path::PathBuf {
    let path = directory.join("script.sh");
    std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    path
}

#[test]
fn a_script_and_its_environment() {
    let directory = tempfile::tempdir().unwrap();
    let path = script(directory.path(), "echo x; read line\n");
    let mut command = Command::new("/bin/sh");
    command.arg("script.sh").current_dir(directory.path()).env_clear();
    command.env("SSH_CONNECTION", "192.0.2.1 5 192.0.2.2 22").env("TOKEN", "hunter2");
    let waits = Waits::new(&mut command);
    let look = waits.look();
    let found = facts(&look);
    let environment = found.environment.as_ref().unwrap();
    assert_eq!(environment.values["SSH_CONNECTION"], "192.0.2.1 5 192.0.2.2 22");
    assert!(environment.names.contains(&"TOKEN".to_owned()) && !format!("{found:?}").contains("hunter2"));
    assert_eq!(found.namespaces, Ok(BTreeMap::new()));
    let ran = found.script.as_ref().unwrap().as_ref().unwrap();
    assert_eq!(ran.path, path.as_os_str().as_encoded_bytes());
    assert_eq!((ran.sum.hashed, ran.changed), (18, false));
    assert!(found.peers.is_none(), "not in the host's network namespace");
    assert!(found.origin.is_ok() && found.label.is_ok());
    // Its name goes: the shell has it open still. Its content changes: that is told.
    std::fs::remove_file(&path).unwrap();
    let mut again = look.clone();
    again.at.mono_ns += 1;
    let held = facts(&again);
    assert_eq!(held.script.as_ref().unwrap().as_ref().unwrap().sum, ran.sum);
    let other = script(directory.path(), "read other\n");
    let later = std::time::SystemTime::now() + Duration::from_secs(100);
    std::fs::File::options().write(true).open(other).unwrap().set_modified(later).unwrap();
    again.at.mono_ns += 1;
    assert!(facts(&again).script.as_ref().unwrap().as_ref().unwrap().changed);
    drop(waits);
    again.at.mono_ns += 1;
    let gone = facts(&again);
    assert_eq!(gone.environment.as_ref().err(), Some(&GONE));
    assert_eq!(gone.namespaces, Ok(BTreeMap::new()), "the look has them");
    assert!(gone.script.is_some());
}

/// A script that is none, or not to be read: a FIFO, and a file that never ends.
#[test]
fn what_is_no_script_file() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("script.sh");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let waits = Waits::new(Command::new("/bin/sh").args(["-c", "echo x; read line"]));
    let mut look = waits.look();
    for path in [fifo.to_str().unwrap(), "/dev/zero", "/no/such", "/proc/self/exe/x"] {
        look.args.list = vec![b"sh".to_vec(), path.as_bytes().to_vec()];
        look.at.mono_ns += 1;
        let found = facts(&look);
        assert_eq!(
            found.script.as_ref().unwrap().as_ref().err(),
            Some(&"there is no such regular file"),
            "{path}"
        );
    }
}

/// Another program since the look, by its file or by its arguments alone: what is read now is kept apart.
#[test]
fn another_program_since() {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "echo x; read line"]).env_clear().env("SUDO_USER", "eve");
    let waits = Waits::new(&mut command);
    let look = waits.look();
    let mut other_file = look.clone();
    other_file.exe.file = crate::enrich::samples::exe_of(Path::new("/proc/self/exe")).file;
    let mut other_args = look.clone();
    other_args.args.list = vec![b"busybox".to_vec(), b"nsenter".to_vec(), b"sh".to_vec()];
    for look in [other_file, other_args] {
        let found = facts(&look);
        assert_eq!(found.environment.as_ref().err(), Some(&"it has executed another program since"));
        assert_eq!(found.label.as_ref().err(), Some(&OTHER));
        assert_eq!(found.namespaces, Ok(BTreeMap::new()), "the look has those of the first");
        let later = found.later.as_ref().unwrap();
        assert_eq!(later.environment.as_ref().unwrap().values["SUDO_USER"], "eve");
        assert!(later.path.ends_with(b"sh") && later.args[1] == b"-c", "{later:?}");
    }
    let mut held = look.clone();
    held.seen = Observation::Held;
    assert!(facts(&held).later.is_none());
    assert!(facts(&look).environment.is_ok());
}

#[test]
fn not_ready_in_time() {
    let waits = Waits::new(Command::new("/bin/sh").args(["-c", "echo x; read line"]));
    let look = waits.look();
    let mut evidence = Evidence::new(EvidenceSettings::default(), 1 << 20, namespaces::of_host());
    assert_eq!(evidence.wait(&look, Instant::now()).err(), Some("not ready in time"));
}
