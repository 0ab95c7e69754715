//! The sensor's thread: receive, look, hand over.
//!
//! Owns: the loop, and which events lead to a look. Must not own: the socket's set-up, the reading of processes, the
//! verdict. It never waits for anybody: a full channel is a counted loss.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::host::glance::Glance;
use crate::host::proc_dir::ProcDir;
use crate::host::reader::{FirstLook, Reader, stat};
use crate::model::clock::Moment;
use crate::model::event::Event;
use crate::model::ids::{Pid, StartTime};
use crate::model::look::{Cause, Look, Observation};
use crate::model::loss::Loss;
use crate::model::stdio::Backing;
use crate::sensor::budget::Budget;
use crate::sensor::connector::Connector;
use crate::sensor::error::SensorError;
use crate::sensor::followed::Followed;
use crate::sensor::sequence::Sequences;
use crate::sensor::settings::SensorSettings;
use crate::sensor::shared::Shared;
use crate::sensor::suspect::{Settled, Suspect};
use crate::sensor::sweep::SweepRequest;
use crate::stats::{Count, Stats};
use crate::sys::clock;
use crate::sys::cn_proc::{MESSAGE_MAX, Message, What, decode};
use crate::sys::recv::Batch;

/// Events taken with one system call, and between two looks at the budget.
const BATCH: usize = 32;
/// How often drops are asked for, and the longest wait.
const CHECK_NS: u64 = 100_000_000;
/// The most children looked up when a process begins to be followed.
const CHILDREN_MAX: usize = 64;

/// The most processes whose rest waits to be read.
const SEEN_MAX: usize = 256;
/// How many generations of children are looked up at one time.
const GENERATIONS_MAX: usize = 8;

/// What the engine asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowOrder {
    /// Hear this process's forks and exit.
    Follow(Pid),
    /// It does not matter after all.
    Forget(Pid),
}

/// The channels of a sensor thread.
#[derive(Clone, Debug)]
pub struct Wires {
    /// Events, to the engine.
    pub events: Sender<Event>,
    /// Orders, from the engine.
    pub orders: Receiver<FollowOrder>,
    /// Requests, to the sweep.
    pub sweeps: Sender<SweepRequest>,
    /// Processes that somebody else may tie to the network, to the relay thread.
    pub suspects: Sender<Suspect>,
    /// What that thread found to lead nowhere.
    pub settled: Arc<Settled>,
}

impl Wires {
    /// Counts a loss, tells the engine of it, and asks for a sweep.
    pub fn lose(&self, stats: &Stats, loss: Loss, count: u64) {
        stats.lose(loss, count);
        let _ = self.events.try_send(Event::Lost { loss, count, at: clock::now() });
        let _ = self.sweeps.try_send(SweepRequest { everything: true });
    }
}

/// Opens the connector and starts the thread.
pub fn spawn(
    settings: SensorSettings,
    stats: Arc<Stats>,
    wires: Wires,
) -> Result<(Arc<Shared>, JoinHandle<()>), SensorError> {
    let connector = Connector::open(settings.receive_buffer_bytes)?;
    let shared = Arc::new(Shared::new().map_err(SensorError::Setup)?);
    shared.receive_buffer.store(connector.receive_buffer() as u64, Ordering::Relaxed);
    let thread_shared = shared.clone();
    let thread = std::thread::Builder::new()
        .name("sensor".into())
        .spawn(move || {
            let budget = Budget::new(settings.realtime, &stats);
            thread_shared.realtime.store(budget.is_realtime(), Ordering::Relaxed);
            let reader = Reader::new(settings.socket_lookup.clone()).live(budget.is_realtime());
            Sensor {
                settings,
                stats,
                wires,
                shared: thread_shared,
                connector,
                budget,
                reader,
                followed: Followed::default(),
                sequences: Sequences::default(),
                next_check_ns: 0,
                fresh: Vec::new(),
                seen: VecDeque::new(),
                suspects: VecDeque::new(),
            }
            .run();
        })
        .map_err(SensorError::Setup)?;
    Ok((shared, thread))
}

