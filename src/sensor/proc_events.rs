//! The sensor's thread: receive, look, hand over.
//!
//! Owns: the loop, and which events lead to a look. Must not own: the socket's set-up, reading more of a process than its
//! first look (`reading`), the verdict. It never waits for anybody: a full channel is a counted loss.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::host::exec_args;
use crate::host::glance::Glance;
use crate::host::proc_dir::ProcDir;
use crate::host::reader::{FirstLook, Reader, stat};
use crate::model::clock::Moment;
use crate::model::event::Event;
use crate::model::ids::{Pid, StartTime};
use crate::model::look::{Cause, Observation};
use crate::model::loss::Loss;
use crate::model::stdio::Backing;
use crate::sensor::budget::Budget;
use crate::sensor::connector::{Connector, WAIT};
use crate::sensor::error::SensorError;
use crate::sensor::followed::Followed;
use crate::sensor::held::{HeldChannel, HeldLook};
use crate::sensor::reading::{How, Item, Reading, Seen, WAITING_MAX};
use crate::sensor::sequence::Sequences;
use crate::sensor::settings::SensorSettings;
use crate::sensor::shared::Shared;
use crate::sensor::suspect::Suspect;
use crate::sensor::wires::{FollowOrder, Wires};
use crate::stats::pulse::Stage;
use crate::stats::{Count, Stats};
use crate::sys::clock;
use crate::sys::cn_proc::{MESSAGE_MAX, Message, What, decode};
use crate::sys::recv::Batch;

/// Events taken with one system call, and between two looks at the budget.
const BATCH: usize = 32;
/// How often drops are asked for.
const CHECK_NS: u64 = WAIT.as_nanos() as u64;
/// The longest time spent on events when it is to end.
const FINISH_NS: u64 = 500_000_000;
/// The most children looked up when a process begins to be followed.
const CHILDREN_MAX: usize = 64;

/// How long the end waits for what is still being read.
const READ_OUT: Duration = Duration::from_secs(1);
/// How many generations of children are looked up at one time.
const GENERATIONS_MAX: usize = 8;

/// Opens the connector and starts the thread.
pub fn spawn(
    settings: SensorSettings,
    stats: Arc<Stats>,
    wires: Wires,
) -> Result<(Arc<Shared>, JoinHandle<()>), SensorError> {
    let connector = Connector::open(settings.receive_buffer_bytes)?;
    let shared = connector.port().and_then(Shared::new).map_err(SensorError::Setup)?;
    let shared = Arc::new(shared);
    shared.receive_buffer.store(connector.receive_buffer() as u64, Ordering::Relaxed);
    let (items_in, items) = bounded(WAITING_MAX);
    let read_out = reading(&settings, &stats, &wires, &shared, items)?;
    let thread_shared = shared.clone();
    let thread = std::thread::Builder::new()
        .name("sensor".into())
        .spawn(move || {
            let budget = Budget::new(settings.realtime, &stats);
            thread_shared.thread.store(Shared::own_thread(), Ordering::Relaxed);
            thread_shared.realtime.store(budget.is_realtime(), Ordering::Relaxed);
            let reader = Reader::new(settings.socket_lookup.clone());
            let followed = Followed::shown_in(wires.held.clone());
            Sensor {
                settings,
                stats,
                wires,
                shared: thread_shared,
                connector,
                budget,
                reader,
                items: items_in,
                followed,
                sequences: Sequences::default(),
                next_check_ns: 0,
                at_ns: 0,
                fresh: Vec::new(),
            }
            .run();
            // What was seen is read out; a process that does not let itself be read must not hold up the end.
            let _ = read_out.recv_timeout(READ_OUT);
        })
        .map_err(SensorError::Setup)?;
    Ok((shared, thread))
}

/// Starts the reader's thread. When it ends, the other end of what is given back is gone.
fn reading(
    settings: &SensorSettings,
    stats: &Arc<Stats>,
    wires: &Wires,
    shared: &Arc<Shared>,
    items: Receiver<Item>,
) -> Result<Receiver<()>, SensorError> {
    let (ends, ended) = bounded(0);
    let reading = Reading {
        reader: Reader::new(settings.socket_lookup.clone()).live(settings.realtime),
        wires: wires.clone(),
        shared: shared.clone(),
        stats: stats.clone(),
        realtime: settings.realtime,
        ends,
    };
    reading.spawn(items).map_err(SensorError::Setup)?;
    Ok(ended)
}

struct Sensor {
    settings: SensorSettings,
    stats: Arc<Stats>,
    wires: Wires,
    shared: Arc<Shared>,
    connector: Connector,
    budget: Budget,
    reader: Reader,
    /// Everything for the engine, in order.
    items: Sender<Item>,
    followed: Followed,
    sequences: Sequences,
    next_check_ns: u64,
    /// When the exec at hand was.
    at_ns: u64,
    /// Followed since the last filter.
    fresh: Vec<Pid>,
}

