//! Going through `/proc`.
//!
//! Owns: a thread that looks at what runs already (at start, after a loss, on demand), at a bounded rate, and at no
//! process twice that has not changed. Must not own: the verdict. Talks to: `host`, the engine's channel.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use crate::host::link::is_socket;
use crate::host::proc_dir::ProcDir;
use crate::host::reader::{FirstLook, Missed, Reader};
use crate::host::stat::Stat;
use crate::model::event::Event;
use crate::model::ids::{Pid, ProcessKey};
use crate::model::look::{Cause, Look, Observation};
use crate::model::loss::Loss;
use crate::sensor::settings::SensorSettings;
use crate::sensor::suspect::Suspect;
use crate::stats::{Count, Stats};
use crate::sys::clock;

/// How long the sweep waits for room in the channel before it gives up.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
/// Processes between two looks at the clock.
const STRIDE: u32 = 32;

/// A request for a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepRequest {
    /// Look again also at what has not changed: earlier looks may have been lost on their way.
    pub everything: bool,
}

/// Where a sweep hands things on to.
#[derive(Clone, Debug)]
pub struct SweepWires {
    /// Looks, to the engine.
    pub events: Sender<Event>,
    /// Suspects, to the relay thread.
    pub suspects: Sender<Suspect>,
}

/// Starts the thread. It ends when the last sender of requests is gone, and a sweep under way when `stop` is set.
pub fn spawn(
    settings: &SensorSettings,
    stats: Arc<Stats>,
    wires: SweepWires,
    requests: Receiver<SweepRequest>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    let mut sweeper = Sweeper { stop: stop.clone(), ..Sweeper::new(settings) };
    std::thread::Builder::new().name("sweep".into()).spawn(move || {
        for request in requests {
            if request.everything {
                sweeper.memory.clear();
            }
            let began = clock::now();
            let outcome = sweeper.sweep(&stats, &mut |found| match found {
                Found::Look(look) => wires.events.send_timeout(Event::Look(look), SEND_TIMEOUT).is_ok(),
                Found::Suspect(suspect) => wires.suspects.send_timeout(suspect, SEND_TIMEOUT).is_ok(),
            });
            if stop.load(Ordering::Relaxed) {
                break;
            }
            stats.count(Count::Sweeps);
            if !outcome.complete {
                stats.lose(Loss::SweepIncomplete, 1);
            }
            let done = Event::Swept { began, at: clock::now(), complete: outcome.complete };
            if wires.events.send_timeout(done, SEND_TIMEOUT).is_err() {
                stats.lose(Loss::SweepIncomplete, 1);
            }
        }
    })
}

/// What a sweep comes upon.
#[derive(Debug)]
pub enum Found {
    /// A process with a network socket, or one that descends from such.
    Look(Box<Look>),
    /// A process whose descriptors may lead to somebody else's.
    Suspect(Suspect),
}

/// What a sweep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Processes looked at.
    pub processes: u64,
    /// Those whose descriptors were refused.
    pub refused: u64,
    /// Whether it got through.
    pub complete: bool,
}

/// Goes through /proc, and remembers what it saw.
#[derive(Debug)]
pub struct Sweeper {
    reader: Reader,
    per_second: u32,
    /// The fingerprint of each process's fds 0-2 when last looked at, and whether a socket was among them.
    memory: HashMap<ProcessKey, (u64, bool)>,
    /// Ends a sweep early.
    stop: Arc<AtomicBool>,
}

impl Sweeper {
    /// A sweeper that remembers nothing yet.
    pub fn new(settings: &SensorSettings) -> Self {
        Self {
            reader: Reader::new(settings.socket_lookup.clone()),
            per_second: settings.sweep_per_second.max(1),
            memory: HashMap::new(),
            stop: Arc::default(),
        }
    }

