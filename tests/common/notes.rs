//! What each technique's finding took, noted for the table in `docs/techniques.md` (`benches/techniques` makes it).
//!
//! Owns: `TETHERD_TESTS_NOTES` (a file to which one JSON line is appended for each finding that a test has proved), and
//! the stopwatch: a program of its own that takes the kernel's time of each exec, and the time at which each record
//! could be read. The daemon's own times are used only to tell one exec of a process from another.
//!
//! The clock starts when the technique is complete: the newest exec of a process on the finding's tether (the shell, the
//! relay, a filter between them), as the kernel's event has it; for rows 6 and 8, which are about several commands, the
//! newest command. It stops when the finding's first record stands in the spool.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::{Value, json};

use super::daemon::{Daemon, Place};
use super::finding::{Finding, arguments_of};
use super::mode::{mode, mode_of};
use super::programs::program;
use super::wait_for;

/// The environment variable.
pub const VARIABLE: &str = "TETHERD_TESTS_NOTES";

/// What the stopwatch has told of so far.
#[derive(Default)]
struct Told {
    /// When each process id executed something.
    execs: BTreeMap<u64, Vec<u64>>,
    /// Up to where each file of the spool could be read, and when.
    sizes: Vec<(String, u64, u64)>,
}

/// The running program.
pub struct Stopwatch {
    told: Arc<Mutex<Told>>,
    child: Child,
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        // Its input's end is its own.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Stopwatch {
    /// For a place's spool, if notes are asked for.
    pub fn start(place: &Place) -> Option<Self> {
        std::env::var_os(VARIABLE)?;
        let mut command = Command::new(program("stopwatch"));
        command.arg(place.spool()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the stopwatch starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert_eq!(lines.next().as_deref(), Some("listening"), "the stopwatch");
        let told = Arc::new(Mutex::new(Told::default()));
        let into = told.clone();
        std::thread::spawn(move || {
            for line in lines {
                let words: Vec<&str> = line.split(' ').collect();
                let number = |at: usize| words[at].parse().expect("the stopwatch prints numbers");
                let mut told = into.lock().unwrap();
                match words[0] {
                    "exec" => told.execs.entry(number(1)).or_default().push(number(2)),
                    _ => told.sizes.push((words[1].to_owned(), number(2), number(3))),
                }
            }
        });
        Some(Self { told, child })
    }

    /// When this much of a file could be read.
    fn readable(&self, file: &str, bytes: u64) -> u64 {
        wait_for("the stopwatch sees the record", || {
            let told = self.told.lock().unwrap();
            told.sizes.iter().find(|(name, size, _)| name == file && *size >= bytes).map(|(_, _, at)| *at)
        })
    }

    /// The newest exec of a process up to a moment.
    fn exec_before(&self, pid: u64, moment: u64) -> Option<u64> {
        let told = self.told.lock().unwrap();
        told.execs.get(&pid)?.iter().copied().filter(|at| *at <= moment).max()
    }

    /// The exec of a process that is nearest to a moment.
    fn exec_at(&self, pid: u64, moment: u64) -> Option<u64> {
        let told = self.told.lock().unwrap();
        told.execs.get(&pid)?.iter().copied().min_by_key(|at| at.abs_diff(moment))
    }
}

/// The first record of a finding, with its file and where in it the line ends.
fn first_record(place: &Place, found: &Finding) -> (Finding, String, u64) {
    let mut files: Vec<_> = fs::read_dir(place.spool()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|path| path.extension().is_some_and(|end| end == "jsonl")) {
        let mut end = 0;
        for line in fs::read(file).unwrap().split_inclusive(|byte| *byte == b'\n') {
            end += line.len() as u64;
            let record = Finding(std::sync::Arc::new(serde_json::from_slice(line).unwrap()));
            if record.id() == found.id() {
                return (record, file.file_name().unwrap().to_string_lossy().into_owned(), end);
            }
        }
    }
    panic!("the finding is not in the spool: {}", found.brief())
}

/// Nanoseconds of the clock on the wall.
fn nanoseconds(time: &Value) -> u64 {
    let text = time.as_str().unwrap_or_default();
    tetherd::model::clock::parse_rfc3339(text).unwrap_or_else(|| panic!("{time} is no time"))
}

/// When the main process executed what was found.
fn main_exec(watch: &Stopwatch, record: &Finding) -> Option<u64> {
    let timeline = record.property("Timeline").as_array()?;
    let main = if [6, 8].contains(&record.row()) {
        timeline.last()?
    } else {
        timeline.iter().find(|entry| !entry["row"].is_null())?
    };
    let (pid, looked) = (main["pid"].as_u64()?, nanoseconds(&main["time"]));
    // fanotify lets the daemon look before the exec is done.
    let early = mode() != "off" && main["seen"] != "swept";
    if early { watch.exec_at(pid, looked) } else { watch.exec_before(pid, looked) }
}

/// When the newest process on the tether executed its program.
fn complete(watch: &Stopwatch, record: &Finding) -> Option<u64> {
    let made = nanoseconds(&json!(record.create_time()));
    let path = record.property("Tether_Path").as_array().cloned().unwrap_or_default();
    let others = path.iter().skip(1).filter_map(|hop| hop["pid"].as_u64());
    let main = main_exec(watch, record)?;
    others.filter_map(|pid| watch.exec_before(pid, made)).chain([main]).max()
}

/// Notes a finding that the running test has proved, if notes are asked for and the daemon is one with a stopwatch.
pub fn note(daemon: &Daemon, found: &Finding) {
    let (Some(file), Some(watch)) = (std::env::var_os(VARIABLE), daemon.stopwatch()) else { return };
    let (record, name, end) = first_record(daemon.place(), found);
    let readable = watch.readable(&name, end);
    let since = |from: Option<u64>, to: u64| from.map(|from| (to as f64 - from as f64) / 1e6);
    let from = complete(watch, &record);
    append(
        &file,
        &json!({
            "test": test(),
            "mode": mode(),
            "ran": mode_of(daemon),
            "result": "found",
            "row": record.row(),
            "row_proved": found.row(),
            "severity": found.severity(),
            "observation": record.text("Observation"),
            "read": record.processes().iter().any(|process| !arguments_of(process).is_empty()),
            "ms": since(from, readable),
            "made_ms": since(from, nanoseconds(&json!(record.create_time()))),
        }),
    );
}

/// Notes what became of a piece of ordinary work: `silent`, `reported`, or `excused by` a rule.
pub fn note_work(daemon: &Daemon, result: &str, found: Option<&Finding>) {
    let Some(file) = std::env::var_os(VARIABLE) else { return };
    let mut line = json!({ "test": test(), "mode": mode(), "ran": mode_of(daemon), "result": result });
    if let Some(found) = found {
        line["row"] = found.row().into();
        line["severity"] = found.severity().into();
        line["observation"] = found.text("Observation").into();
    }
    append(&file, &line);
}

/// This test's program and name: `attacks::tools::ksh_tcp`.
fn test() -> String {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    format!("{}::{name}", env!("CARGO_CRATE_NAME"))
}

/// One line at once: several tests write to the file.
fn append(file: &std::ffi::OsStr, line: &Value) {
    static ONE: OnceLock<Mutex<()>> = OnceLock::new();
    let _one = ONE.get_or_init(Mutex::default).lock().unwrap();
    let mut file = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}
