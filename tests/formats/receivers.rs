//! rsyslogd and syslog-ng as judges of RFC 5424: each gets messages on a UNIX socket and says what it understood.
//!
//! Owns: their configuration and their life. What they write is one object a line: `id` and `seq` of our structured data,
//! `software` of `origin`, the `msgid`, the `text` after it.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::syslogs::Syslog;
use crate::common::wait_for;

/// One that runs; it ends with this.
pub struct Running {
    directory: TempDir,
    child: Child,
}

/// Starts one.
pub fn start(kind: Syslog) -> Running {
    let directory = tempfile::Builder::new().prefix("tetherd-judge-").tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let conf = match kind {
        Syslog::Rsyslog => rsyslog(&at("socket"), &at("out"), &at("")),
        Syslog::SyslogNg => syslog_ng(&at("socket"), &at("out")),
    };
    fs::write(at("conf"), conf).unwrap();
    let said = fs::File::create(at("said")).unwrap();
    let mut command = kind.command(directory.path());
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().unwrap();
    Running { directory, child }
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
