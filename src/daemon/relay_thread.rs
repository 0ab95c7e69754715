//! The relay thread.
//!
//! Owns: what is done with each suspect of the sensor: who runs, where its descriptors lead, whether the one who holds
//! the socket is excused; and the second looks at those that led nowhere yet. Must not own: the search
//! (`engine::resolve`), the verdict. It works beside the sensor and the engine and holds up neither.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::daemon::status::Board;
use crate::engine::program::Catalog;
use crate::engine::relayed::discovery;
use crate::engine::resolve::{Question, resolve};
use crate::engine::settings::EngineSettings;
use crate::host::Host;
use crate::host::glance::{Glance, Sight};
use crate::host::live::LiveHost;
use crate::host::proc_dir::ProcDir;
use crate::host::reader::{FirstLook, Reader, Who};
use crate::model::clock::{MILLISECOND, SECOND};
use crate::model::event::Event;
use crate::model::ids::Inode;
use crate::model::look::{Cause, Look, Observation};
use crate::model::loss::Loss;
use crate::model::relay::{FileKind, Files, Flow, OpenFile, Relayed, Way};
use crate::sensor::suspect::{Settled, Suspect};
use crate::stats::{Count, Stats};
use crate::sys::{clock, pidfd};

/// Before what is looked at, but without the rights of a real-time thread: a search may take long.
const NICE: i32 = -10;
/// How long a shell may take to start all commands of a pipeline.
const PIPELINE: Duration = Duration::from_millis(5);
/// The most shells that are looked at again.
const WAITING_MAX: usize = 4096;
/// When a shell that led nowhere is looked at again, after its exec. What it hangs on may connect later than it starts.
const AGAIN_NS: [u64; 6] =
    [20 * MILLISECOND, 150 * MILLISECOND, 600 * MILLISECOND, 2 * SECOND, 8 * SECOND, 30 * SECOND];

/// What the thread is given.
#[derive(Debug)]
pub struct RelayThread {
    /// Reads processes.
    pub reader: Reader,
    /// Answers the search.
    pub host: LiveHost,
    /// The names that are watched.
    pub settings: EngineSettings,
    /// The rules are there.
    pub board: Arc<Board>,
    /// The host's mount namespace.
    pub mount_namespace: Option<Inode>,
    /// What leads nowhere.
    pub settled: Arc<Settled>,
    /// Looks, to the engine.
    pub events: Sender<Event>,
    /// Counters.
    pub stats: Arc<Stats>,
}

/// A shell to be looked at again.
struct Waiting {
    suspect: Suspect,
    due_ns: u64,
    times: usize,
}

