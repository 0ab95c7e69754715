//! A real syslog daemon on a socket of its own, which parses `@cee:` messages into lines of JSON.
//!
//! Owns: its configuration, its life, reading what it wrote. Nothing of it touches the system's own syslog.

use std::fs;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::syslogd::{Program, Syslogd};
use crate::common::{DEADLINE, wait_at_most};

/// Which daemon, and on which kind of socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// rsyslogd: imuxsock binds datagram sockets only.
    Rsyslog,
    /// syslog-ng, `unix-dgram`.
    NgDatagram,
    /// syslog-ng, `unix-stream`.
    NgStream,
}

impl Kind {
    fn program(self) -> Program {
        match self {
            Self::Rsyslog => Program::Rsyslog,
            Self::NgDatagram | Self::NgStream => Program::SyslogNg,
        }
    }

    /// What cannot be found of it.
    pub fn missing(self) -> Option<&'static str> {
        self.program().missing()
    }
}

/// Ends the test, loudly, unless it runs as root with the receiver there.
#[macro_export]
macro_rules! require_receiver {
    ($kind:expr) => {
        $crate::require!("gcc");
        if let Some(what) = $kind.missing() {
            return $crate::common::skip(what);
        }
    };
}

/// One message as the receiver understood it.
#[derive(Clone, Debug)]
pub struct Message(pub Value);

impl Message {
    /// What the header said: program, pid, facility, level, date; or `raw`, the whole message.
    pub fn header(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    /// A field of the object.
    pub fn text(&self, key: &str) -> &str {
        self.0["cee"][key].as_str().unwrap_or_default()
    }

    /// A number of the object; syslog-ng makes text of all.
    pub fn number(&self, key: &str) -> u64 {
        let value = &self.0["cee"][key];
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
    }
}

/// The receiver.
pub struct Receiver {
    kind: Kind,
    daemon: Syslogd,
}

impl Receiver {
    /// Not started.
    pub fn new(kind: Kind) -> Self {
        let daemon = Syslogd::new(kind.program());
        let at = |name: &str| daemon.path(name).display().to_string();
        let text = match kind {
            Kind::Rsyslog => rsyslog(&at("log"), &at("out"), &at("")),
            Kind::NgDatagram => syslog_ng("unix-dgram", &at("log"), &at("out")),
            Kind::NgStream => syslog_ng("unix-stream", &at("log"), &at("out")),
        };
        fs::write(daemon.path("conf"), text).unwrap();
        Self { kind, daemon }
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.daemon.path("log")
    }

    /// Starts it, and waits until its socket takes connections.
    pub fn start(&mut self) {
        let stream = self.kind == Kind::NgStream;
        self.daemon.start(|directory| match stream {
            true => UnixStream::connect(directory.join("log")).ok().map(drop),
            false => UnixDatagram::unbound().unwrap().connect(directory.join("log")).ok(),
        });
    }

    /// Ends it in order, and waits for that.
    pub fn stop(&mut self) {
        self.daemon.stop();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.daemon.signal(signal);
    }

    /// Every message so far that its parser took for JSON. A line without its newline is left for the next time.
    pub fn messages(&self) -> Vec<Message> {
        let parse =
            |line: &String| serde_json::from_str(line).unwrap_or_else(|e| panic!("no JSON ({e}): {line}"));
        self.daemon.lines("out").iter().map(|line| Message(parse(line))).collect()
    }

    /// The first message that `matches`.
    pub fn wait_for(&self, what: &str, matches: impl Fn(&Message) -> bool) -> Message {
        let found = wait_at_most(DEADLINE, || self.messages().into_iter().find(|m| matches(m)));
        found.unwrap_or_else(|| {
            let said = self.daemon.said();
            panic!("no message: {what}; there are {}; the receiver said:\n{said}", self.messages().len())
        })
    }
}

/// `UseSysTimeStamp` would put the time of receipt in the place of ours.
fn rsyslog(socket: &str, out: &str, directory: &str) -> String {
    let header = [
        ("program", "programname"),
        ("pid", "procid"),
        ("facility", "syslogfacility-text"),
        ("level", "syslogseverity-text"),
        ("raw", "rawmsg"),
    ];
    let header = header.map(|(key, name)| {
        format!("property(outname=\"{key}\" name=\"{name}\" format=\"jsonf\") constant(value=\",\")\n")
    });
    format!(
        r#"global(workDirectory="{directory}")
module(load="imuxsock" SysSock.Use="off")
module(load="mmjsonparse")
input(type="imuxsock" Socket="{socket}" Ruleset="cee" UseSysTimeStamp="off" RateLimit.Interval="0")
template(name="line" type="list") {{
constant(value="{{")
{}property(outname="date" name="timereported" dateFormat="rfc3339" format="jsonf")
constant(value=",\"cee\":")
property(name="$!all-json-plain")
constant(value="}}\n")
}}
ruleset(name="cee") {{
action(type="mmjsonparse")
if $parsesuccess == "OK" then action(type="omfile" File="{out}" template="line")
}}
"#,
        header.concat()
    )
}

fn syslog_ng(driver: &str, socket: &str, out: &str) -> String {
    format!(
        r#"@version: 3.35
options {{ use-dns(no); dns-cache(no); keep-hostname(yes); stats-freq(0); }};
source s {{ {driver}("{socket}" flags(store-raw-message)); }};
parser cee {{ json-parser(prefix("cee.") marker("@cee:")); }};
destination d {{ file("{out}" template("$(format-json --scope none program=$PROGRAM pid=$PID facility=$FACILITY \
level=$LEVEL date=$ISODATE raw=$RAWMSG --key cee.*)\n")); }};
log {{ source(s); parser(cee); destination(d); }};
"#
    )
    .replace("\\\n", "")
}
