//! Holding execs: the threads together.
//!
//! Owns: starting and stopping them, falling back (hold, then notify, then off), and saying so. Must not own: any of
//! their work. The threads: `opens` sees each open, two or more `held` read processes that matter while they wait,
//! `deadline` lets go what waits too long, `marks` keeps the marks up to date. A
//! process of its own, the guard, answers while this one is stopped.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};

use crate::host::reader::Reader;
use crate::host::undertaker::Undertaker;
use crate::model::socket::SocketLookup;
use crate::sensor::deadline::Deadline;
use crate::sensor::exec_opens::{Job, Opens};
use crate::sensor::guard;
use crate::sensor::held::HeldLooks;
use crate::sensor::hold_state::{Drop as Dropped, HoldState};
use crate::sensor::hold_worker::Worker;
use crate::sensor::mailbox::Mailbox;
use crate::sensor::marks::{Marks, Watched};
use crate::sensor::popular::Popular;
use crate::sensor::rank;
use crate::sensor::settings::{FanotifyMode, SensorSettings};
use crate::sensor::suspect::Interest;
use crate::sensor::waiters::Waiters;
use crate::stats::Stats;
use crate::sys::fanotify::{Class, Group};
use crate::sys::limits::raise_descriptors;
use crate::sys::sched::{Policy, set_policy};
use crate::sys::vm;

/// Threads that read: one that hangs does not keep the next process from being read.
const WORKERS: usize = 4;
/// Processes that wait to be read.
const JOBS: usize = 64;
/// Programs that wait to be judged.
const CANDIDATES: usize = 16;
/// Descriptors wanted, and the fewest that holding is begun with.
const DESCRIPTORS: (u64, u64) = (65_536, 1_024);

/// How long the start waits until everything is marked.
const FIRST_MARKS: Duration = Duration::from_secs(1);

/// What the threads share.
#[derive(Clone, Debug)]
struct Common {
    settings: SensorSettings,
    state: Arc<HoldState>,
    stats: Arc<Stats>,
    held: Arc<HeldLooks>,
    jobs: Arc<Mailbox<Job>>,
    candidates: Arc<Mailbox<OwnedFd>>,
    watched: Watched,
    interest: Interest,
    /// `None` where duplicates of descriptors are not to be taken.
    undertaker: Option<Undertaker>,
}

/// A group that holds, and the process that guards it.
#[derive(Debug)]
struct Guarded {
    group: Arc<Group>,
    process: io::Result<Child>,
}

/// The threads.
#[derive(Debug)]
pub struct Hold {
    common: Common,
    stopped: Arc<AtomicBool>,
    guard: Option<Guarded>,
    said: FanotifyMode,
}

impl Hold {
    /// Starts in the mode of the settings, or in the nearest one that the kernel lets us have.
    pub fn start(
        settings: &SensorSettings,
        stats: Arc<Stats>,
        held: Arc<HeldLooks>,
        watched: Watched,
        interest: Interest,
    ) -> io::Result<Self> {
        let descriptors = raise_descriptors(DESCRIPTORS.0);
        let state = Arc::new(HoldState::new(settings.fanotify, descriptors)?);
        let duplicates =
            settings.socket_lookup.contains(&SocketLookup::Getfd) && settings.fanotify != FanotifyMode::Off;
        let common = Common {
            settings: settings.clone(),
            state,
            stats,
            held,
            jobs: Arc::new(Mailbox::new(JOBS)?),
            candidates: Arc::new(Mailbox::new(CANDIDATES)?),
            watched,
            interest,
            undertaker: duplicates.then(|| Undertaker::start().ok()).flatten(),
        };
        let mut hold = Self { said: common.state.mode(), common, stopped: Arc::default(), guard: None };
        if settings.fanotify == FanotifyMode::Off {
            return Ok(hold);
        }
        if settings.fanotify == FanotifyMode::Hold && descriptors < DESCRIPTORS.1 {
            log::error!("fanotify: {descriptors} descriptors are too few to hold execs; raise LimitNOFILE");
            hold.common.state.set_mode(FanotifyMode::Notify, Dropped::DescriptorsShort);
        }
        hold.start_workers()?;
        hold.start_opens()?;
        hold.say();
        Ok(hold)
    }

    /// What the threads show.
    pub fn state(&self) -> Arc<HoldState> {
        self.common.state.clone()
    }

    /// Once a second: says what has changed. The threads that answer do not log.
    pub fn tick(&mut self) {
        self.say();
        let stopped_ms = self.common.state.take_stopped_ms();
        if stopped_ms > 0 {
            log::warn!("fanotify: this process was stopped for {stopped_ms} ms; meanwhile nothing was held");
        }
        if !self.common.state.holds() {
            self.end_guard();
        }
        if let Some(Guarded { group, process }) = &mut self.guard
            && process.as_mut().map_or(true, |child| !matches!(child.try_wait(), Ok(None)))
        {
            log::warn!("fanotify: the guard process has ended; another is started");
            *process = guard::spawn(group);
        }
    }

