//! Runtimes that do not do what they should: slow, refusing, talking nonsense, too much, of somebody else, or not at all.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::false_runtime::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PING, Say, Server, begun, frame, framed, header,
};
use super::wire::bytes;
use super::*;
use crate::enrich::container::identify;
use crate::enrich::metadata::facts::Metadata;
use crate::enrich::metadata::{MetadataSettings, Runtimes};
use crate::model::ids::ContainerId;

const ID: &str = "73bfe475650de66df8e2affdc98d440dcbe84f8df83b6f75a68a82eb7026136a";
const SANDBOX: &str = "11bfe475650de66df8e2affdc98d440dcbe84f8df83b6f75a68a82eb7026136a";
const UID: &str = "63b3ebfc-2890-41e9-8154-16bf8ef8d9dc";

/// Asks a server as a record does.
fn ask(server: &Server) -> Result<Option<Metadata>, &'static str> {
    question().ask_at(&server.path(), Instant::now() + Duration::from_secs(20))
}

fn question() -> Question {
    Question {
        key: Key {
            runtime: "containerd",
            id: ContainerId::new(ID).unwrap(),
            pod: Some(UID.into()),
            user: None,
            namespace: None,
        },
        sockets: Vec::new(),
        labels_max: 32,
        annotations: vec!["kubernetes.io/config.source".into()],
    }
}

fn pair(field: u64, key: &str, value: &str) -> Vec<u8> {
    bytes(field, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat())
}

fn number(field: u64, value: u8) -> Vec<u8> {
    vec![(field << 3) as u8, value]
}

fn container(id: &str) -> Say {
    let status = [
        bytes(1, id.as_bytes()),
        bytes(2, &[bytes(1, b"app"), number(2, 2)].concat()),
        number(4, 7),
        bytes(8, &bytes(1, b"registry/box:1")),
        bytes(9, b"registry/box@sha256:aa"),
        pair(13, "io.kubernetes.container.hash", "x"),
    ];
    Say::Message(bytes(1, &status.concat()))
}

fn list(id: &str) -> Say {
    Say::Message(bytes(1, &[bytes(1, id.as_bytes()), bytes(2, SANDBOX.as_bytes())].concat()))
}

fn sandbox(id: &str, uid: &str, labels: &[(&str, &str)]) -> Say {
    let metadata = [bytes(1, b"front-1"), bytes(2, uid.as_bytes()), bytes(3, b"shop")].concat();
    let labels: Vec<u8> = labels.iter().flat_map(|(key, value)| pair(7, key, value)).collect();
    let source = pair(8, "kubernetes.io/config.source", "api");
    Say::Message(bytes(1, &[bytes(1, id.as_bytes()), bytes(2, &metadata), labels, source].concat()))
}

/// What is root's is believed: without being root there is nothing to test.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED: this takes root");
    }
    is_root
}

#[test]
fn a_container_of_a_pod() {
    if !is_root() {
        return;
    }
    let labels = [("app", "front"), ("io.kubernetes.pod.name", "front-1"), ("x", "a\u{1b}[2J")];
    let server = Server::new(vec![container(ID), list(ID), sandbox(SANDBOX, UID, &labels)]);
    let found = ask(&server).unwrap().unwrap();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!((found.name, found.attempt), (some("app"), Some(2)));
    assert_eq!(found.image, some("registry/box:1"));
    assert_eq!(found.image_id, some("registry/box@sha256:aa"));
    assert_eq!(found.created, some("1970-01-01T00:00:00.000000007Z"));
    assert_eq!((found.pod_name, found.pod_namespace), (some("front-1"), some("shop")));
    let labels = found.labels.unwrap();
    assert_eq!(labels.list.into_iter().collect::<Vec<_>>(), [("app".into(), "front".into())]);
    assert_eq!(labels.left_out, 1);
    let annotations: Vec<_> = found.annotations.into_iter().collect();
    assert_eq!(annotations, [("kubernetes.io/config.source".into(), "api".into())]);
    // A pod's own container is none to the interface.
    let server = Server::new(vec![Say::Status("5"), sandbox(ID, UID, &[])]);
    assert_eq!(ask(&server).unwrap().unwrap().pod_name, some("front-1"));
    let server = Server::new(vec![Say::Status("5"), Say::Status("5")]);
    assert_eq!(ask(&server), Ok(None));
}

