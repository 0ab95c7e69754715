//! Going through `/proc`.
//!
//! Owns: a thread that looks at what runs already (at start, after a loss, on demand), at a bounded rate, and at no
//! process twice that has not changed. Must not own: the verdict. Talks to: `host`, the engine's channel.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use crate::host::link::is_socket;
use crate::host::proc_dir::ProcDir;
use crate::host::processes::{Listed, Processes};
use crate::host::reader::{FirstLook, Missed, Reader, stat};
use crate::model::event::Event;
use crate::model::ids::Pid;
use crate::model::look::{Cause, Look, Observation};
use crate::model::loss::Loss;
use crate::sensor::remembered::{Remembered, Seen};
use crate::sensor::settings::SensorSettings;
use crate::sensor::suspect::Suspect;
use crate::stats::pulse::Stage;
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
            stats.pulses().works(Stage::Sweep);
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
            stats.pulses().rests(Stage::Sweep);
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

/// What became of looking at one process.
enum Looked {
    Gone,
    At(Seen),
    /// The sweep is to end.
    End,
}

/// Goes through /proc, and remembers what it saw.
#[derive(Debug)]
pub struct Sweeper {
    reader: Reader,
    per_second: u32,
    /// What it saw the last time that it got through.
    memory: Remembered,
    /// Ends a sweep early.
    stop: Arc<AtomicBool>,
}

impl Sweeper {
    /// A sweeper that remembers nothing yet.
    pub fn new(settings: &SensorSettings) -> Self {
        Self {
            reader: Reader::new(settings.socket_lookup.clone()),
            per_second: settings.sweep_per_second.max(1),
            memory: Remembered::default(),
            stop: Arc::default(),
        }
    }

    /// One sweep: hands on, parents before children, every process with a network socket on fds 0-2 and everything
    /// that descends from one, unless it is as it was. `take` returns false to end the sweep early.
    pub fn sweep(&mut self, stats: &Stats, take: &mut dyn FnMut(Found) -> bool) -> Outcome {
        let mut outcome = Outcome::default();
        let Ok(processes) = Processes::open() else { return outcome };
        let began = Instant::now();
        let mut now = Remembered::like(&self.memory);
        let mut tied: Vec<Pid> = Vec::new();
        let mut index = 0;
        let whole = processes.each(|listed| {
            index += 1;
            stats.pulses().works(Stage::Sweep);
            if index % STRIDE == 0 {
                if self.stop.load(Ordering::Relaxed) {
                    return false;
                }
                self.pace(began, index);
            }
            let seen = match self.as_it_was(&processes, listed) {
                Some(seen) => seen,
                None => match self.look_at(listed, stats, take) {
                    Looked::Gone => return true,
                    Looked::At(seen) => seen,
                    Looked::End => return false,
                },
            };
            stats.count(Count::Swept);
            outcome.processes += 1;
            outcome.refused += u64::from(seen.print.is_none());
            if seen.network {
                tied.push(seen.pid);
            }
            now.push(seen);
            true
        });
        if whole {
            now.renew_parents(&self.memory, |pid| stat(pid).map(|stat| stat.parent));
            let children = if tied.is_empty() { HashMap::new() } else { now.children() };
            outcome.complete = self.descend(&tied, &children, stats, take);
            self.memory = now;
        }
        outcome
    }

    /// What an earlier sweep saw of a process, if it is that life of it still, with the same on fds 0-2.
    fn as_it_was(&self, processes: &Processes, listed: Listed) -> Option<Seen> {
        let seen = self.memory.get(listed.pid).filter(|seen| seen.number == listed.number)?;
        let print = fingerprint(|fd, buffer| processes.stdio_link(listed.pid, fd, buffer))?;
        (seen.print == Some(print.hash)).then_some(*seen)
    }

    /// Looks at a process that is new, or not as it was.
    fn look_at(&self, listed: Listed, stats: &Stats, take: &mut dyn FnMut(Found) -> bool) -> Looked {
        let pid = listed.pid;
        let Ok(dir) = ProcDir::open(pid) else { return Looked::Gone };
        let Some(stat) = dir.stat() else { return Looked::Gone };
        let mut seen = Seen {
            pid,
            parent: stat.parent,
            number: listed.number,
            start: stat.start,
            print: None,
            network: false,
            blank: !stat.lives(),
        };
        let Some(print) = fingerprint(|fd, buffer| dir.stdio_link(fd, buffer)) else {
            // What has ended has nothing that could be refused.
            seen.print = (!stat.lives()).then_some(0);
            return Looked::At(seen);
        };
        seen.print = Some(print.hash);
        seen.blank |= print.blank;
        let earlier = self.memory.get(pid);
        if let Some(earlier) = earlier.filter(|then| (then.start, then.print) == (seen.start, seen.print)) {
            seen.network = earlier.network;
            return Looked::At(seen);
        }
        if print.socket {
            let (stdio, unresolved) = self.reader.stdio(&dir);
            if unresolved {
                stats.lose(Loss::SocketUnresolved, 1);
            }
            seen.network = stdio.iter().any(|backing| backing.network().is_some());
            if seen.network {
                let look = self.reader.rest(&dir, stdio, clock::now(), Observation::Swept, Cause::Sweep);
                let look = if look.key.start.0 == 0 { Err(Missed::Vanished) } else { Ok(look) };
                if !hand_on(look, stats, take) {
                    return Looked::End;
                }
            }
        }
        if !seen.network && print.has_channels(|fd| dir.is_null(fd)) && !self.suspect(pid, take) {
            return Looked::End;
        }
        Looked::At(seen)
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
                stats.pulses().works(Stage::Sweep);
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
    /// All are closed.
    blank: bool,
    /// What may be an end of a channel to another process, as far as the link tells.
    channels: [bool; 3],
    /// What is called the null device.
    nulls: [bool; 3],
}

impl Fingerprint {
    /// Whether input and output may be ends of channels to other processes. In a container's own /dev even a FIFO may be
    /// called the null device: `is_null` tells.
    fn has_channels(&self, is_null: impl Fn(usize) -> bool) -> bool {
        let mut fds = (0..3).zip(self.channels.iter().zip(&self.nulls));
        let [stdin, stdout, stderr] = [(); 3]
            .map(|()| fds.next().is_some_and(|(fd, (channel, null))| *channel || *null && !is_null(fd)));
        stdin && (stdout || stderr)
    }
}

/// `None` where the links may not be read.
fn fingerprint(
    read: impl for<'b> Fn(usize, &'b mut [MaybeUninit<u8>]) -> io::Result<&'b [u8]>,
) -> Option<Fingerprint> {
    let mut buffer = [MaybeUninit::uninit(); 256];
    let mut hasher = DefaultHasher::new();
    let (mut socket, mut blank) = (false, true);
    let (mut channels, mut nulls) = ([false; 3], [false; 3]);
    for (fd, (channel, null)) in channels.iter_mut().zip(&mut nulls).enumerate() {
        match read(fd, &mut buffer) {
            Ok(text) => {
                text.hash(&mut hasher);
                blank = false;
                socket |= is_socket(text);
                // A FIFO's link is its path: only what is no channel for certain is left out.
                *null = text == b"/dev/null";
                *channel = !*null && !text.starts_with(b"anon_inode:");
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
            Err(_) => 0u8.hash(&mut hasher),
        }
    }
    Some(Fingerprint { hash: hasher.finish(), socket, blank, channels, nulls })
}