    fn end_guard(&mut self) {
        if let Some(Guarded { process: Ok(mut child), .. }) = self.guard.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn say(&mut self) {
        let mode = self.common.state.mode();
        if mode != self.said {
            log::error!(
                "fanotify: execs are no longer handled by `{}` but by `{}`: {}; restart tetherd to try again",
                self.said.name(),
                mode.name(),
                self.common.state.dropped().reason()
            );
            self.said = mode;
        }
    }

    fn start_workers(&self) -> io::Result<()> {
        for _ in 0..WORKERS {
            let Common { settings, state, stats, held, jobs, undertaker, .. } = self.common.clone();
            let stopped = self.stopped.clone();
            let realtime = settings.realtime;
            std::thread::Builder::new().name("held".into()).spawn(move || {
                be_ready(realtime, 2);
                let reader = Reader::new(settings.socket_lookup).live(realtime);
                Worker { reader, undertaker, jobs, held, state, stats, stopped }.run();
            })?;
        }
        Ok(())
    }

    /// The group, the threads that answer, then the thread that marks: nobody waits before there is somebody to answer.
    fn start_opens(&mut self) -> io::Result<()> {
        let common = &self.common;
        let group = match open_group(&common.state) {
            Ok(group) => Arc::new(group),
            Err(error) => {
                log::error!("fanotify: {error}");
                common.state.set_mode(FanotifyMode::Off, Dropped::Refused);
                return Ok(());
            }
        };
        if group.class() == Class::Held {
            // Only root's own core dumps are given up, and a panic is logged without one.
            vm::forbid_core_dumps()?;
            lock_memory();
        }
        let waiters = start_answering(common, group.clone())?;
        if group.class() == Class::Held {
            let process = guard::spawn(&group);
            if let Err(error) = &process {
                log::error!("fanotify: no guard process ({error}): if tetherd is stopped, every exec waits");
            }
            self.guard = Some(Guarded { group: group.clone(), process });
        }
        let common = self.common.clone();
        let (marked_in, marked) = crossbeam_channel::bounded(1);
        std::thread::Builder::new().name("marks".into()).spawn(move || {
            keep_marks(&common, group, waiters, marked_in);
        })?;
        // A path that hangs must not keep the daemon from its other work.
        let _ = marked.recv_timeout(FIRST_MARKS);
        Ok(())
    }

    /// Ends: from now on everybody is let go at once; the marks go, then the readers. Nobody is waited for: `marks` may
    /// hang at a path, and those that answer go on until the process ends.
    pub fn stop(mut self) {
        self.common.state.set_mode(FanotifyMode::Off, Dropped::Not);
        self.common.state.ask_to_stop();
        self.end_guard();
        self.stopped.store(true, Ordering::Relaxed);
        (0..WORKERS).for_each(|_| self.common.jobs.ring());
    }
}

/// Locks all memory, where that has no limit: with one, allocations would begin to fail at it.
fn lock_memory() {
    let unlimited = getrlimit(Resource::Memlock).current.is_none()
        || capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    let outcome = if unlimited { vm::lock_memory() } else { Err(io::ErrorKind::PermissionDenied.into()) };
    if let Err(error) = outcome {
        log::warn!(
            "fanotify: memory is not locked ({error}), and answers may wait for swap; give CAP_IPC_LOCK or \
             LimitMEMLOCK=infinity"
        );
    }
}

/// The group of the mode in force; where holding is refused, one that only tells.
fn open_group(state: &HoldState) -> io::Result<Group> {
    if state.holds() {
        match Group::new(Class::Held) {
            Ok(group) => return Ok(group),
            Err(error) => {
                log::error!("fanotify: execs cannot be held ({error})");
                state.set_mode(FanotifyMode::Notify, Dropped::Refused);
            }
        }
    }
    Group::new(Class::Told)
}

/// Starts the threads of one group that answer.
fn start_answering(common: &Common, group: Arc<Group>) -> io::Result<Arc<Waiters>> {
    let holds = group.class() == Class::Held;
    let waiters = Waiters::new(group);
    let realtime = common.settings.realtime;
    if holds {
        let deadline = Deadline::new(waiters.clone(), common.state.clone(), common.stats.clone());
        std::thread::Builder::new().name("deadline".into()).spawn(move || {
            be_ready(realtime, 4);
            deadline.run();
        })?;
    }
    let Common { state, held, stats, jobs, candidates, interest, undertaker, .. } = common.clone();
    let (waiters_of, popular) = (waiters.clone(), Popular::default());
    let opens =
        Opens { waiters: waiters_of, state, held, stats, jobs, candidates, popular, interest, undertaker };
    std::thread::Builder::new().name("opens".into()).spawn(move || {
        be_ready(realtime, rank::PRIORITY);
        if holds && realtime {
            opens.waiters.answering.begin();
        }
        opens.run();
    })?;
    Ok(waiters)
}

/// The thread `marks`: keeps them until holding is given up; then takes them away and begins again with a group that
/// only tells.
fn keep_marks(common: &Common, group: Arc<Group>, waiters: Arc<Waiters>, marked: Sender<()>) {
    let new = |group: Arc<Group>| {
        let (state, stats) = (common.state.clone(), common.stats.clone());
        Marks::new(group, state, stats, common.watched.clone(), common.held.clone())
    };
    let holds = group.class() == Class::Held;
    common.held.set_holding(holds);
    let mut marks = new(group.clone()).telling(marked);
    marks.keep(&common.candidates);
    common.held.set_holding(false);
    let _ = group.unmark_all();
    if !holds || common.state.mode() != FanotifyMode::Notify {
        return;
    }
    drop(marks);
    drop(waiters);
    let told = Group::new(Class::Told).map(Arc::new);
    let started = told.and_then(|told| start_answering(common, told.clone()).map(|_| told));
    match started {
        Ok(told) => {
            let mut marks = new(told.clone());
            marks.keep(&common.candidates);
            let _ = told.unmark_all();
        }
        Err(_) => common.state.set_mode(FanotifyMode::Off, Dropped::Refused),
    }
}

/// Before a thread begins to answer: its priority, and its stack in memory. A refusal of the priority is shown by the
/// sensor's thread already.
fn be_ready(realtime: bool, priority: u8) {
    if realtime {
        let _ = set_policy(Policy::FifoAt(priority));
    }
    let stack = [1u8; 64 * 1024];
    std::hint::black_box(&stack);
}