/// One that knows the interface by its old name alone: asked by both once, then by that.
#[test]
fn an_old_runtime() {
    if !is_root() {
        return;
    }
    let says = vec![Say::Status("12"), container(ID), list(ID), sandbox(SANDBOX, UID, &[("app", "front")])];
    let server = Server::new(says);
    let found = ask(&server).unwrap().unwrap();
    assert_eq!((found.name.as_deref(), found.pod_name.as_deref()), (Some("app"), Some("front-1")));
    assert_eq!((server.heard("/runtime.v1.Runtime"), server.heard("/runtime.v1alpha2.")), (1, 3));
    // A new one is never asked by the old name.
    let server = Server::new(vec![container(ID), list(ID), sandbox(SANDBOX, UID, &[])]);
    assert!(ask(&server).unwrap().is_some());
    assert_eq!((server.heard("/runtime.v1.Runtime"), server.heard("/runtime.v1alpha2.")), (3, 0));
    // Nor is a container that it does not know, which is no reason to try the other.
    let server = Server::new(vec![Say::Status("12"), Say::Status("5"), Say::Status("5")]);
    assert_eq!(ask(&server), Ok(None));
    assert_eq!((server.heard("/runtime.v1.Runtime"), server.heard("/runtime.v1alpha2.")), (1, 2));
}

/// containerd says by its own interface what it knows of a container of `ctr`'s.
#[test]
fn a_container_of_no_pod() {
    if !is_root() {
        return;
    }
    let own = |id: &str| {
        Say::Message(bytes(1, &[bytes(1, id.as_bytes()), bytes(3, b"docker.io/library/box:1")].concat()))
    };
    let ask = |says: Vec<Say>| {
        let server = Server::new(says);
        let settings = MetadataSettings { cri: CriSockets::At(server.path()), ..MetadataSettings::default() };
        let runtimes = Runtimes::new(settings);
        let container = identify(b"0::/default/web\n", true).unwrap();
        runtimes.ask(&container);
        let known = runtimes.wait(&container, Instant::now() + Duration::from_secs(20));
        assert_eq!(known.metadata.name.as_deref(), Some("web"));
        assert_eq!(server.heard("/containerd.services.containers.v1."), 1);
        known.socket.map(|()| known.metadata.image.clone())
    };
    assert_eq!(ask(vec![own("web")]), Ok(Some("docker.io/library/box:1".into())));
    assert_eq!(ask(vec![own("other")]), Err("the runtime's answer is of another container"));
    assert_eq!(ask(vec![Say::Status("5")]), Err("the runtime does not know the container"));
    // Another runtime's socket is named in the configuration.
    assert_eq!(ask(vec![Say::Status("12")]), Err(UNKNOWN_CALL));
}

/// A record and a rule want to know of one container: the runtime has one conversation about it.
#[test]
fn one_container_is_asked_for_once() {
    if !is_root() {
        return;
    }
    let server = Server::new(vec![container(ID), list(ID), sandbox(SANDBOX, UID, &[])]);
    let settings = MetadataSettings { cri: CriSockets::At(server.path()), ..MetadataSettings::default() };
    let runtimes = Runtimes::new(settings);
    let container = identify(format!("0::/kubepods/pod{UID}/{ID}\n").as_bytes(), true).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            let runtimes = runtimes.clone();
            let container = &container;
            scope.spawn(move || {
                runtimes.ask(container);
                let known = runtimes.wait(container, Instant::now() + Duration::from_secs(20));
                assert_eq!((known.socket, known.metadata.pod_name.as_deref()), (Ok(()), Some("front-1")));
            });
        }
    });
    assert_eq!(runtimes.asked().sockets, 1);
    assert_eq!(server.heard("/runtime.v1.Runtime"), 3);
}

