//! A real syslog daemon on a socket of its own, which parses `@cee:` messages into lines of JSON.
//!
//! Owns: its configuration, its life, reading what it wrote. Nothing of it touches the system's own syslog.

use std::fs;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{DEADLINE, wait_at_most, wait_for, which};

/// The time zone of both sides: a time in UTC would be off by hours.
pub const ZONE: &str = "IST-5:30";

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
    /// What cannot be found of it.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Self::Rsyslog => which("rsyslogd").is_none().then_some("rsyslogd"),
            _ => (!ng("usr/sbin/syslog-ng").exists()).then_some("syslog-ng (tests/setup/syslog-ng.sh)"),
        }
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

/// A path in the unpacked packages of syslog-ng.
fn ng(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/syslog-ng").join(path)
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
    directory: TempDir,
    child: Option<Child>,
}

impl Receiver {
    /// Not started.
    pub fn new(kind: Kind) -> Self {
        let directory = tempfile::Builder::new().prefix("tetherd-syslog-").tempdir().unwrap();
        let receiver = Self { kind, directory, child: None };
        let at = |name: &str| receiver.path(name).display().to_string();
        let text = match kind {
            Kind::Rsyslog => rsyslog(&at("log"), &at("out"), &at("")),
            Kind::NgDatagram => syslog_ng("unix-dgram", &at("log"), &at("out")),
            Kind::NgStream => syslog_ng("unix-stream", &at("log"), &at("out")),
        };
        fs::write(receiver.path("conf"), text).unwrap();
        receiver
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.path("log")
    }

    /// Starts it, and waits until its socket takes connections.
    pub fn start(&mut self) {
        assert!(self.child.is_none());
        let mut command = match self.kind {
            Kind::Rsyslog => Command::new(which("rsyslogd").unwrap()),
            _ => Command::new(ng("usr/sbin/syslog-ng")),
        };
        if self.kind == Kind::Rsyslog {
            command.arg("-n").arg("-f").arg(self.path("conf")).arg("-i").arg(self.path("pid"));
        } else {
            let libraries = ["usr/lib/syslog-ng", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
            command.env("LD_LIBRARY_PATH", libraries.map(|path| ng(path).display().to_string()).join(":"));
            let modules = fs::read_dir(ng("usr/lib/syslog-ng")).unwrap().map(|entry| entry.unwrap().path());
            command.args(["--foreground", "--stderr", "--no-caps", "--module-path"]);
            command.arg(modules.into_iter().find(|path| path.is_dir()).unwrap());
            for (option, name) in [
                ("--cfgfile", "conf"),
                ("--persist-file", "persist"),
                ("--pidfile", "pid"),
                ("--control", "ctl"),
            ] {
                command.arg(option).arg(self.path(name));
            }
        }
        let said = fs::File::options().create(true).append(true).open(self.path("said")).unwrap();
        command.env("TZ", ZONE).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        self.child = Some(command.spawn().unwrap());
        wait_for("the syslog daemon listens", || match self.kind {
            Kind::NgStream => UnixStream::connect(self.socket()).ok().map(drop),
            _ => UnixDatagram::unbound().unwrap().connect(self.socket()).ok(),
        });
    }

    /// Ends it in order, and waits for that.
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let mut child = self.child.take().unwrap();
        let ended = wait_at_most(DEADLINE, || child.try_wait().unwrap());
        if ended.is_none() {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the syslog daemon did not end");
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().unwrap().id();
        kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    }

    /// Every message so far that its parser took for JSON. A line without its newline is left for the next time.
    pub fn messages(&self) -> Vec<Message> {
        let text = fs::read(self.path("out")).unwrap_or_default();
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let lines = text[..whole].split(|&b| b == b'\n').filter(|line| !line.is_empty());
        let parse = |line: &[u8]| {
            serde_json::from_slice(line)
                .unwrap_or_else(|e| panic!("no JSON ({e}): {}", String::from_utf8_lossy(line)))
        };
        lines.map(|line| Message(parse(line))).collect()
    }

    /// The first message that `matches`.
    pub fn wait_for(&self, what: &str, matches: impl Fn(&Message) -> bool) -> Message {
        let found = wait_at_most(DEADLINE, || self.messages().into_iter().find(|m| matches(m)));
        found.unwrap_or_else(|| {
            let said = fs::read_to_string(self.path("said")).unwrap_or_default();
            panic!("no message: {what}; there are {}; the receiver said:\n{said}", self.messages().len())
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Also where it is stopped.
            let _ = child.kill();
            let _ = child.wait();
        }
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
