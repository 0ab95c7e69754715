//! Receivers over TLS, good ones and others, and what the operator is told of them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use tempfile::TempDir;
use tetherd::deliver::progress::{State, Tally};
use tetherd::deliver::settings::{Confirm, Destination, TlsSettings, Transport};

use super::bad::AGAIN_MAX;
use super::certificates::{Authority, Identity, file, receiver, serve, session};
use super::ground::{Ground, destination};
use super::receiver::{Arrived, Tcp, read_all};
use crate::common::{wait_at_most, wait_for};

/// A CA, its file, and a receiver's certificate.
struct Site {
    files: TempDir,
    authority: Authority,
    server: Identity,
}

impl Site {
    fn new() -> Self {
        let authority = Authority::new("tetherd test CA");
        let server = authority.issue(&["127.0.0.1", "siem.example"], |_| {});
        let files = tempfile::tempdir().unwrap();
        file(files.path(), "ca.pem", &authority.pem, 0o644);
        Self { files, authority, server }
    }

    fn path(&self) -> &Path {
        self.files.path()
    }

    /// A destination that trusts this CA.
    fn to(&self, name: &str, address: &str) -> Destination {
        let tls = TlsSettings { ca: self.path().join("ca.pem"), ..TlsSettings::default() };
        Destination { tls, ..destination(name, Transport::Tls, address) }
    }

    /// The same, with a certificate from `authority`.
    fn known_to(&self, name: &str, address: &str, authority: &Authority) -> Destination {
        let node = authority.issue(&["node-7.example"], |_| {});
        let mut destination = self.to(name, address);
        destination.tls.certificate = file(self.path(), &format!("{name}.pem"), &node.pem, 0o644);
        destination.tls.key = file(self.path(), &format!("{name}.key"), &node.key, 0o600);
        destination
    }
}

fn trouble(ground: &Ground, name: &str) -> String {
    let failing = || {
        let situation = ground.of(name).situation();
        (situation.state == State::Failing).then_some(situation.error)
    };
    wait_at_most(Duration::from_secs(30), failing)
        .unwrap_or_else(|| panic!("{name}: {:?}", ground.of(name).situation()))
}

/// Each version, with a certificate of our own and without.
#[test]
fn a_good_receiver_gets_each_record_once() {
    let site = Site::new();
    for (versions, clients) in [
        (&[&rustls::version::TLS13], None),
        (&[&rustls::version::TLS12], None),
        (&[&rustls::version::TLS13], Some(&site.authority)),
        (&[&rustls::version::TLS12], Some(&site.authority)),
    ] {
        let mut ground = Ground::new(1000);
        let receiver = receiver(site.server.server(clients, versions));
        ground.start(&[match clients {
            None => site.to("siem", receiver.address()),
            Some(clients) => site.known_to("siem", receiver.address(), clients),
        }]);
        assert_eq!(ground.all_arrive("siem", || receiver.arrived()), 0);
        // The connection ended, and another one is made for what comes later.
        ground.append(10);
        assert_eq!(ground.all_arrive("siem", || receiver.arrived()), 0);
        ground.stop();
        assert_eq!(ground.of("siem").get(Tally::Resent), 0);
        assert_eq!(ground.of("siem").get(Tally::Failures), 0);
    }
}

/// What is asked for is the name that is set, and not the address.
#[test]
fn the_name_that_is_asked_for() {
    let site = Site::new();
    let asked = Arc::new(std::sync::Mutex::new(None));
    let (into, config) = (asked.clone(), site.server.usual());
    let receiver = Tcp::new(move |_, stream, arrived| {
        let mut session = session(&config, stream);
        read_all(&mut session, arrived);
        *into.lock().unwrap() = session.conn.server_name().map(str::to_owned);
    });
    let mut ground = Ground::new(10);
    let mut siem = site.to("siem", receiver.address());
    siem.tls.server_name = "siem.example".into();
    ground.start(&[siem]);
    ground.all_arrive("siem", || receiver.arrived());
    assert_eq!(asked.lock().unwrap().as_deref(), Some("siem.example"));
}

/// A certificate that nobody else has signed, trusted as it is.
#[test]
fn a_certificate_that_is_its_own_ca() {
    let site = Site::new();
    let own = Identity::of_nobody(&["127.0.0.1"]);
    let receiver = receiver(own.usual());
    let mut siem = site.to("siem", receiver.address());
    siem.tls.ca = file(site.path(), "own.pem", &own.pem, 0o644);
    let mut ground = Ground::new(10);
    ground.start(&[siem]);
    ground.all_arrive("siem", || receiver.arrived());
}

