//! The relay thread.
//!
//! Owns: taking the sensor's suspects to the judge and what is tied to the engine; looking again at shells that lead
//! nowhere yet, and at everything else a short time after its exec, because descriptors can move without one. Must not
//! own: the judgement. It works beside the sensor and the engine and holds up neither.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::daemon::judge::{Judge, Judged};
use crate::daemon::patrol::Patrol;
use crate::daemon::status::Board;
use crate::host::glance::Glance;
use crate::host::proc_dir::ProcDir;
use crate::host::reader::FirstLook;
use crate::model::clock::{MILLISECOND, SECOND};
use crate::model::event::Event;
use crate::model::ids::Pid;
use crate::model::look::{Cause, Look, Observation};
use crate::model::loss::Loss;
use crate::sensor::suspect::Suspect;
use crate::stats::Count;
use crate::stats::pulse::Stage;
use crate::sys::{clock, pidfd};

/// Before what is looked at, but without the rights of a real-time thread: a search may take long.
const NICE: i32 = -10;
/// The most shells that are looked at again.
const SHELLS_MAX: usize = 4096;
/// The most other processes that are.
const OTHERS_MAX: usize = 65_536;
/// When a shell that led nowhere is looked at again, after its exec; afterwards it is the patrol's.
const SHELLS_NS: [u64; 5] = [20 * MILLISECOND, 150 * MILLISECOND, 600 * MILLISECOND, 2 * SECOND, 8 * SECOND];
/// When everything else is, after its exec. What lives on is a sweep's business.
const OTHERS_NS: [u64; 3] = [100 * MILLISECOND, 700 * MILLISECOND, 3 * SECOND];
/// How often it is asked at most what is due: a storm of suspects must not have it asked for each.
const ROUND_NS: u64 = 10 * MILLISECOND;
/// And at least.
const TICK: Duration = Duration::from_millis(100);
/// The longest that one round of looking at shells again may take: somebody may have started thousands of them, and what has
/// just executed something lives for a moment only. Who is left is looked at first the next time.
const ROUND_MAX_NS: u64 = 10 * MILLISECOND;

/// What the thread is given.
#[derive(Debug)]
pub struct RelayThread {
    /// Judges.
    pub judge: Judge,
    /// The rules are there.
    pub board: Arc<Board>,
    /// Looks, to the engine.
    pub events: Sender<Event>,
    /// What executed something with nothing on fds 0-2 that could matter.
    pub recent: Receiver<(Pid, u64)>,
}

/// To be looked at again.
struct Again<T> {
    what: T,
    began_ns: u64,
    times: usize,
}

impl<T> Again<T> {
    fn due_ns(&self, times: &[u64]) -> u64 {
        times.get(self.times).map_or(u64::MAX, |after| self.began_ns.saturating_add(*after))
    }
}