#[test]
fn answers_that_are_none() {
    if !is_root() {
        return;
    }
    let refused = Err("the runtime refused");
    let neither = Err(UNKNOWN_CALL);
    let ended = Err("the runtime ended the connection");
    let no_grpc = Err("the runtime gave no proper answer");
    let another = Err("the runtime's answer is of another container");
    let other_pod = Err("the runtime's answer is of another pod");
    let too_long = Err("the runtime's answer is too long");
    let begun_only = begun(1, &framed(&[0; 100])[..50]);
    let http = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec();
    let two = [framed(&[]), framed(&[])].concat();
    let end = frame(HEADERS, END_HEADERS | END_STREAM, 1, &header("grpc-status", "0"));
    let plain = frame(HEADERS, END_HEADERS, 1, &[vec![0x88], header("content-type", "text/html")].concat());
    let without_status = [begun(1, &framed(&[])), frame(DATA, END_STREAM, 1, &[])].concat();
    let nobodys = Say::Message(bytes(1, &bytes(1, b"x")));
    for (what, says, expected) in [
        ("it refuses", vec![Say::Status("7")], refused),
        ("neither name", vec![Say::Status("12"); 2], neither),
        ("neither name, later", vec![container(ID), Say::Status("12"), Say::Status("12")], neither),
        ("an old one that fails", vec![Say::Status("12"), Say::Status("7")], refused),
        ("it closes", vec![Say::Close], ended),
        ("another protocol", vec![Say::Bytes(http)], no_grpc),
        ("another content", vec![Say::Bytes(plain)], no_grpc),
        ("no message", vec![Say::Bytes([begun(1, &[]), end.clone()].concat())], no_grpc),
        ("two messages", vec![Say::Bytes([begun(1, &two), end.clone()].concat())], no_grpc),
        ("a shorter one", vec![Say::Bytes([begun_only, end].concat())], no_grpc),
        ("no status", vec![Say::Bytes(without_status)], no_grpc),
        ("no protobuf", vec![Say::Message(vec![0xff; 40])], Err("the runtime's answer cannot be read")),
        ("nothing in it", vec![Say::Message(Vec::new())], another),
        ("another container", vec![container(SANDBOX)], another),
        ("listed under another id", vec![container(ID), list(SANDBOX)], another),
        ("a sandbox that is no id", vec![container(ID), nobodys], another),
        ("another sandbox", vec![container(ID), list(ID), sandbox(ID, UID, &[])], other_pod),
        ("another pod", vec![container(ID), list(ID), sandbox(SANDBOX, "x", &[])], other_pod),
        ("closes later", vec![container(ID), Say::Close], ended),
        ("too long", vec![Say::Message(vec![0; 2 << 20])], too_long),
        ("without end", vec![Say::Endlessly(frame(DATA, 0, 1, &[0; 1024]))], no_grpc),
        ("pings without end", vec![Say::Endlessly(frame(PING, 1, 0, &[0; 8]))], too_long),
    ] {
        let found = ask(&Server::new(says)).map(drop);
        // A broken connection can be heard of as that, or as its end.
        assert!(found == expected || found == ended && expected == no_grpc, "{what}: {found:?}");
    }
}

#[test]
fn a_slow_one_is_given_up() {
    if !is_root() {
        return;
    }
    for says in [vec![Say::Nothing], vec![container(ID), Say::Nothing], vec![Say::Bytes(begun(1, &[0]))]] {
        let server = Server::new(says);
        let until = Instant::now() + Duration::from_millis(300);
        assert_eq!(question().ask_at(&server.path(), until), Err("the runtime was too slow"));
    }
}