#[test]
fn closes_within_a_message() {
    const BREAKS: usize = 5;
    let site = Site::new();
    let config = site.server.usual();
    let mut ground = Ground::new(3000);
    let receiver = Tcp::new(move |number, stream, arrived| match number {
        0..BREAKS => read_all(session(&config, stream).take(10_000 + 7_777 * number as u64), arrived),
        _ => serve(&config, stream, arrived),
    });
    ground.start(&[site.to("siem", receiver.address())]);
    let again = ground.all_arrive("siem", || receiver.arrived());
    assert!(again <= BREAKS * AGAIN_MAX, "{again}");
    assert!(ground.of("siem").get(Tally::Reconnects) >= 1);
}

/// It does the handshake and does not read; then its process ends, and what its kernel had acknowledged is gone with it.
#[test]
fn stands_still_and_dies() {
    let site = Site::new();
    let config = site.server.usual();
    let dies = Arc::new(AtomicBool::new(false));
    let die = dies.clone();
    let receiver = Tcp::new(move |number, stream, arrived| {
        if number > 0 {
            return serve(&config, stream, arrived);
        }
        let mut session = session(&config, stream);
        while session.conn.is_handshaking() {
            session.conn.complete_io(&mut session.sock).unwrap();
        }
        while !die.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let mut ground = Ground::new(3000);
    ground.start(&[site.to("siem", receiver.address())]);
    wait_for("it stands still", || (ground.of("siem").on_the_way() > 0).then_some(()));
    assert_eq!((receiver.arrived().len(), ground.of("siem").done()), (0, 0));
    dies.store(true, Ordering::Relaxed);
    assert_eq!(ground.all_arrive("siem", || receiver.arrived()), 0);
}

/// Ends the connection, and not the session.
fn without_close_notify(config: Arc<ServerConfig>) -> Tcp {
    Tcp::new(move |_, stream, arrived| read_all(session(&config, stream), arrived))
}

/// As rsyslog does it: good enough, unless more is asked for.
#[test]
fn an_end_that_is_not_said_in_tls() {
    let site = Site::new();
    let receiver = without_close_notify(site.server.usual());
    let mut ground = Ground::new(300);
    ground.start(&[site.to("siem", receiver.address())]);
    assert_eq!(ground.all_arrive("siem", || receiver.arrived()), 0);
    ground.stop();

    let ground_of = |receiver: &Tcp| {
        let mut ground = Ground::new(300);
        let confirm = Confirm::CloseNotify;
        ground.start(&[Destination { confirm, ..site.to("strict", receiver.address()) }]);
        ground
    };
    let ground = ground_of(&receiver);
    let said = trouble(&ground, "strict");
    assert!(said.contains("without TLS's close_notify, which confirm = \"close-notify\" wants"), "{said}");
    assert_eq!(ground.of("strict").done(), 0);
    let receiver = super::certificates::receiver(site.server.usual());
    assert_eq!(ground_of(&receiver).all_arrive("strict", || receiver.arrived()), 0);
}

/// Takes connections, `says` something, and keeps what comes.
fn false_one(says: &'static [u8], closes: bool) -> Tcp {
    Tcp::new(move |_, mut stream: TcpStream, arrived: &Arrived| {
        let _ = stream.write_all(says);
        let mut buffer = [0; 65_536];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            arrived.lock().unwrap().push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            if closes {
                break;
            }
        }
    })
}

/// Everything that a receiver can do wrong at the beginning: one sentence each, nothing is sent in clear, and one that is
/// well gets its findings meanwhile.
#[test]
fn what_is_wrong_is_said() {
    let (site, other) = (Site::new(), Authority::new("another CA"));
    let issue = |names: &[&str], change: fn(&mut rcgen::CertificateParams)| {
        receiver(site.authority.issue(names, change).usual())
    };
    let asks = || receiver(site.server.server(Some(&site.authority), rustls::ALL_VERSIONS));
    let old = &[&rustls::version::TLS12];
    let (known, asking, asking_12) =
        (asks(), asks(), receiver(site.server.server(Some(&site.authority), old)));
    let cases = [
        (
            "name",
            issue(&["a.example", "b.example"], |_| {}),
            "its certificate is for a.example, b.example and not for 127.0.0.1: set server_name",
        ),
        (
            "expired",
            issue(&["127.0.0.1"], |params| params.not_after = rcgen::date_time_ymd(2021, 2, 3)),
            "its certificate, or one of its CA's, expired at 2021-02-03T00:00:00",
        ),
        (
            "early",
            issue(&["127.0.0.1"], |params| params.not_before = rcgen::date_time_ymd(2051, 2, 3)),
            "its certificate is not valid before 2051-02-03T00:00:00",
        ),
        (
            "nameless",
            issue(&[], |_| {}),
            "its certificate names no host in subjectAltName (a CN is not enough), and has to name 127.0.0.1",
        ),
        (
            "client",
            issue(&["127.0.0.1"], |params| {
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth]
            }),
            "its certificate is not one for a server",
        ),
        (
            "ca",
            issue(&["127.0.0.1"], |params| {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)
            }),
            "its certificate is one of a CA (CA:TRUE)",
        ),
        (
            "unknown",
            receiver(other.issue(&["127.0.0.1"], |_| {}).usual()),
            "its certificate comes from no CA in /",
        ),
        (
            "garbage",
            false_one(b"220 mail.example ESMTP\r\n", false),
            "what it answers is no TLS: is it the right port?",
        ),
        ("alike", false_one(b"\x16\x03\x03\x00\x04\xff\xff\xff\xff", false), "what it answers is no TLS"),
        ("closes", false_one(b"", true), "closed the connection in the handshake: does it expect TLS there?"),
        ("hangs", false_one(b"", false), "the handshake was not over within 10 s: does it expect TLS there?"),
        ("asks", asking, "it asks for a certificate of ours: set certificate and key"),
        ("asks-12", asking_12, "asks for a certificate of ours"),
    ];
    let good = receiver(site.server.usual());
    let mut destinations: Vec<Destination> =
        cases.iter().map(|(name, receiver, _)| site.to(name, receiver.address())).collect();
    destinations.push(site.known_to("stranger", known.address(), &other));
    destinations.push(site.to("good", good.address()));
    let mut ground = Ground::new(200);
    ground.start(&destinations);
    assert_eq!(ground.all_arrive("good", || good.arrived()), 0);
    for (name, receiver, wanted) in &cases {
        let said = trouble(&ground, name);
        assert!(said.contains(wanted), "{name}: {said}");
        let clear = receiver.arrived().into_iter().find(|text| text.contains("tetherd"));
        assert_eq!((clear, ground.of(name).done()), (None, 0), "{name}");
    }
    let said = trouble(&ground, "stranger");
    assert!(said.contains("it does not take our certificate (UnknownCA"), "{said}");
    ground.stop();
}