struct Sensor {
    settings: SensorSettings,
    stats: Arc<Stats>,
    wires: Wires,
    shared: Arc<Shared>,
    connector: Connector,
    budget: Budget,
    reader: Reader,
    followed: Followed,
    sequences: Sequences,
    next_check_ns: u64,
    /// Followed since the last filter.
    fresh: Vec<Pid>,
    /// Seen, the rest not yet read, oldest first.
    seen: VecDeque<Seen>,
    /// To be handed on once it is known who they are, oldest first.
    suspects: VecDeque<Suspect>,
}

/// A process whose fds 0-2 have been read.
struct Seen {
    pid: Pid,
    /// `None`: it had gone by then.
    dir: Option<ProcDir>,
    stdio: [Backing; 3],
    at: Moment,
    cause: Cause,
}

impl Sensor {
    fn run(mut self) {
        let mut batch = Batch::<BATCH, MESSAGE_MAX>::default();
        let wait = Timespec { tv_sec: 0, tv_nsec: CHECK_NS as i64 };
        while !self.shared.stop.load(Ordering::Relaxed) {
            let connector_fd = self.connector.fd();
            let mut fds = [
                PollFd::from_borrowed_fd(connector_fd, PollFlags::IN),
                PollFd::new(self.shared.wake_fd(), PollFlags::IN),
            ];
            // Forks and exits of followed processes are why the wait must end; without any it may be long.
            let _ = poll(&mut fds, Some(&wait));
            let ordered = fds[1].revents().contains(PollFlags::IN);
            self.budget.begin();
            if ordered {
                self.shared.woken();
            }
            self.take_orders();
            self.receive(&mut batch);
            self.check();
        }
    }

    /// First looks before full readings: between two of these, which take ten times as long, whatever has come
    /// meanwhile gets its first look.
    fn receive(&mut self, batch: &mut Batch<BATCH, MESSAGE_MAX>) {
        let mut read = 0;
        while !self.shared.stop.load(Ordering::Relaxed) {
            // With NETLINK_NO_ENOBUFS set there is no error; if there is one, the drop counter tells how many.
            let Ok(count) = batch.receive(self.connector.fd()) else { break };
            for datagram in batch.datagrams() {
                if let Some(message) = decode(datagram) {
                    self.on_message(message);
                }
            }
            let waiting = self.seen.pop_front();
            let suspect = if waiting.is_none() { self.suspects.pop_front() } else { None };
            // A batch that was not full has emptied the queue: asking again would only say so.
            let idle = count < BATCH && waiting.is_none() && suspect.is_none();
            if let Some(seen) = waiting {
                self.read_on(seen);
                read += 1;
            }
            if let Some(suspect) = suspect {
                self.suspect_on(suspect);
            }
            self.shared.busy_since_ns.store(0, Ordering::Relaxed);
            self.budget.spend(&self.stats);
            if read >= BATCH || self.seen.is_empty() {
                read = 0;
                self.apply_filter();
            }
            if idle {
                break;
            }
        }
    }

    fn on_message(&mut self, message: Message) {
        self.sequences.check(message, &self.stats, &self.wires);
        match message.what {
            What::Exec { pid } => {
                self.stats.count(Count::Execs);
                self.shared.heard.fetch_add(1, Ordering::Relaxed);
                self.shared.busy_since_ns.store(message.mono_ns.max(1), Ordering::Relaxed);
                self.on_exec(pid);
            }
            // What follows from an exec comes before what the process did afterwards.
            What::Fork { parent, child } if self.followed.contains(parent) || self.is_seen(parent) => {
                self.read_on_now(parent);
                self.stats.count(Count::Forks);
                self.on_fork(parent, child);
            }
            What::Exit { pid } if self.followed.contains(pid) || self.is_seen(pid) => {
                self.read_on_now(pid);
                self.followed.remove(pid);
                self.stats.count(Count::Exits);
                self.send(Event::Exited { pid, at: clock::now() });
            }
            What::Fork { .. } | What::Exit { .. } | What::Other => {}
        }
    }

    fn is_seen(&self, pid: Pid) -> bool {
        self.seen.iter().any(|seen| seen.pid == pid)
    }