impl RelayThread {
    /// Starts the thread. It ends when the last sender of suspects is gone.
    pub fn spawn(self, suspects: Receiver<Suspect>) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("relay".into()).spawn(move || self.run(&suspects))
    }

    fn run(self, suspects: &Receiver<Suspect>) {
        // A single command lives for about a millisecond, and what it is joined by goes with it.
        let _ = rustix::process::setpriority_process(None, NICE);
        let mut shells: VecDeque<Again<Suspect>> = VecDeque::new();
        let mut others: VecDeque<Again<Pid>> = VecDeque::new();
        let mut patrol = Patrol::default();
        let mut looked_ns = 0;
        loop {
            let now = clock::now().mono_ns;
            let next = shells.iter().map(|again| again.due_ns(&SHELLS_NS)).min().unwrap_or(u64::MAX);
            self.judge.stats.pulses().rests(Stage::Relay);
            let patience = TICK.min(Duration::from_nanos(next.saturating_sub(now)));
            match suspects.recv_timeout(patience) {
                Ok(suspect) => {
                    self.judge.stats.pulses().works(Stage::Relay);
                    let began_ns = suspect.at.mono_ns;
                    if let Some(what) = self.hear(suspect, &mut patrol) {
                        if shells.len() >= SHELLS_MAX {
                            shells.pop_front();
                            self.judge.stats.lose(Loss::SuspectDropped, 1);
                        }
                        shells.push_back(Again { what, began_ns, times: 0 });
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = clock::now().mono_ns;
            if now.saturating_sub(looked_ns) >= ROUND_NS {
                self.judge.stats.pulses().works(Stage::Relay);
                self.judge.count_searches();
                self.look_at_shells(&mut shells, &mut patrol);
                self.look_at_others(&mut others);
                self.walk(&mut patrol);
                looked_ns = clock::now().mono_ns;
            }
        }
    }

    /// Judges a suspect; given back if it leads nowhere yet.
    fn hear(&self, suspect: Suspect, patrol: &mut Patrol<Suspect>) -> Option<Suspect> {
        match self.judge.judge(suspect, &self.board.rules()) {
            Judged::Harmless => None,
            Judged::LeadsNowhere(suspect) => Some(suspect),
            Judged::Tied(look, ended) => {
                let pid = look.key.pid;
                // The shell that started it waits on the same channels, maybe since before they led anywhere.
                if look.relayed.as_ref().is_some_and(|relayed| relayed.input.is_some()) {
                    patrol.hurry();
                }
                self.send(look);
                // Whoever ended before the sensor was told to follow it ends here.
                if ended && self.events.try_send(Event::Exited { pid, at: clock::now() }).is_err() {
                    self.judge.stats.lose(Loss::ChannelFull, 1);
                }
                None
            }
        }
    }

    fn look_at_shells(&self, shells: &mut VecDeque<Again<Suspect>>, patrol: &mut Patrol<Suspect>) {
        let now = clock::now().mono_ns;
        for _ in 0..shells.len() {
            let Some(again) = shells.pop_front() else { break };
            if again.due_ns(&SHELLS_NS) > now {
                shells.push_back(again);
                continue;
            }
            if pidfd::has_ended(&again.what.process) {
                continue;
            }
            if clock::now().mono_ns.saturating_sub(now) > ROUND_MAX_NS {
                shells.push_front(again);
                break;
            }
            let (began_ns, times) = (again.began_ns, again.times + 1);
            let Some(what) = self.again(again.what, patrol) else { continue };
            if times < SHELLS_NS.len() {
                shells.push_back(Again { what, began_ns, times });
            } else {
                self.keep(what, patrol);
            }
        }
    }

    fn keep(&self, what: Suspect, patrol: &mut Patrol<Suspect>) {
        if !patrol.keep(what.pid, what) {
            self.judge.stats.lose(Loss::SuspectDropped, 1);
        }
    }

    /// Those who have waited for long, as many as there is time for.
    fn walk(&self, patrol: &mut Patrol<Suspect>) {
        let (began, cpu) = (clock::now().mono_ns, clock::thread_cpu_ns());
        let mut now = began;
        let mut some = false;
        while now.saturating_sub(began) < ROUND_MAX_NS
            && let Some(what) = patrol.turn(now)
        {
            some = true;
            if !pidfd::has_ended(&what.process)
                && let Some(what) = self.again(what, patrol)
            {
                self.keep(what, patrol);
            }
            now = clock::now().mono_ns;
        }
        if some {
            patrol.took(clock::thread_cpu_ns().saturating_sub(cpu), now);
        }
    }

    /// Looks at a shell again; given back if it leads nowhere still.
    fn again(&self, what: Suspect, patrol: &mut Patrol<Suspect>) -> Option<Suspect> {
        self.judge.stats.count(Count::SecondLooks);
        let pid = what.pid;
        match self.judge.reader.first_look(pid) {
            FirstLook::Channel(glance) => {
                self.hear(Suspect::new(pid, glance, clock::now(), Observation::Swept), patrol)
            }
            FirstLook::Direct(glance) => {
                self.moved(pid, &glance);
                None
            }
            FirstLook::Nothing(_) => Some(what),
            FirstLook::Socket(_) | FirstLook::Vanished | FirstLook::Denied => None,
        }
    }

    /// Most have ended by then, and of the rest most are as they were: one look each, which makes no entries in /proc.
    fn look_at_others(&self, others: &mut VecDeque<Again<Pid>>) {
        let new = self.recent.try_iter().map(|(what, began_ns)| Again { what, began_ns, times: 0 });
        others.extend(new.take(OTHERS_MAX.saturating_sub(others.len())));
        let now = clock::now().mono_ns;
        for _ in 0..others.len() {
            let Some(again) = others.pop_front() else { break };
            if again.due_ns(&OTHERS_NS) > now {
                others.push_back(again);
                continue;
            }
            self.judge.stats.count(Count::SecondLooks);
            let pid = again.what;
            match self.judge.reader.first_look(pid) {
                FirstLook::Direct(glance) => {
                    self.moved(pid, &glance);
                    continue;
                }
                FirstLook::Vanished | FirstLook::Denied | FirstLook::Socket(_) => continue,
                FirstLook::Nothing(_) | FirstLook::Channel(_) => {}
            }
            let times = again.times + 1;
            if times < OTHERS_NS.len() {
                others.push_back(Again { times, ..again });
            }
        }
    }

    /// It has a network socket on fds 0-2 itself by now.
    fn moved(&self, pid: Pid, glance: &Glance) {
        let Some(dir) = ProcDir::of(pid, &glance.process) else { return };
        let reader = &self.judge.reader;
        let stdio = reader.stdio_after(Some(&dir), &glance.sights);
        let look = reader.rest(&dir, stdio, clock::now(), Observation::Swept, Cause::Sweep);
        if look.key.start.0 > 0 {
            self.send(Box::new(look));
        }
    }

    fn send(&self, look: Box<Look>) {
        if self.events.try_send(Event::Look(look)).is_err() {
            self.judge.stats.lose(Loss::ChannelFull, 1);
        }
    }
}
