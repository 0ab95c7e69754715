//! The daemon under test.
//!
//! Owns: starting `tetherd run` on a spool of its own, reading that spool as a forwarder would (whole lines only), and
//! ending it. On a failed wait it shows what the daemon said.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::finding::{CATEGORY, Finding};
use super::mode::{self, mode, with_mode};
use super::notes::Stopwatch;
use super::{DEADLINE, wait_at_most, which};

/// The program under test.
pub const TETHERD: &str = env!("CARGO_BIN_EXE_tetherd");

/// A spool and a configuration, which outlive the daemons that use them.
pub struct Place {
    directory: TempDir,
    read: Mutex<Progress>,
    torn: AtomicBool,
}

/// What has been read of a spool.
#[derive(Default)]
struct Progress {
    /// How far, by segment.
    offsets: BTreeMap<PathBuf, u64>,
    /// All records so far, in the order of their segments and lines.
    records: Vec<Finding>,
}

impl Place {
    /// A new one; `extra` is added to the configuration.
    pub fn new(extra: &str) -> Arc<Self> {
        let directory = tempfile::Builder::new().prefix("tetherd-test-").tempdir().unwrap();
        let place = Self { directory, read: Mutex::default(), torn: AtomicBool::new(false) };
        for name in ["spool", "rules.d"] {
            fs::create_dir(place.path(name)).unwrap();
        }
        place.configure(extra);
        Arc::new(place)
    }

    /// Writes the configuration anew: temporary paths, and `extra`. A `[syslog]` table in `extra` replaces ours, and so
    /// does a way of hearing of execs (`mode`).
    pub fn configure(&self, extra: &str) {
        let syslog = if extra.contains("[syslog]") { "" } else { "[syslog]\nenabled = false\n" };
        let text = format!(
            "[control]\nsocket = \"{}\"\n[rules]\ndirectory = \"{}\"\n{syslog}{extra}\n",
            self.path("control.sock").display(),
            self.path("rules.d").display(),
        );
        fs::write(self.config(), with_mode(&text, mode())).unwrap();
    }

    /// Adds a line to the table `[control]`, which is there already.
    pub fn control(&self, line: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), text.replace("[control]\n", &format!("[control]\n{line}\n"))).unwrap();
    }

    /// From now on lines may be torn (docs/spool.md), as they are where a disk is full.
    pub fn tears(&self) {
        self.torn.store(true, Ordering::Relaxed);
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The spool.
    pub fn spool(&self) -> PathBuf {
        self.path("spool")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path("tetherd.toml")
    }

    /// `tetherd run` on this place, not started.
    pub fn command(&self) -> Command {
        self.command_of(Path::new(TETHERD))
    }

    fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("run").arg("--spool").arg(self.spool()).arg("--config").arg(self.config());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Every record in the spool now, oldest first. A line without its newline is left for the next time.
    pub fn records(&self) -> Vec<Finding> {
        let mut read = self.read.lock().unwrap();
        let mut segments: Vec<_> = fs::read_dir(self.spool())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                let name = path.file_name().unwrap().to_string_lossy();
                name.starts_with("findings-") && name.ends_with(".jsonl")
            })
            .collect();
        segments.sort();
        for segment in segments {
            let from = read.offsets.get(&segment).copied().unwrap_or(0);
            let mut file = fs::File::open(&segment).unwrap();
            file.seek(SeekFrom::Start(from)).unwrap();
            let mut text = Vec::new();
            file.read_to_end(&mut text).unwrap();
            let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
            for line in text[..whole].split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
                match serde_json::from_slice(line) {
                    Ok(value) => read.records.push(Finding(Arc::new(value))),
                    Err(error) => assert!(
                        self.torn.load(Ordering::Relaxed) && error.is_eof(),
                        "a spool line is no JSON ({error}): {}",
                        String::from_utf8_lossy(line)
                    ),
                }
            }
            read.offsets.insert(segment, from + whole as u64);
        }
        read.records.clone()
    }

    /// The newest record of each finding (not of losses and the like), in the order in which they were first written.
    pub fn findings(&self) -> Vec<Finding> {
        let mut newest: Vec<Finding> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for record in self.records().into_iter().filter(|record| record.category() == CATEGORY) {
            let place = *places.entry(record.id().to_owned()).or_insert(newest.len());
            match newest.get_mut(place) {
                Some(earlier) => *earlier = record,
                None => newest.push(record),
            }
        }
        newest
    }
}

/// A running daemon.
pub struct Daemon {
    place: Arc<Place>,
    child: Child,
    said: Arc<Mutex<String>>,
    stopwatch: Option<Stopwatch>,
}

impl Daemon {
    /// On a new place, with `extra` added to the configuration.
    pub fn start(extra: &str) -> Self {
        Self::start_in(&Place::new(extra))
    }

    /// On a place that may have been used before; waits until it listens.
    pub fn start_in(place: &Arc<Place>) -> Self {
        Self::spawn(place, place.command())
    }

    /// Under another name: a copy of the program, so that something can be done to this daemon alone.
    pub fn start_as(name: &str) -> Self {
        let place = Place::new("");
        let program = place.path(name);
        copy_program(&program);
        Self::spawn(&place, place.command_of(&program))
    }

    /// By a command of the place's that was changed; waits until it listens.
    pub fn start_by(place: &Arc<Place>, command: Command) -> Self {
        Self::spawn(place, command)
    }

    /// On a new place, with `extra` added to the configuration, and with an environment variable.
    pub fn start_with(extra: &str, variable: (&str, &str)) -> Self {
        let place = Place::new(extra);
        let mut command = place.command();
        command.env(variable.0, variable.1);
        Self::spawn(&place, command)
    }