    fn on_exec(&mut self, pid: Pid) {
        let followed = self.followed.contains(pid);
        match self.reader.first_look(pid) {
            FirstLook::Nothing if !followed => self.stats.count(Count::LooksNothing),
            FirstLook::Channel(glance) if !followed => self.suspect(pid, glance),
            FirstLook::Channel(glance) => {
                self.look_at(pid, Cause::Exec);
                self.suspect(pid, glance);
            }
            FirstLook::Nothing => self.look_at(pid, Cause::Exec),
            FirstLook::Direct(glance) => self.look_after(pid, &glance, Cause::Exec),
            FirstLook::Socket(dir) => self.look_through(dir, followed, Cause::Exec),
            FirstLook::Vanished if followed => self.send(Event::Vanished { pid, at: clock::now() }),
            FirstLook::Vanished => self.stats.lose(Loss::Vanished, 1),
            FirstLook::Denied => self.stats.lose(Loss::AccessDenied, 1),
        }
    }

    fn look_at(&mut self, pid: Pid, cause: Cause) {
        match ProcDir::open(pid) {
            Ok(dir) => self.look_through(dir, true, cause),
            Err(_) => self.send(Event::Vanished { pid, at: clock::now() }),
        }
    }

    /// Reads fds 0-2 while the process lives; what turns out not to matter is dropped here. The rest waits until
    /// nobody waits for a first look, because it takes ten times as long.
    fn look_through(&mut self, dir: ProcDir, followed: bool, cause: Cause) {
        let at = clock::now();
        let (stdio, unresolved) = self.reader.stdio(&dir);
        if unresolved {
            self.stats.lose(Loss::SocketUnresolved, 1);
        }
        let direct = stdio.iter().any(|backing| backing.network().is_some());
        if !direct && !followed {
            if stdio.iter().all(|backing| matches!(backing, Backing::Closed | Backing::Unread)) {
                self.stats.lose(Loss::Vanished, 1);
            } else {
                self.stats.count(Count::LooksLocalSocket);
            }
            return;
        }
        self.read_later(Seen { pid: dir.pid(), dir: Some(dir), stdio, at, cause });
    }

    /// Somebody else may hold a network socket at the other end: whether that is so takes longer than there is here.
    fn suspect(&mut self, pid: Pid, glance: Glance) {
        let at = clock::now();
        if !Suspect::both(&glance.sights) && self.wires.settled.has(&glance.sights, at.mono_ns) {
            return self.stats.count(Count::LooksSettled);
        }
        let suspect = Suspect { pid, process: glance.process, sights: glance.sights, at, who: None };
        if self.suspects.len() >= SEEN_MAX
            && let Some(oldest) = self.suspects.pop_front()
        {
            self.suspect_on(oldest);
        }
        self.suspects.push_back(suspect);
    }

    /// A single command lives for about a millisecond: who it is has to be read here.
    fn suspect_on(&mut self, mut suspect: Suspect) {
        let dir = ProcDir::of(suspect.pid, &suspect.process);
        suspect.who = dir.and_then(|dir| self.reader.who(&dir));
        match self.wires.suspects.try_send(suspect) {
            Ok(()) => self.stats.count(Count::Suspects),
            Err(_) => self.stats.lose(Loss::SuspectDropped, 1),
        }
    }

    /// The sockets are known already, and the process counts as seen even if nothing else of it can be read.
    fn look_after(&mut self, pid: Pid, glance: &Glance, cause: Cause) {
        let at = clock::now();
        let dir = ProcDir::of(pid, &glance.process);
        let stdio = self.reader.stdio_after(dir.as_ref(), glance);
        self.read_later(Seen { pid, dir, stdio, at, cause });
    }

    /// Each that waits holds a descriptor: where too many do, the oldest is read first.
    fn read_later(&mut self, seen: Seen) {
        if self.seen.len() >= SEEN_MAX
            && let Some(oldest) = self.seen.pop_front()
        {
            self.read_on(oldest);
        }
        self.seen.push_back(seen);
    }

    /// Reads the rest of a process whose fds have been read, before an event that comes after its exec.
    fn read_on_now(&mut self, pid: Pid) {
        while let Some(place) = self.seen.iter().position(|seen| seen.pid == pid) {
            if let Some(seen) = self.seen.remove(place) {
                self.read_on(seen);
            }
        }
    }