/// Talks on and on, within TLS.
#[test]
fn talks_without_an_end() {
    let site = Site::new();
    let config = site.server.usual();
    let talker = Tcp::new(move |_, stream, _| {
        let mut session = session(&config, stream);
        while session.write_all(&[b'x'; 16_384]).is_ok() {}
    });
    let mut ground = Ground::new(50);
    ground.start(&[site.to("siem", talker.address())]);
    let said = trouble(&ground, "siem");
    assert!(said.contains("is it the right port?"), "{said}");
}

/// Files are read when they have changed: nobody has to be told.
#[test]
fn files_that_change() {
    let site = Site::new();
    let next = Authority::new("the next CA");
    let mut ground = Ground::new(50);
    let receiver = receiver(next.issue(&["127.0.0.1"], |_| {}).usual());
    ground.start(&[site.to("siem", receiver.address())]);
    assert!(trouble(&ground, "siem").contains("its certificate comes from no CA in /"));
    std::fs::remove_file(site.path().join("ca.pem")).unwrap();
    wait_for("the file is missed", || {
        let error = ground.of("siem").situation().error;
        error.contains("ca.pem cannot be read (No such file or directory").then_some(())
    });
    file(site.path(), "ca.pem", &next.pem, 0o644);
    assert_eq!(ground.all_arrive("siem", || receiver.arrived()), 0);
    wait_for("it is over", || (ground.of("siem").situation().state == State::Idle).then_some(()));
}

/// A receiver that closes its side while something is still on its way to it, and reads it no more: its kernel has said the
/// end of the connection, and not that it has everything.
#[test]
fn closes_before_it_has_everything() {
    let site = Site::new();
    for tls in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // What does not fit stays with the sender.
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 2048).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let arrived = Arrived::default();
        let (into, config) = (arrived.clone(), site.server.usual());
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let stream = stream.unwrap();
                // Meanwhile the sender says its end.
                let meanwhile = || std::thread::sleep(Duration::from_millis(300));
                match (number, tls) {
                    (0, false) => {
                        stream.peek(&mut [0]).unwrap();
                        meanwhile();
                        stream.shutdown(std::net::Shutdown::Write).unwrap();
                        meanwhile();
                    }
                    (0, true) => {
                        let mut session = session(&config, stream);
                        session.read_exact(&mut [0]).unwrap();
                        meanwhile();
                        session.conn.send_close_notify();
                        session.flush().unwrap();
                        session.sock.shutdown(std::net::Shutdown::Write).unwrap();
                        meanwhile();
                    }
                    (_, false) => read_all(stream, &into),
                    (_, true) => serve(&config, stream, &into),
                }
            }
        });
        let mut ground = Ground::new(60);
        ground.start(&[match tls {
            false => destination("siem", Transport::Tcp, &address),
            true => site.to("siem", &address),
        }]);
        ground.all_arrive("siem", || arrived.lock().unwrap().clone());
    }
}
