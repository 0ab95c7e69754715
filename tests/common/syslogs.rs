//! The programs of rsyslog and syslog-ng, each with files of its own in one directory: nothing of it touches the system's
//! own syslog.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::which;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syslog {
    Rsyslog,
    SyslogNg,
}

/// Where tests/setup/syslog-ng.sh unpacks syslog-ng.
fn unpacked(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/syslog-ng").join(path)
}

impl Syslog {
    /// What cannot be found of it.
    pub fn missing(self) -> Option<&'static str> {
        let (there, what) = match self {
            Self::Rsyslog => (which("rsyslogd").is_some(), "rsyslogd"),
            Self::SyslogNg => {
                (unpacked("usr/sbin/syslog-ng").exists(), "syslog-ng (tests/setup/syslog-ng.sh)")
            }
        };
        (!there).then_some(what)
    }

    /// It, in the foreground, with the file `conf` in `directory` as its configuration and its state beside that.
    pub fn command(self, directory: &Path) -> Command {
        let at = |name: &str| directory.join(name);
        match self {
            Self::Rsyslog => {
                // It refuses to start beside a process id that a kill left behind.
                let _ = fs::remove_file(at("pid"));
                let mut command = Command::new(which("rsyslogd").unwrap());
                command.arg("-n").arg("-f").arg(at("conf")).arg("-i").arg(at("pid"));
                command
            }
            Self::SyslogNg => {
                let mut command = syslog_ng();
                command.args(["--foreground", "--stderr", "--no-caps"]);
                for (option, name) in [
                    ("--cfgfile", "conf"),
                    ("--persist-file", "persist"),
                    ("--pidfile", "pid"),
                    ("--control", "ctl"),
                ] {
                    command.arg(option).arg(at(name));
                }
                command
            }
        }
    }

    /// It, reading the file `conf` in `directory` and saying whether that is a configuration.
    pub fn check(self, directory: &Path) -> Command {
        match self {
            Self::Rsyslog => {
                let mut command = Command::new(which("rsyslogd").unwrap());
                command.arg("-N1").arg("-f").arg(directory.join("conf")).current_dir(directory);
                command
            }
            Self::SyslogNg => {
                let mut command = syslog_ng();
                command.arg("--syntax-only").arg("--cfgfile").arg(directory.join("conf"));
                command
            }
        }
    }
}

fn syslog_ng() -> Command {
    let mut command = Command::new(unpacked("usr/sbin/syslog-ng"));
    let libraries = ["usr/lib/syslog-ng", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
    command.env("LD_LIBRARY_PATH", libraries.map(|path| unpacked(path).display().to_string()).join(":"));
    let modules = fs::read_dir(unpacked("usr/lib/syslog-ng")).unwrap().map(|entry| entry.unwrap().path());
    command.arg("--module-path").arg(modules.into_iter().find(|path| path.is_dir()).unwrap());
    command
}