#[test]
fn no_socket_of_roots() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sock");
    let ask = || question().ask_at(&path, Instant::now() + Duration::from_secs(20)).map(drop);
    assert_eq!(ask(), Err("the runtime's socket is not there"));
    fs::write(&path, "").unwrap();
    assert_eq!(ask(), Err("what should be the runtime's socket is none"));
    fs::remove_file(&path).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    chown(&path, Some(65_534), None).unwrap();
    assert_eq!(ask(), Err("the runtime's socket is not root's"));
    chown(&path, Some(0), None).unwrap();
    // Nobody accepts.
    rustix::net::listen(&listener, 0).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    assert_eq!(ask(), Err("the runtime accepts no more connections"));
    drop(listener);
    assert_eq!(ask(), Err("the runtime's socket cannot be reached"));
}

/// A socket file can have been made root's; who listens cannot.
#[test]
fn another_user_listens() {
    if !is_root() || !Path::new("/usr/bin/socat").exists() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sock");
    chown(directory.path(), Some(65_534), None).unwrap();
    let mut socat = Command::new("/usr/bin/socat");
    socat.arg(format!("UNIX-LISTEN:{},fork", path.display())).arg("-").uid(65_534).gid(65_534);
    let mut socat = socat.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !path.exists() && Instant::now() < until {
        thread::yield_now();
    }
    chown(&path, Some(0), None).unwrap();
    let ask = || question().ask_at(&path, until).map(drop);
    // The path is there before anybody listens on it.
    let mut found = ask();
    while found == Err("the runtime's socket cannot be reached") && Instant::now() < until {
        thread::yield_now();
        found = ask();
    }
    socat.kill().unwrap();
    socat.wait().unwrap();
    assert_eq!(found, Err("whoever listens on the runtime's socket is not root"));
}

/// What a record waits for is not the runtime; what it says comes with a later one.
#[test]
fn nothing_waits_for_it() {
    if !is_root() {
        return;
    }
    let server = Server::new(vec![container(ID), list(ID), sandbox(SANDBOX, UID, &[("app", "front")])]);
    let settings = |path| MetadataSettings {
        cri: CriSockets::At(path),
        containerd: Vec::new(),
        kubelet: Vec::new(),
        pod_logs: String::new(),
        ..MetadataSettings::default()
    };
    let container = identify(format!("0::/kubepods/pod{UID}/{ID}\n").as_bytes(), true).unwrap();
    let silent = Server::new(vec![Say::Nothing]);
    let runtimes = Runtimes::new(settings(silent.path()));
    runtimes.ask(&container);
    let known = runtimes.wait(&container, Instant::now());
    assert!(known.is_late() && known.socket == Err(LATE), "{known:?}");

    let runtimes = Runtimes::new(settings(server.path()));
    runtimes.ask(&container);
    let known = runtimes.wait(&container, Instant::now() + Duration::from_secs(20));
    assert_eq!((known.socket, known.is_late()), (Ok(()), false));
    assert_eq!(known.metadata.labels.as_ref().unwrap().list.len(), 1);
    // Asked once for all: the server is gone.
    drop(server);
    runtimes.ask(&container);
    let known = runtimes.wait(&container, Instant::now());
    assert_eq!((known.socket, known.metadata.name.as_deref()), (Ok(()), Some("app")));
    // A container that is no pod's is not asked for.
    let plain = identify(format!("0::/docker/{ID}\n").as_bytes(), true).unwrap();
    let runtimes = Runtimes::new(settings(silent.path()));
    runtimes.ask(&plain);
    assert_eq!(runtimes.asked().sockets, 0);
}

#[test]
fn which_sockets() {
    let of = |sockets: &CriSockets, cgroup: &str| {
        let container = identify(format!("0::{cgroup}\n").as_bytes(), true).unwrap();
        sockets.of(&Key::of(&container, true)).len()
    };
    let pod = format!("/kubepods/pod{UID}/{ID}");
    assert_eq!(of(&CriSockets::Off, &pod), 0);
    let at = CriSockets::At("/x".into());
    assert_eq!((of(&at, &pod), of(&at, &format!("/kubepods/pod{UID}/crio-{ID}"))), (1, 1));
    assert_eq!((of(&at, &format!("/docker/{ID}")), of(&at, "/lxc.payload.web")), (0, 0));
}
