//! The configurations of `conf/forwarders/`: those whose forwarders are there are run on a real spool, the others read.
//!
//! A spool is written by the daemon's own writer, over several segments, before a forwarder starts, while it runs, while it
//! is stopped and after it was killed. What arrived is compared with the spool, record by record and byte by byte: nothing
//! may be missing, nothing changed; what comes twice is counted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that cannot go on fails

mod common;
#[path = "forwarders/growing.rs"]
mod growing;
#[path = "scc/records.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod records;
#[path = "scc/shapes.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod shapes;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::syslogs::Syslog;
use common::{say, wait_at_most, wait_for};
use growing::Spool;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/forwarders").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A forwarder with the shipped configuration, but for where the spool is and where the lines go: a file.
struct Forwarder {
    kind: Syslog,
    directory: TempDir,
    child: Option<Child>,
}

impl Forwarder {
    fn new(kind: Syslog, spool: &Path, change: impl FnOnce(String) -> String) -> Self {
        let directory = tempfile::Builder::new().prefix("tetherd-forwarder-").tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let (name, before, destination) = match kind {
            Syslog::Rsyslog => (
                "rsyslog-spool.conf",
                format!(
                    "global(workDirectory=\"{}\")\ntemplate(name=\"raw\" type=\"string\" string=\"%msg%\\n\")\n",
                    at("")
                ),
                format!("action(type=\"omfile\" file=\"{}\" template=\"raw\")", at("out")),
            ),
            Syslog::SyslogNg => (
                "syslog-ng-spool.conf",
                String::new(),
                format!("destination d_tetherd_spool {{ file(\"{}\" template(\"$MSG\\n\")); }};", at("out")),
            ),
        };
        let text = change(shipped(name)).replace("/var/lib/tetherd/spool", spool.to_str().unwrap());
        // What the test's destination does not need, and a machine need not have.
        let text = text.replace("module(load=\"omrelp\")\n", "");
        let (begin, rest) = text.split_once("# destination:").unwrap();
        let (_, end) = rest.split_once("# end of destination").unwrap();
        fs::write(at("conf"), format!("{before}{begin}{destination}\n{end}")).unwrap();
        Self { kind, directory, child: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(&mut self) {
        let said = fs::File::options().create(true).append(true).open(self.path("said")).unwrap();
        let mut command = self.kind.command(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        self.child = Some(command.spawn().unwrap());
    }

    fn end(&mut self, signal: Signal) {
        let mut child = self.child.take().unwrap();
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        wait_for("the forwarder ends", || child.try_wait().unwrap());
    }

    /// Whole lines that arrived, in their order.
    fn arrived(&self) -> Vec<String> {
        let text = fs::read(self.path("out")).unwrap_or_default();
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        String::from_utf8_lossy(&text[..whole]).lines().map(str::to_owned).collect()
    }

    /// Waits until all lines of the spool are there.
    fn wait_for_all(&self, spool: &Spool) {
        let lines = spool.lines();
        let all = wait_at_most(common::DEADLINE, || {
            let arrived = self.arrived();
            let arrived: std::collections::HashSet<&String> = arrived.iter().collect();
            lines.iter().all(|line| arrived.contains(line)).then_some(())
        });
        if all.is_none() {
            let said = fs::read_to_string(self.path("said")).unwrap_or_default();
            let arrived: std::collections::HashSet<String> = self.arrived().into_iter().collect();
            let missing = lines.iter().filter(|line| !arrived.contains(*line)).count();
            panic!("{missing} of {} lines did not arrive; the forwarder said:\n{said}", lines.len());
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn loses_nothing(kind: Syslog) {
    if let Some(what) = kind.missing() {
        return common::skip(what);
    }
    let mut spool = Spool::new();
    let mut forwarder = Forwarder::new(kind, spool.path(), |text| text);
    // There before the forwarder is.
    spool.write(60);
    forwarder.start();
    forwarder.wait_for_all(&spool);
    // Growing while it runs.
    spool.write(60);
    forwarder.wait_for_all(&spool);
    // Written over several segments while it is stopped.
    forwarder.end(Signal::SIGTERM);
    spool.write(60);
    forwarder.start();
    forwarder.wait_for_all(&spool);
    // Ended in the midst of it, each time at another place: killed, where that loses nothing.
    let signal = if matches!(kind, Syslog::Rsyslog) { Signal::SIGTERM } else { Signal::SIGKILL };
    for round in 0..6 {
        let before = forwarder.arrived().len();
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| spool.write(80));
            wait_for("some lines arrive", || (forwarder.arrived().len() > before + round * 7).then_some(()));
            forwarder.end(signal);
            writing.join().unwrap();
        });
        forwarder.start();
    }
    forwarder.wait_for_all(&spool);
    forwarder.end(Signal::SIGTERM);

    let lines = spool.lines();
    assert!(spool.segments() > 5, "{} segments", spool.segments());
    let mut times: BTreeMap<&str, u32> = lines.iter().map(|line| (line.as_str(), 0)).collect();
    let mut torn = 0;
    let arrived = forwarder.arrived();
    for line in &arrived {
        match times.get_mut(line.as_str()) {
            Some(count) => *count += 1,
            // A file is written in parts; what the kill cut is there once more, whole.
            None => torn += 1,
        }
    }
    assert!(torn <= 6, "{torn} lines are no lines of the spool");
    assert!(times.values().all(|count| *count > 0));
    let twice: u32 = times.values().map(|count| count - 1).sum();
    say(&format!(
        "{} records, ended 6 times by {signal}: none missing, {twice} came twice, {torn} torn",
        lines.len()
    ));
}

#[test]
fn rsyslog_loses_nothing() {
    loses_nothing(Syslog::Rsyslog);
}

#[test]
fn syslog_ng_loses_nothing() {
    loses_nothing(Syslog::SyslogNg);
}

/// What the configuration's first line is for, and that the comparison can see it.
#[test]
fn without_its_first_line_rsyslog_cuts() {
    if let Some(what) = Syslog::Rsyslog.missing() {
        return common::skip(what);
    }
    let mut spool = Spool::new();
    let cut = |text: String| {
        let changed = text.replace("global(maxMessageSize=\"64k\")\n", "");
        assert_ne!(changed, text);
        changed
    };
    let mut forwarder = Forwarder::new(Syslog::Rsyslog, spool.path(), cut);
    spool.write(30);
    let lines = spool.lines();
    let long = lines.iter().filter(|line| line.len() > 8192).count();
    assert!(long > 0, "no line is long");
    forwarder.start();
    wait_for("the lines arrive", || (forwarder.arrived().len() >= lines.len()).then_some(()));
    let same = forwarder.arrived().iter().filter(|line| lines.contains(line)).count();
    assert_eq!(same, lines.len() - long, "all but the long ones arrive as they are");
}

/// As they are shipped, whole.
#[test]
fn the_syslog_daemons_take_the_shipped_files() {
    for (kind, name, before) in [
        (Syslog::Rsyslog, "rsyslog-spool.conf", ""),
        (Syslog::Rsyslog, "rsyslog-syslog.conf", ""),
        (Syslog::SyslogNg, "syslog-ng-spool.conf", ""),
        (
            Syslog::SyslogNg,
            "syslog-ng-syslog.conf",
            "@version: 3.35\nsource s_src { unix-dgram(\"/tmp/x\"); };\n",
        ),
    ] {
        if let Some(what) = kind.missing() {
            common::skip(what);
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut text = shipped(name);
        if kind == Syslog::Rsyslog {
            // As Debian's main file has it.
            text = format!("global(workDirectory=\"{}\")\n{text}", directory.path().display());
        }
        if !Path::new("/usr/lib/x86_64-linux-gnu/rsyslog/omrelp.so").exists() {
            text = text
                .replace("omrelp", "omfwd")
                .replace("module(load=\"omfwd\")", "")
                .replace("tls=\"on\"", "");
        }
        fs::write(directory.path().join("conf"), before.to_owned() + &text).unwrap();
        let output = kind.check(directory.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        let complaint = said.lines().find(|line| line.to_lowercase().contains("error"));
        assert_eq!(complaint, None, "{name}");
    }
}

/// Those that cannot be run here: at least they are in their languages, read the spool, and mark where they send to.
#[test]
fn the_other_files_are_whole() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/formats-venv/bin/python");
    for name in [
        "fluent-bit.yaml",
        "vector.yaml",
        "filebeat.yml",
        "elastic-agent.yml",
        "google-ops-agent.yaml",
        "otel-collector.yaml",
        "alloy.alloy",
        "splunk/inputs.conf",
    ] {
        let text = shipped(name);
        assert!(text.contains("/var/lib/tetherd/spool/findings-*.jsonl"), "{name} does not read the spool");
        if !name.contains(".y") {
            assert_eq!(text.matches('{').count(), text.matches('}').count(), "{name}");
            continue;
        }
        if !python.exists() {
            return common::skip("the environment that tests/setup/formats-venv.sh makes");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &text).unwrap();
        let script = "import sys, yaml; yaml.safe_load(open(sys.argv[1]))";
        let output = Command::new(&python).args(["-c", script]).arg(file.path()).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
