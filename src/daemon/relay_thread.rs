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
use crate::engine::disguise::program_of;
use crate::engine::program::{Catalog, Program};
use crate::engine::relayed::discovery;
use crate::engine::resolve::{Question, resolve};
use crate::engine::settings::EngineSettings;
use crate::host::glance::{Glance, Sight};
use crate::host::live::LiveHost;
use crate::host::proc_dir::ProcDir;
use crate::host::reader::{FirstLook, Reader};
use crate::model::clock::{MILLISECOND, SECOND};
use crate::model::event::Event;
use crate::model::ids::Inode;
use crate::model::look::{Cause, Look, Observation};
use crate::model::loss::Loss;
use crate::model::relay::{Flow, Relayed, Way};
use crate::sensor::suspect::{Settled, Suspect};
use crate::stats::{Count, Stats};
use crate::sys::{clock, pidfd};

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
                    Suspect { pid: again.suspect.pid, process, sights, at: clock::now() }
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
    fn judge(&self, suspect: Suspect, seen: Observation, catalog: &Catalog) -> Option<Suspect> {
        let Some(dir) = ProcDir::of(suspect.pid, &suspect.process) else {
            self.stats.lose(Loss::SuspectVanished, 1);
            return None;
        };
        let Some((exe, comm, args)) = self.reader.who(&dir) else {
            self.stats.lose(Loss::SuspectVanished, 1);
            return None;
        };
        let [stdin, stdout, stderr] = &suspect.sights;
        let output = [(1, stdout), (2, stderr)].into_iter().find(|(_, sight)| sight.channel().is_some());
        let both = stdin.channel().is_some() && output.is_some();
        let mut brief = Look::unread(suspect.pid, Default::default(), suspect.at, seen, Cause::Exec);
        (brief.exe, brief.comm, brief.args) = (exe, comm, args);
        let program = if both {
            program_of(catalog, &brief, &self.host)
        } else {
            catalog.identify(&brief.exe.path, &brief.comm, &brief.args.list)
        };
        let command = output.is_some() && discovery(&brief, &program).is_some();
        if !(command || both && program.is_watched()) {
            return None;
        }
        let now = clock::now();
        let patient = program.reads_commands() && both;
        let input =
            if stdin.channel().is_some() { self.way(&suspect, 0, stdin, Flow::In, &program) } else { None };
        let outward = match output {
            // Without an input the output alone matters for a single command only.
            Some((fd, sight)) if input.is_some() || command => {
                self.way(&suspect, fd, sight, Flow::Out, &program)
            }
            _ => None,
        };
        let fds = [0, 1, 2].map(|fd| match (fd, &input, &outward) {
            (0, way, _) => way.is_some(),
            (fd, _, Some(way)) => suspect
                .sights
                .get(fd)
                .is_some_and(|sight| sight.channel().is_some_and(|(channel, _)| channel == way.first)),
            _ => false,
        });
        let relayed = Relayed { input, output: outward, fds };
        if relayed.output.is_none() && (relayed.input.is_none() || !patient) {
            self.settled.settle(&suspect.sights, now.mono_ns);
            return patient.then_some(suspect);
        }
        self.stats.count(Count::Ways);
        let glance = Glance { process: suspect.process, sights: suspect.sights };
        let stdio = self.reader.stdio_after(Some(&dir), &glance);
        let mut look = self.reader.rest(&dir, stdio, suspect.at, seen, Cause::Exec);
        look.relayed = Some(Box::new(relayed));
        if look.key.start.0 == 0 {
            self.stats.lose(Loss::SuspectVanished, 1);
            return None;
        }
        self.send(look);
        None
    }

    /// Where one descriptor leads, unless whoever holds the socket is excused for all that it relays.
    fn way(&self, suspect: &Suspect, fd: u32, sight: &Sight, flow: Flow, program: &Program) -> Option<Way> {
        let (channel, _) = sight.channel()?;
        self.stats.count(Count::Searches);
        let through_starters = program.reads_commands();
        let question = Question { command: suspect.pid, flow, through_starters };
        let way = resolve(question, (fd, channel), &self.host)?;
        let rules = self.board.rules();
        let excused = rules.excuse_relay(&way.relay, self.mount_namespace, clock::now().wall_ns).is_some();
        (!excused).then_some(way)
    }

    fn send(&self, look: Look) {
        if self.events.try_send(Event::Look(Box::new(look))).is_err() {
            self.stats.lose(Loss::ChannelFull, 1);
        }
    }
}
