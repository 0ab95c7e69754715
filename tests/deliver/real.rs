//! The real rsyslog and syslog-ng, stopped, killed and started again while 10,000 findings are on their way.
//!
//! A syslog daemon that is killed loses what it holds in memory. Both are configured to hold nothing there: rsyslog by a
//! direct queue, syslog-ng by writing each message as it reads it.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use tetherd::deliver::format::Format;
use tetherd::deliver::settings::{Confirm, Destination, TlsSettings, Transport};

use super::certificates::{Authority, file};
use super::ground::{Ground, destination};
use crate::common::syslogd::{Program, Syslogd};
use crate::common::{DEADLINE, skip, wait_at_most};

/// How many findings.
const FINDINGS: usize = 10_000;
/// How many messages may come again for each time that one side goes away: what was on its way and the margin, at most.
const AGAIN_MAX: usize = 8 * (64 + 128);

/// How messages come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Socket,
    Tcp,
    /// With the shipped configuration of the receiver, which asks for a certificate of ours.
    Tls,
}

struct Receiver {
    program: Program,
    daemon: Syslogd,
    way: Way,
    port: u16,
}

impl Receiver {
    fn new(program: Program, way: Way) -> Self {
        let daemon = Syslogd::new(program);
        // Another process could take the port until the daemon does; then the test says that it does not listen.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = |name: &str| daemon.path(name).display().to_string();
        let text = match program {
            _ if way == Way::Tls => over_tls(program, &daemon, port),
            Program::Rsyslog => rsyslog(way, port, &at("log"), &at("out"), &at("")),
            Program::SyslogNg => syslog_ng(way, port, &at("log"), &at("out")),
        };
        std::fs::write(daemon.path("conf"), text).unwrap();
        let mut receiver = Self { program, daemon, way, port };
        receiver.start();
        receiver
    }

    fn start(&mut self) {
        let (way, port) = (self.way, self.port);
        self.daemon.start(|directory: &Path| match way {
            Way::Socket => UnixDatagram::unbound().unwrap().connect(directory.join("log")).ok(),
            Way::Tcp | Way::Tls => TcpStream::connect(("127.0.0.1", port)).ok().map(drop),
        });
    }

    fn destination(&self) -> Destination {
        match self.way {
            Way::Socket => Destination {
                format: Some(Format::Compact),
                ..destination("local", Transport::DevLog, self.daemon.path("log").to_str().unwrap())
            },
            Way::Tcp => destination("siem", Transport::Tcp, &format!("localhost:{}", self.port)),
            Way::Tls => Destination {
                tls: TlsSettings {
                    ca: self.daemon.path("ca.pem"),
                    certificate: self.daemon.path("node.pem"),
                    key: self.daemon.path("node.key"),
                    server_name: "collector.example".into(),
                },
                // rsyslog does not say its end in TLS.
                confirm: match self.program {
                    Program::Rsyslog => Confirm::Close,
                    Program::SyslogNg => Confirm::CloseNotify,
                },
                ..destination("siem", Transport::Tls, &format!("localhost:{}", self.port))
            },
        }
    }

    fn arrived(&self) -> Vec<String> {
        self.daemon.lines("out")
    }

    /// Waits until so many lines have arrived.
    fn has(&self, count: usize) {
        let enough = wait_at_most(DEADLINE, || (self.arrived().len() >= count).then_some(()));
        assert!(enough.is_some(), "{} of {count}; it said:\n{}", self.arrived().len(), self.daemon.said());
    }
}

