//! A real syslog daemon with a directory of its own: rsyslogd, or the syslog-ng that `tests/setup/syslog-ng.sh` unpacks.
//!
//! Owns: its life. Its configuration is the test's. Nothing of it touches the system's own syslog.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{DEADLINE, wait_at_most, which};

/// The time zone of the daemon: a time in UTC would be off by hours.
pub const ZONE: &str = "IST-5:30";

/// Which daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    Rsyslog,
    SyslogNg,
}

impl Program {
    /// What cannot be found of it.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Self::Rsyslog => which("rsyslogd").is_none().then_some("rsyslogd"),
            Self::SyslogNg => {
                (!ng("usr/sbin/syslog-ng").exists()).then_some("syslog-ng (tests/setup/syslog-ng.sh)")
            }
        }
    }
}

/// A path in the unpacked packages of syslog-ng.
fn ng(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/syslog-ng").join(path)
}

/// The daemon.
pub struct Syslogd {
    program: Program,
    directory: TempDir,
    child: Option<Child>,
}

impl Syslogd {
    /// Not started, and without a configuration: that is the file `conf` of its directory.
    pub fn new(program: Program) -> Self {
        let directory = tempfile::Builder::new().prefix("tetherd-syslog-").tempdir().unwrap();
        Self { program, directory, child: None }
    }

    /// A path in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts it, and waits until it is `ready`.
    pub fn start(&mut self, ready: impl Fn(&Path) -> Option<()>) {
        assert!(self.child.is_none());
        let mut command = match self.program {
            Program::Rsyslog => Command::new(which("rsyslogd").unwrap()),
            Program::SyslogNg => Command::new(ng("usr/sbin/syslog-ng")),
        };
        if self.program == Program::Rsyslog {
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
        if wait_at_most(DEADLINE, || ready(self.directory.path())).is_none() {
            panic!("the syslog daemon does not listen; it said:\n{}", self.said());
        }
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

    /// Ends it at once.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // It could not remove this itself, and would not start again.
        let _ = fs::remove_file(self.path("pid"));
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().unwrap().id();
        kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    }

    /// What it said on its standard error.
    pub fn said(&self) -> String {
        fs::read_to_string(self.path("said")).unwrap_or_default()
    }

    /// The whole lines of a file that it writes; what is no UTF-8 is replaced.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read(self.path(name)).unwrap_or_default();
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let lines = text[..whole].split(|&b| b == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }
}

impl Drop for Syslogd {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Also where it is stopped.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
