//! rsyslogd and syslog-ng as judges of RFC 5424: each gets messages on a UNIX socket and says what it understood.
//!
//! Owns: their configuration and their life. What they write is one object a line: `id` and `seq` of our structured data,
//! `software` of `origin`, the `msgid`, the `text` after it.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{wait_for, which};

/// Which daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    Rsyslog,
    SyslogNg,
}

/// Where syslog-ng was unpacked.
fn unpacked(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/syslog-ng").join(path)
}

/// One that runs; it ends with this.
pub struct Running {
    directory: TempDir,
    child: Child,
}

impl Judge {
    /// What cannot be found of it.
    pub fn missing(self) -> Option<&'static str> {
        let there = match self {
            Self::Rsyslog => which("rsyslogd").is_some(),
            Self::SyslogNg => unpacked("usr/sbin/syslog-ng").exists(),
        };
        (!there).then_some(if self == Self::Rsyslog {
            "rsyslogd"
        } else {
            "syslog-ng (tests/setup/syslog-ng.sh)"
        })
    }

    pub fn start(self) -> Running {
        let directory = tempfile::Builder::new().prefix("tetherd-judge-").tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let mut command = match self {
            Self::Rsyslog => {
                fs::write(at("conf"), rsyslog(&at("socket"), &at("out"), &at(""))).unwrap();
                let mut command = Command::new(which("rsyslogd").unwrap());
                command.args(["-n", "-f", &at("conf"), "-i", &at("pid")]);
                command
            }
            Self::SyslogNg => {
                fs::write(at("conf"), syslog_ng(&at("socket"), &at("out"))).unwrap();
                syslog_ng_command(&at)
            }
        };
        let said = fs::File::create(at("said")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().unwrap();
        Running { directory, child }
    }
}

impl Running {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What it made of these messages, in their order.
    pub fn judge(&self, messages: &[String]) -> Vec<Value> {
        let socket = UnixDatagram::unbound().unwrap();
        wait_for("the judge listens", || socket.connect(self.path("socket")).ok());
        for message in messages {
            socket.send(message.as_bytes()).unwrap();
        }
        let read = || fs::read_to_string(self.path("out")).unwrap_or_default();
        let all = wait_for("the judge has written all", || {
            let text = read();
            (text.ends_with('\n') && text.lines().count() >= messages.len()).then_some(text)
        });
        all.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The special parser of its UNIX sockets does not know RFC 5424; the ordinary one does.
fn rsyslog(socket: &str, out: &str, directory: &str) -> String {
    format!(
        r#"global(workDirectory="{directory}" maxMessageSize="64k")
module(load="imuxsock" SysSock.Use="off")
module(load="mmpstrucdata")
input(type="imuxsock" Socket="{socket}" UseSpecialParser="off" ParseHostname="on" RateLimit.Interval="0" ruleset="all")
template(name="line" type="list" option.jsonf="on") {{
property(outname="id" name="$!rfc5424-sd!tetherd@32473!id" format="jsonf")
property(outname="seq" name="$!rfc5424-sd!tetherd@32473!seq" format="jsonf")
property(outname="software" name="$!rfc5424-sd!origin!software" format="jsonf")
property(outname="msgid" name="msgid" format="jsonf")
property(outname="text" name="msg" format="jsonf")
}}
ruleset(name="all") {{
action(type="mmpstrucdata" sd_name.lowercase="off")
action(type="omfile" File="{out}" template="line")
}}
"#
    )
}

fn syslog_ng(socket: &str, out: &str) -> String {
    let own = ".SDATA.tetherd@32473";
    format!(
        r#"@version: 3.35
options {{ use-dns(no); dns-cache(no); keep-hostname(yes); stats-freq(0); log-msg-size(65536); }};
source s {{ unix-dgram("{socket}" flags(syslog-protocol)); }};
destination d {{ file("{out}" template("$(format-json --scope none id=${{{own}.id}} seq=${{{own}.seq}} \
software=${{.SDATA.origin.software}} msgid=$MSGID text=$MSG)\n")); }};
log {{ source(s); destination(d); }};
"#
    )
    .replace("\\\n", "")
}

fn syslog_ng_command(at: &dyn Fn(&str) -> String) -> Command {
    let mut command = Command::new(unpacked("usr/sbin/syslog-ng"));
    let libraries = ["usr/lib/syslog-ng", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
    command.env("LD_LIBRARY_PATH", libraries.map(|path| unpacked(path).display().to_string()).join(":"));
    let modules = fs::read_dir(unpacked("usr/lib/syslog-ng")).unwrap().map(|entry| entry.unwrap().path());
    command.args(["--foreground", "--stderr", "--no-caps", "--module-path"]);
    command.arg(modules.into_iter().find(|path| path.is_dir()).unwrap());
    for (option, name) in
        [("--cfgfile", "conf"), ("--persist-file", "persist"), ("--pidfile", "pid"), ("--control", "ctl")]
    {
        command.arg(option).arg(at(name));
    }
    command
}