    fn spawn(place: &Arc<Place>, mut command: Command) -> Self {
        let stopwatch = Stopwatch::start(place);
        let mut child = command.spawn().expect("tetherd starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, into) = (child.stderr.take().unwrap(), said.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let mut said = into.lock().unwrap();
                said.push_str(&String::from_utf8_lossy(&line));
                said.push('\n');
            }
        });
        let mut daemon = Self { place: place.clone(), child, said, stopwatch };
        let ready = wait_at_most(DEADLINE, || {
            let gone = daemon.child.try_wait().unwrap();
            assert!(gone.is_none(), "tetherd ended with {gone:?} and said:\n{}", daemon.said());
            daemon.said().lines().any(|line| line.ends_with("tetherd: ready")).then_some(())
        });
        assert!(ready.is_some(), "tetherd did not get ready and said:\n{}", daemon.said());
        daemon
    }

    /// The one that all tests of this binary share, with the default configuration, in the mode that is asked for. It ends with the test process,
    /// whichever way that ends: `setpriv` asks the kernel for SIGTERM when the thread that started it is gone.
    pub fn shared() -> &'static Daemon {
        static SHARED: OnceLock<Daemon> = OnceLock::new();
        SHARED.get_or_init(|| {
            let (sender, receiver) = std::sync::mpsc::channel();
            std::thread::Builder::new()
                .name("shared daemon".into())
                .spawn(move || {
                    let place = Place::new("");
                    let plain = place.command();
                    let mut command = Command::new(which("setpriv").expect("setpriv is there"));
                    command
                        .args(["--pdeathsig", "TERM", "--"])
                        .arg(plain.get_program())
                        .args(plain.get_args());
                    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
                    sender.send(Self::spawn(&place, command)).unwrap();
                    loop {
                        std::thread::park();
                    }
                })
                .unwrap();
            let daemon = receiver.recv().expect("the shared daemon starts");
            assert_eq!(mode::mode_of(&daemon), mode(), "the mode; tetherd said:\n{}", daemon.said());
            daemon
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its spool and configuration.
    pub fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// What tells the times of execs and records, if notes are asked for.
    pub fn stopwatch(&self) -> Option<&Stopwatch> {
        self.stopwatch.as_ref()
    }

    /// What it has written to stderr.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Every record so far.
    pub fn records(&self) -> Vec<Finding> {
        self.place.records()
    }

    /// The newest record that `matches`, if one comes in this time.
    pub fn within(&self, time: Duration, matches: impl Fn(&Finding) -> bool) -> Option<Finding> {
        wait_at_most(time, || self.records().into_iter().rfind(|record| matches(record)))
    }

    /// The newest record that `matches`; panics with everything known if none comes before the deadline.
    pub fn wait_for(&self, what: &str, matches: impl Fn(&Finding) -> bool) -> Finding {
        self.within(DEADLINE, matches).unwrap_or_else(|| {
            let records: Vec<_> = self.records().iter().rev().take(8).map(Finding::brief).collect();
            panic!(
                "no record within {DEADLINE:?}: {what}\nthe last records:\n{}\ntetherd said:\n{}",
                records.join("\n"),
                self.said()
            )
        })
    }

    /// Makes sure that everything that was executed before this call has been judged: starts a known tether, waits for
    /// its finding, and returns how many records there are. Looks are judged in the order of their execs.
    pub fn judged(&self) -> usize {
        let attacker = super::attacker::Listener::tcp();
        let stream = std::net::TcpStream::connect(("127.0.0.1", attacker.port())).unwrap();
        // It waits for a line: it does not end before it can be seen.
        let marker = super::victim::Victim::on_socket(&stream, "/bin/sh", &["-c", "read line"]);
        self.wait_for("the marker's own finding", |record| record.peer_port() == Some(attacker.port()));
        drop(marker);
        self.records().len()
    }

    /// How much it has counted of one loss, as `tetherd status` says.
    pub fn lost(&self, name: &str) -> u64 {
        self.status()["losses"][name].as_u64().unwrap()
    }

    /// What it has counted, as `tetherd status` says.
    pub fn count(&self, name: &str) -> u64 {
        self.status()["counts"][name].as_u64().unwrap()
    }

    /// What `tetherd status --json` says, asked without executing anything.
    pub fn status(&self) -> Value {
        let mut stream = UnixStream::connect(self.place().path("control.sock")).unwrap();
        stream.write_all(b"status\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for its end; kills it and panics at the deadline.
    pub fn wait(&mut self) -> ExitStatus {
        let ended = wait_at_most(DEADLINE, || self.child.try_wait().unwrap());
        ended.unwrap_or_else(|| {
            let _ = self.child.kill();
            panic!("tetherd did not end; it said:\n{}", self.said())
        })
    }

    /// SIGTERM; it has to end with exit code 0.
    pub fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "after SIGTERM ({status}); tetherd said:\n{}", self.said());
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        assert_eq!(self.wait().signal(), Some(9));
    }

    /// The kernel's value of a line of `/proc/PID/status`, in KiB (`VmRSS`, `VmHWM`).
    pub fn memory_kib(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
        value.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "tetherd said:\n{}", self.said());
        }
    }
}

/// Runs `tetherd` with arguments to its end.
pub fn tetherd(arguments: &[&str]) -> std::process::Output {
    Command::new(TETHERD).args(arguments).stdin(Stdio::null()).output().expect("tetherd starts")
}

/// Copies the program under test. By another process: a descriptor open for writing here could be inherited by what
/// another test starts at this moment, and the copy would be busy.
pub fn copy_program(to: &Path) {
    let status = Command::new("cp").arg(TETHERD).arg(to).status().unwrap();
    assert!(status.success());
}

/// Whether a process (not a zombie) is there.
pub fn lives(pid: u32) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
    status.is_ok_and(|text| !text.contains("State:\tZ"))
}