    /// One sweep: hands on, parents before children, every process with a network socket on fds 0-2 and everything
    /// that descends from one, unless it is as it was. `take` returns false to end the sweep early.
    pub fn sweep(&mut self, stats: &Stats, take: &mut dyn FnMut(Found) -> bool) -> Outcome {
        let mut outcome = Outcome::default();
        let mut memory = HashMap::with_capacity(self.memory.len());
        let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
        let mut tied: Vec<Pid> = Vec::new();
        let began = Instant::now();
        let Ok(processes) = std::fs::read_dir("/proc") else { return outcome };
        let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<Pid>().ok());
        for (index, pid) in (1u32..).zip(pids) {
            if index % STRIDE == 0 {
                if self.stop.load(Ordering::Relaxed) {
                    return outcome;
                }
                self.pace(began, index);
            }
            let Ok(dir) = ProcDir::open(pid) else { continue };
            let Some(stat) = dir.read(c"stat", 4096).ok().and_then(|(text, _)| Stat::parse(&text)) else {
                continue;
            };
            stats.count(Count::Swept);
            outcome.processes += 1;
            children.entry(stat.parent).or_default().push(pid);
            let key = ProcessKey { pid, start: stat.start };
            let Some(Fingerprint { hash: print, socket, channels }) = fingerprint(&dir) else {
                outcome.refused += u64::from(stat.lives());
                continue;
            };
            let known = self.memory.get(&key).is_some_and(|(before, _)| *before == print);
            let network = match (known, socket) {
                (true, _) => self.memory.get(&key).is_some_and(|(_, network)| *network),
                (false, false) => false,
                (false, true) => {
                    let (stdio, unresolved) = self.reader.stdio(&dir);
                    if unresolved {
                        stats.lose(Loss::SocketUnresolved, 1);
                    }
                    let network = stdio.iter().any(|backing| backing.network().is_some());
                    if network {
                        let look =
                            self.reader.rest(&dir, stdio, clock::now(), Observation::Swept, Cause::Sweep);
                        let look = if look.key.start.0 == 0 { Err(Missed::Vanished) } else { Ok(look) };
                        if !hand_on(look, stats, take) {
                            return outcome;
                        }
                    }
                    network
                }
            };
            if !known && !network && channels && !self.suspect(pid, take) {
                return outcome;
            }
            memory.insert(key, (print, network));
            if network {
                tied.push(pid);
            }
        }
        outcome.complete = self.descend(&tied, &children, stats, take);
        self.memory = memory;
        outcome
    }

    /// Hands on a process whose input and output somebody else may tie to the network; false: the sweep is to end.
    fn suspect(&self, pid: Pid, take: &mut dyn FnMut(Found) -> bool) -> bool {
        let FirstLook::Channel(glance) = self.reader.first_look(pid) else { return true };
        take(Found::Suspect(Suspect::new(pid, glance, clock::now(), Observation::Swept)))
    }

    /// What descends from tied processes, nearest first.
    fn descend(
        &self,
        tied: &[Pid],
        children: &HashMap<Pid, Vec<Pid>>,
        stats: &Stats,
        take: &mut dyn FnMut(Found) -> bool,
    ) -> bool {
        let mut seen: std::collections::HashSet<Pid> = tied.iter().copied().collect();
        let mut queue: std::collections::VecDeque<Pid> = tied.iter().copied().collect();
        while let Some(parent) = queue.pop_front() {
            for child in children.get(&parent).into_iter().flatten().copied() {
                if !seen.insert(child) {
                    continue;
                }
                queue.push_back(child);
                let look = self.reader.look(child, clock::now(), Observation::Swept, Cause::Sweep);
                if !hand_on(look.map(|(look, _)| look), stats, take) {
                    return false;
                }
            }
        }
        true
    }

    /// Waits where the sweep is ahead of its rate.
    fn pace(&self, began: Instant, done: u32) {
        let earliest = Duration::from_secs(1).saturating_mul(done) / self.per_second;
        if let Some(ahead) = earliest.checked_sub(began.elapsed()) {
            std::thread::sleep(ahead);
        }
    }
}

fn hand_on(look: Result<Look, Missed>, stats: &Stats, take: &mut dyn FnMut(Found) -> bool) -> bool {
    match look {
        Ok(look) => take(Found::Look(Box::new(look))),
        // It ended meanwhile: what a sweep did not find alive is not its business.
        Err(Missed::Vanished) => true,
        Err(Missed::Denied) => {
            stats.lose(Loss::AccessDenied, 1);
            true
        }
    }
}

/// What the links of fds 0-2 say.
struct Fingerprint {
    hash: u64,
    /// One is a socket.
    socket: bool,
    /// Input and output are ends of channels to other processes, as far as links tell.
    channels: bool,
}

/// `None` where the links may not be read.
fn fingerprint(dir: &ProcDir) -> Option<Fingerprint> {
    let mut buffer = [MaybeUninit::uninit(); 256];
    let mut hasher = DefaultHasher::new();
    let mut socket = false;
    let mut channels = [false; 3];
    for (fd, channel) in channels.iter_mut().enumerate() {
        match dir.stdio_link(fd, &mut buffer) {
            Ok(text) => {
                text.hash(&mut hasher);
                socket |= is_socket(text);
                // A FIFO's link is its path: only what is no channel for certain is left out.
                *channel = text != b"/dev/null" && !text.starts_with(b"anon_inode:");
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return None,
            Err(_) => 0u8.hash(&mut hasher),
        }
    }
    let [stdin, stdout, stderr] = channels;
    Some(Fingerprint { hash: hasher.finish(), socket, channels: stdin && (stdout || stderr) })
}