impl RelayThread {
    /// Starts the thread. It ends when the last sender of suspects is gone.
    pub fn spawn(self, suspects: Receiver<Suspect>) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("relay".into()).spawn(move || self.run(&suspects))
    }

    fn run(self, suspects: &Receiver<Suspect>) {
        // A single command lives for about a millisecond, and what it is joined by goes with it.
        let _ = rustix::process::setpriority_process(None, NICE);
        let catalog = Catalog::new(&self.settings.commands, &self.settings.shells, &self.settings.ignore);
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        loop {
            let now = clock::now().mono_ns;
            let next = waiting.iter().map(|again| again.due_ns).min();
            let patience = next.map_or(SECOND, |due| due.saturating_sub(now).min(SECOND));
            match suspects.recv_timeout(Duration::from_nanos(patience)) {
                Ok(suspect) => {
                    if let Some(suspect) = self.judge(suspect, Observation::Live, &catalog) {
                        if waiting.len() >= WAITING_MAX {
                            waiting.pop_front();
                            self.stats.lose(Loss::SuspectDropped, 1);
                        }
                        let due_ns = suspect.at.mono_ns + AGAIN_NS[0];
                        waiting.push_back(Waiting { suspect, due_ns, times: 1 });
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.look_again(&mut waiting, &catalog);
        }
    }

    fn look_again(&self, waiting: &mut VecDeque<Waiting>, catalog: &Catalog) {
        let now = clock::now().mono_ns;
        for _ in 0..waiting.len() {
            let Some(mut again) = waiting.pop_front() else { break };
            if again.due_ns > now {
                waiting.push_back(again);
                continue;
            }
            if pidfd::has_ended(&again.suspect.process) {
                continue;
            }
            self.stats.count(Count::SecondLooks);
            let began = again.suspect.at;
            let suspect = match self.reader.first_look(again.suspect.pid) {
                FirstLook::Channel(Glance { process, sights }) => {
                    Suspect { pid: again.suspect.pid, process, sights, at: clock::now(), who: None }
                }
                FirstLook::Direct(glance) => {
                    self.moved(&again.suspect, &glance);
                    continue;
                }
                FirstLook::Nothing => again.suspect,
                FirstLook::Socket(_) | FirstLook::Vanished | FirstLook::Denied => continue,
            };
            let Some(mut suspect) = self.judge(suspect, Observation::Swept, catalog) else { continue };
            suspect.at = began;
            if let Some(after) = AGAIN_NS.get(again.times) {
                again = Waiting { due_ns: began.mono_ns + after, times: again.times + 1, suspect };
                waiting.push_back(again);
            }
        }
    }

    /// It has a network socket itself by now.
    fn moved(&self, suspect: &Suspect, glance: &Glance) {
        let Some(dir) = ProcDir::of(suspect.pid, &glance.process) else { return };
        let stdio = self.reader.stdio_after(Some(&dir), glance);
        let look = self.reader.rest(&dir, stdio, clock::now(), Observation::Swept, Cause::Sweep);
        self.send(look);
    }

    /// Looks where a suspect leads, and hands on what leads to a network. Given back if it should be looked at again.
    fn judge(&self, mut suspect: Suspect, seen: Observation, catalog: &Catalog) -> Option<Suspect> {
        let dir = ProcDir::of(suspect.pid, &suspect.process);
        let who = suspect.who.take().or_else(|| self.reader.who(dir.as_ref()?));
        let Some(who) = who else {
            self.stats.lose(Loss::SuspectVanished, 1);
            return None;
        };
        let program = catalog.identify(&who.exe, &who.stat.comm, &who.args.list);
        let both = Suspect::both(&suspect.sights);
        // What executes commands may execute a shell in its own place, with no sign of it but another exec.
        let patient = both && (program.reads_commands() || program.may_become_a_shell());
        let now = clock::now();
        self.host.not_before(suspect.at.mono_ns);
        if !patient && self.settled.has(&suspect.sights, now.mono_ns) {
            return None;
        }
        let [stdin, stdout, stderr] = &suspect.sights;
        let output = [(1, stdout), (2, stderr)].into_iter().find(|(_, sight)| sight.channel().is_some());
        // A command's answer is what it prints: complaints alone are none.
        let command = stdout.channel().is_some() && discovery(&program, &who.args).is_some();
        if !(command || both && program.is_watched()) {
            return None;
        }
        let through_starters = program.reads_commands();
        let way = |fd, sight: &Sight, flow, above| {
            let question = Question { command: suspect.pid, flow, through_starters, above };
            self.way(&who, (fd, sight), question, catalog)
        };
        let input = if both && program.is_watched() { way(0, stdin, Flow::In, false) } else { None };
        let outward = match output {
            // Without an input the output alone matters for a single command only.
            Some((fd, sight)) if input.is_some() || command => way(fd, sight, Flow::Out, input.is_none()),
            _ => None,
        };
        let leads = outward.is_some() && (command || input.is_some());
        if !leads {
            self.settled.settle(&suspect.sights, now.mono_ns);
            return patient.then_some(suspect);
        }
        let errors = stderr.channel().map(|(channel, _)| channel);
        let fds = [
            input.is_some(),
            outward.as_ref().is_some_and(|way| stdout.channel().is_some_and(|(own, _)| own == way.first)),
            outward.as_ref().is_some_and(|way| Some(way.first) == errors)
                || (errors.is_some() && way(2, stderr, Flow::Out, input.is_none()).is_some()),
        ];
        self.stats.count(Count::Ways);
        let mut look = self.look(&suspect, &who, dir.as_ref(), seen);
        look.relayed = Some(Box::new(Relayed { input, output: outward, fds }));
        self.send(look);
        // Whoever ended before the sensor was told to follow it ends here.
        if pidfd::has_ended(&suspect.process) {
            let _ = self.events.try_send(Event::Exited { pid: suspect.pid, at: clock::now() });
        }
        None
    }

    /// The suspect as it was when its descriptors were read.
    fn look(&self, suspect: &Suspect, who: &Who, dir: Option<&ProcDir>, seen: Observation) -> Look {
        let stdio = self.reader.stdio_of(dir, &suspect.sights);
        let whole = dir.map(|dir| self.reader.rest(dir, stdio.clone(), suspect.at, seen, Cause::Exec));
        match whole.filter(|look| look.key == who.key() && !look.unread.contains(&"exe")) {
            Some(mut look) => {
                who.overwrite(&mut look);
                look
            }
            None => self.reader.departed(who, stdio, suspect.at),
        }
    }

    /// Where one descriptor leads, unless whoever holds the socket is excused for all that it relays.
    fn way(
        &self,
        who: &Who,
        (fd, sight): (u32, &Sight),
        question: Question,
        catalog: &Catalog,
    ) -> Option<Way> {
        let (channel, _) = sight.channel()?;
        self.stats.count(Count::Searches);
        let known = Arc::new(Files {
            key: who.key(),
            comm: who.stat.comm.clone(),
            parent: who.stat.parent,
            list: Vec::new(),
            complete: false,
        });
        let way = resolve(question, (fd, channel), Some(&known), &self.host)?;
        if question.above && self.is_pipeline(&way, catalog) {
            return None;
        }
        let rules = self.board.rules();
        let excused = rules.excuse_relay(&way.relay, self.mount_namespace, clock::now().wall_ns).is_some();
        (!excused).then_some(way)
    }

    /// Whether the relay is a shell that only made the pipe of a pipeline: it has both ends until it has started the
    /// commands at them. To read what a command prints it keeps one.
    fn is_pipeline(&self, way: &Way, catalog: &Catalog) -> bool {
        let relay = &way.relay.process;
        if catalog.identify(&relay.exe, &relay.comm, &relay.args.list).shell.is_none() {
            return false;
        }
        std::thread::sleep(PIPELINE);
        self.host.not_before(clock::now().mono_ns);
        let own =
            |file: &OpenFile| matches!(file.kind, FileKind::Channel(channel, _) if channel == way.first);
        way.closed || !self.host.files(relay.key.pid).is_some_and(|files| files.list.iter().any(own))
    }

    fn send(&self, look: Look) {
        if self.events.try_send(Event::Look(Box::new(look))).is_err() {
            self.stats.lose(Loss::ChannelFull, 1);
        }
    }
}