impl Sensor {
    fn run(mut self) {
        let mut batch = Batch::<BATCH, MESSAGE_MAX>::default();
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.stats.pulses().rests(Stage::Sensor);
            let received = batch.wait(self.connector.fd());
            self.stats.pulses().works(Stage::Sensor);
            self.budget.begin();
            self.shared.waker.woken();
            self.take_orders();
            self.take(received, &mut batch);
            self.check();
        }
        if self.shared.finish.load(Ordering::Relaxed) {
            self.finish(&mut batch);
        }
    }

    /// What the kernel has told and what has had its first look, as far as a moment suffices: execs may go on.
    fn finish(&mut self, batch: &mut Batch<BATCH, MESSAGE_MAX>) {
        let end = clock::now().mono_ns + FINISH_NS;
        while clock::now().mono_ns < end && batch.receive(self.connector.fd()).is_ok_and(|count| count > 0) {
            for message in batch.datagrams().filter_map(decode) {
                self.on_message(message);
            }
        }
    }

    /// Takes what was received, and whatever came meanwhile.
    fn take(&mut self, mut received: io::Result<usize>, batch: &mut Batch<BATCH, MESSAGE_MAX>) {
        // With NETLINK_NO_ENOBUFS set there is no error; if there is one, the drop counter tells how many.
        while let Ok(count) = received {
            for datagram in batch.datagrams() {
                self.stats.pulses().works(Stage::Sensor);
                if let Some(message) = decode(datagram) {
                    self.on_message(message);
                }
            }
            self.shared.busy_since_ns.store(0, Ordering::Relaxed);
            self.budget.spend(&self.stats);
            self.apply_filter();
            // A batch that was not full has emptied the queue: asking again would only say so.
            if count < BATCH || self.shared.stop.load(Ordering::Relaxed) {
                break;
            }
            received = batch.receive(self.connector.fd());
        }
    }

    fn on_message(&mut self, message: Message) {
        self.sequences.check(message, &self.stats, &self.wires);
        match message.what {
            What::Exec { pid } => {
                self.stats.count(Count::Execs);
                self.shared.heard.fetch_add(1, Ordering::Relaxed);
                self.shared.busy_since_ns.store(message.mono_ns.max(1), Ordering::Relaxed);
                self.at_ns = message.mono_ns;
                self.on_exec(pid, message.mono_ns);
            }
            What::Fork { parent, child } if self.followed.contains(parent) => {
                self.stats.count(Count::Forks);
                self.on_fork(parent, child);
            }
            What::Exit { pid } if self.followed.contains(pid) => {
                self.followed.remove(pid);
                self.stats.count(Count::Exits);
                self.send(Event::Exited { pid, at: clock::now() });
            }
            What::Fork { .. } | What::Exit { .. } | What::Other => {}
        }
    }

    fn on_exec(&mut self, pid: Pid, done_ns: u64) {
        let mut before = None;
        if let Some((held, failed)) = self.wires.held.take(pid, done_ns) {
            self.stats.add(Count::HeldUnconfirmed, failed);
            if held.look.seen != Observation::Held {
                // Nobody held it: what is there now counts for more, as long as there is something.
                before = Some(held);
            } else if self.on_held(held) {
                return;
            }
        }
        let followed = self.followed.contains(pid);
        match self.reader.first_look(pid) {
            FirstLook::Vanished if before.is_some() => {
                before.map(|before| self.on_held(before));
            }
            FirstLook::Nothing(_) if !followed => {
                self.stats.count(Count::LooksNothing);
                self.look_later(pid);
            }
            FirstLook::Channel(glance) if !followed => self.suspect(pid, glance),
            FirstLook::Channel(glance) => {
                // Both need to know that it is still the same process.
                if let Ok(process) = glance.process.try_clone() {
                    self.suspect(pid, Glance { process, sights: glance.sights.clone() });
                }
                self.seen(pid, How::Glance(glance), Cause::Exec);
            }
            FirstLook::Nothing(Some(glance)) => self.seen(pid, How::Glance(glance), Cause::Exec),
            FirstLook::Nothing(None) => self.seen(pid, How::Heard, Cause::Exec),
            FirstLook::Direct(glance) => self.seen(pid, How::Glance(glance), Cause::Exec),
            FirstLook::Socket(dir) => self.look_through(dir, followed, Cause::Exec),
            FirstLook::Vanished if followed => self.send(Event::Vanished { pid, at: clock::now() }),
            FirstLook::Vanished => self.stats.lose(Loss::Vanished, 1),
            FirstLook::Denied => self.stats.lose(Loss::AccessDenied, 1),
        }
    }

    /// An exec that was looked at before it was done. False: the process id has passed on meanwhile.
    fn on_held(&mut self, held: HeldLook) -> bool {
        let HeldLook { mut look, whole, channel, .. } = held;
        if whole && !self.reader.refresh(&mut look) {
            self.stats.count(Count::HeldUnconfirmed);
            return false;
        }
        self.stats.count(Count::Held);
        let (pid, at, seen) = (look.key.pid, look.at, look.seen);
        let (for_engine, who) = match &channel {
            Some(_) => (whole.then(|| Box::new(look.clone())), Some(Box::new(look))),
            None => (Some(Box::new(look)), None),
        };
        if let Some(HeldChannel { process, sights, lineage }) = channel {
            self.hand_on(Item::Suspect(Suspect {
                pid,
                process,
                sights,
                at,
                seen,
                who,
                lineage,
                probe: false,
            }));
        }
        if let Some(look) = for_engine {
            self.stats.count(Count::LooksHandedOn);
            self.send(Event::Look(look));
            self.follow(pid, at.mono_ns);
        }
        true
    }

    /// Looks whose exec was not heard of: it failed, or the event was lost and the process runs the program.
    fn expire_held(&mut self, now: Moment) {
        for held in self.wires.held.expired(now.mono_ns, exec_args::may_execute) {
            let file = held.look.exe.file;
            let mut look = held.look.clone();
            let runs = held.look.seen == Observation::Held && self.reader.refresh(&mut look);
            if !runs || file.is_none() || look.exe.file != file || !self.on_held(held) {
                self.stats.count(Count::HeldUnconfirmed);
            }
        }
    }

    /// Reads fds 0-2 by their links while the process lives; what turns out not to matter is dropped here.
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
        self.seen_at(dir.pid(), How::Links(dir, stdio), at, cause);
    }

    /// Descriptors can move without an exec: it is looked at again a short time from now.
    fn look_later(&mut self, pid: Pid) {
        if self.wires.recent.try_send((pid, self.at_ns)).is_err() {
            self.stats.lose(Loss::SecondLookDropped, 1);
        }
    }

    /// Somebody else may hold a network socket at the other end: whether that is so takes longer than there is here.
    fn suspect(&mut self, pid: Pid, glance: Glance) {
        let at = clock::now();
        if !Suspect::both(&glance.sights) && self.wires.interest.settled.has(&glance.sights, at.mono_ns) {
            self.stats.count(Count::LooksSettled);
            return self.look_later(pid);
        }
        self.hand_on(Item::Suspect(Suspect::new(pid, glance, at, Observation::Live)));
    }

    /// Hands on what had its first look, to have the rest of it read. From now on its forks and its exit matter.
    fn seen(&mut self, pid: Pid, how: How, cause: Cause) {
        self.seen_at(pid, how, clock::now(), cause);
    }

    fn seen_at(&mut self, pid: Pid, how: How, at: Moment, cause: Cause) {
        self.hand_on(Item::Seen(Seen { pid, how, at, cause }));
        self.follow(pid, at.mono_ns);
    }

    fn on_fork(&mut self, parent: Pid, child: Pid) {
        let start = stat(child).map_or(StartTime(0), |stat| stat.start);
        let at = clock::now();
        self.send(Event::Forked { parent, child, start, at });
        self.follow(child, at.mono_ns);
    }

    /// From the next filter on the process's forks and exit are heard.
    fn follow(&mut self, pid: Pid, since_ns: u64) {
        let narrow = !self.followed.is_wide();
        if self.followed.add(pid, since_ns) {
            self.fresh.push(pid);
            if narrow && self.followed.is_wide() {
                self.stats.lose(Loss::FilterWidened, 1);
            }
        }
    }

    /// Puts the filter in place, and then looks up what newly followed processes did before it was there: those that
    /// ended are let go, and their children are followed too.
    fn apply_filter(&mut self) {
        if self.fresh.is_empty() && !self.followed.has_changed() {
            return;
        }
        let connector = &self.connector;
        if self.followed.apply(clock::now().mono_ns, |scope| connector.filter(scope)).is_err() {
            self.followed.apply_again();
        }
        // While everybody is heard, nothing was missed.
        if self.followed.is_busy() {
            self.fresh.clear();
        }
        for _ in 0..GENERATIONS_MAX {
            if self.fresh.is_empty() {
                break;
            }
            for pid in std::mem::take(&mut self.fresh) {
                self.catch_up(pid);
            }
            let connector = &self.connector;
            if self.followed.apply(clock::now().mono_ns, |scope| connector.filter(scope)).is_err() {
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
                self.seen(child, How::Heard, Cause::Fork);
            }
        }
    }

    fn take_orders(&mut self) {
        while let Ok(order) = self.wires.orders.try_recv() {
            match order {
                FollowOrder::Follow(pid) => self.follow(pid, 0),
                FollowOrder::Forget(pid, then_ns) => self.followed.forget(pid, then_ns),
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
        self.expire_held(now);
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
                if let Ok(port) = self.connector.port() {
                    self.shared.waker.moved(port);
                }
                self.sequences.clear();
                self.followed.apply_again();
                self.take_orders();
            }
            Err(error) => log::warn!("sensor: could not open the proc connector anew: {error}"),
        }
        self.lost(Loss::SensorDeaf, 1);
    }

    fn lost(&mut self, loss: Loss, count: u64) {
        self.wires.lose(&self.stats, loss, count);
    }

    fn send(&mut self, event: Event) {
        self.hand_on(Item::Event(event));
    }

    fn hand_on(&mut self, item: Item) {
        if self.items.try_send(item).is_err() {
            self.lost(Loss::ReaderFull, 1);
        }
    }
}