/// The shipped configuration, but for where it listens and where its files are; and those.
fn over_tls(program: Program, daemon: &Syslogd, port: u16) -> String {
    let authority = Authority::new("a site's CA");
    let (own, node) =
        (authority.issue(&["collector.example"], |_| {}), authority.issue(&["node-7.nodes.example"], |_| {}));
    for (name, text) in [
        ("ca.pem", &authority.pem),
        ("cert.pem", &own.pem),
        ("key.pem", &own.key),
        ("node.pem", &node.pem),
        ("node.key", &node.key),
    ] {
        file(daemon.path("").as_path(), name, text, 0o600);
    }
    let (name, directory, before, listens) = match program {
        Program::Rsyslog => (
            "rsyslog-receiver-tls.conf",
            "/etc/rsyslog.d/tls",
            format!("global(workDirectory=\"{}\")\n", daemon.path("").display()),
            ("port=\"6514\"", format!("address=\"127.0.0.1\" port=\"{port}\"")),
        ),
        Program::SyslogNg => (
            "syslog-ng-receiver-tls.conf",
            "/etc/syslog-ng/tls",
            String::new(),
            ("ip(0.0.0.0) port(6514)", format!("ip(127.0.0.1) port({port})")),
        ),
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/forwarders").join(name);
    let mut text = before + &std::fs::read_to_string(path).unwrap();
    for (from, to) in [
        listens,
        (directory, daemon.path("").display().to_string()),
        ("/var/log/tetherd.jsonl", daemon.path("out").display().to_string()),
    ] {
        assert!(text.contains(from), "{name} has no {from}");
        text = text.replace(from, &to);
    }
    text
}

fn rsyslog(way: Way, port: u16, socket: &str, out: &str, directory: &str) -> String {
    let (module, input) = match way {
        Way::Socket => {
            ("imuxsock\" SysSock.Use=\"off", format!("imuxsock\" Socket=\"{socket}\" RateLimit.Interval=\"0"))
        }
        Way::Tcp | Way::Tls => ("imtcp", format!("imtcp\" Address=\"127.0.0.1\" Port=\"{port}")),
    };
    format!(
        r#"global(workDirectory="{directory}" maxMessageSize="64k")
module(load="{module}")
input(type="{input}" Ruleset="all")
template(name="line" type="string" string="%msg:::drop-last-lf%\n")
ruleset(name="all" queue.type="Direct") {{
action(type="omfile" File="{out}" template="line")
}}
"#
    )
}

fn syslog_ng(way: Way, port: u16, socket: &str, out: &str) -> String {
    let source = match way {
        Way::Socket => format!("unix-dgram(\"{socket}\")"),
        Way::Tcp | Way::Tls => {
            format!("syslog(ip(127.0.0.1) port({port}) transport(tcp) max-connections(100))")
        }
    };
    format!(
        r#"@version: 3.35
options {{ use-dns(no); dns-cache(no); keep-hostname(yes); stats-freq(0); flush-lines(1); log-msg-size(65536); }};
source s {{ {source}; }};
destination d {{ file("{out}" template("$MSG\n")); }};
log {{ source(s); destination(d); flags(flow-control); }};
"#
    )
}

/// Away in every way, each time with more on the way.
fn survives(program: Program, way: Way) {
    if let Some(what) = program.missing() {
        return skip(what);
    }
    let mut receiver = Receiver::new(program, way);
    let mut ground = Ground::new(FINDINGS);
    let own = receiver.destination();
    ground.start(std::slice::from_ref(&own));

    receiver.has(FINDINGS / 10);
    receiver.daemon.kill();
    receiver.start();

    receiver.has(FINDINGS * 2 / 10);
    receiver.daemon.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(300));
    receiver.daemon.signal(Signal::SIGCONT);

    receiver.has(FINDINGS * 3 / 10);
    receiver.daemon.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(300));
    receiver.daemon.kill();
    receiver.start();

    receiver.has(FINDINGS * 4 / 10);
    receiver.daemon.stop();
    receiver.start();

    // Our side ends and begins again meanwhile.
    receiver.has(FINDINGS * 5 / 10);
    ground.stop();
    ground.start(std::slice::from_ref(&own));
    let again = ground.all_arrive(&own.name, || receiver.arrived());
    assert!(again <= 4 * AGAIN_MAX, "{again} came again");
    ground.stop();
}

#[test]
fn rsyslog_by_socket() {
    survives(Program::Rsyslog, Way::Socket);
}

#[test]
fn rsyslog_by_tcp() {
    survives(Program::Rsyslog, Way::Tcp);
}

#[test]
fn rsyslog_by_tls() {
    if !Path::new("/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so").exists() {
        return skip("rsyslog-gnutls");
    }
    survives(Program::Rsyslog, Way::Tls);
}

#[test]
fn syslog_ng_by_socket() {
    survives(Program::SyslogNg, Way::Socket);
}

#[test]
fn syslog_ng_by_tcp() {
    survives(Program::SyslogNg, Way::Tcp);
}

#[test]
fn syslog_ng_by_tls() {
    survives(Program::SyslogNg, Way::Tls);
}