    fn read_on(&mut self, seen: Seen) {
        let pid = seen.pid;
        self.shared.busy_since_ns.store(seen.at.mono_ns.max(1), Ordering::Relaxed);
        let look = match &seen.dir {
            Some(dir) => self.reader.rest(dir, seen.stdio, seen.at, Observation::Live, seen.cause),
            None => Look::unread(pid, seen.stdio, seen.at, Observation::Live, seen.cause),
        };
        self.stats.count(Count::LooksHandedOn);
        let gone = look.key.start == StartTime(0);
        self.send(Event::Look(Box::new(look)));
        if gone {
            self.send(Event::Exited { pid, at: seen.at });
        } else {
            self.follow(pid);
        }
    }

    fn on_fork(&mut self, parent: Pid, child: Pid) {
        let start = stat(child).map_or(StartTime(0), |stat| stat.start);
        self.send(Event::Forked { parent, child, start, at: clock::now() });
        self.follow(child);
    }

    /// From the next filter on the process's forks and exit are heard.
    fn follow(&mut self, pid: Pid) {
        let narrow = !self.followed.is_wide();
        if self.followed.add(pid) {
            self.fresh.push(pid);
            if narrow && self.followed.is_wide() {
                self.stats.lose(Loss::FilterWidened, 1);
            }
        }
    }

    /// Puts the filter in place, and then looks up what newly followed processes did before it was there: those that
    /// ended are let go, and their children are followed too.
    fn apply_filter(&mut self) {
        let connector = &self.connector;
        if self.followed.apply(|scope| connector.filter(scope)).is_err() {
            self.followed.apply_again();
        }
        for _ in 0..GENERATIONS_MAX {
            if self.fresh.is_empty() {
                break;
            }
            for pid in std::mem::take(&mut self.fresh) {
                self.catch_up(pid);
            }
            while let Some(seen) = self.seen.pop_front() {
                self.read_on(seen);
            }
            let connector = &self.connector;
            if self.followed.apply(|scope| connector.filter(scope)).is_err() {
                self.followed.apply_again();
            }
        }
        self.shared.busy_since_ns.store(0, Ordering::Relaxed);
        self.shared.followed.store(self.followed.len() as u64, Ordering::Relaxed);
    }

    fn catch_up(&mut self, pid: Pid) {
        self.shared.busy_since_ns.store(clock::now().mono_ns, Ordering::Relaxed);
        if !stat(pid).is_some_and(|stat| stat.lives()) {
            if self.followed.remove(pid) {
                self.send(Event::Exited { pid, at: clock::now() });
            }
            return;
        }
        let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) else { return };
        for child in text.split_ascii_whitespace().take(CHILDREN_MAX).filter_map(|id| id.parse::<Pid>().ok())
        {
            if !self.followed.contains(child) {
                self.look_at(child, Cause::Fork);
                self.follow(child);
            }
        }
    }

    fn take_orders(&mut self) {
        while let Ok(order) = self.wires.orders.try_recv() {
            match order {
                FollowOrder::Follow(pid) => self.follow(pid),
                FollowOrder::Forget(pid) => drop(self.followed.remove(pid)),
            }
        }
        self.apply_filter();
    }

    fn check(&mut self) {
        let now = clock::now();
        if now.mono_ns < self.next_check_ns {
            return;
        }
        self.next_check_ns = now.mono_ns + CHECK_NS;
        let drops = self.connector.new_drops();
        if drops > 0 {
            self.lost(Loss::KernelOverflow, drops.into());
        }
        if self.shared.reopen.swap(false, Ordering::Relaxed) {
            self.reopen();
        }
    }

    fn reopen(&mut self) {
        match Connector::open(self.settings.receive_buffer_bytes) {
            Ok(connector) => {
                self.connector = connector;
                self.sequences.clear();
                self.followed.apply_again();
                self.apply_filter();
            }
            Err(error) => log::warn!("sensor: could not open the proc connector anew: {error}"),
        }
        self.lost(Loss::SensorDeaf, 1);
    }

    fn lost(&mut self, loss: Loss, count: u64) {
        self.wires.lose(&self.stats, loss, count);
    }

    fn send(&mut self, event: Event) {
        if let Err(TrySendError::Full(_)) = self.wires.events.try_send(event) {
            self.stats.lose(Loss::ChannelFull, 1);
            let _ = self.wires.sweeps.try_send(SweepRequest { everything: true });
        }
    }
}
