//! The thread of one destination.
//!
//! Owns: reading the spool, handing messages over, moving the cursor behind what was accepted, beginning again where a
//! connection breaks. Must not own: what accepted means (`link`), what is kept for a break (`window`), what is said
//! (`trouble`).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select};

use crate::deliver::backoff::Backoff;
use crate::deliver::filter::Filter;
use crate::deliver::leash::Leash;
use crate::deliver::link::connect::Connector;
use crate::deliver::link::{Answer, Given, Link};
use crate::deliver::message::{MESSAGE_SHORT, Messages};
use crate::deliver::places;
use crate::deliver::progress::{Progress, State, Tally};
use crate::deliver::settings::{Confirm, Destination, SYSLOG, Transport};
use crate::deliver::trouble::Trouble;
use crate::deliver::window::Window;
use crate::model::loss::Loss;
use crate::spool::cursor::Cursor;
use crate::spool::reader::{Entry, Reader};
use crate::spool::summary::Summary;
use crate::stats::{Count, Stats};

/// Records between two looks at whether it is time to stop.
const TURN: usize = 64;
/// How long after the last message a connection is ended, so that the receiver says that it has read all of it.
const LINGER: Duration = Duration::from_secs(1);
/// The longest wait for room or an answer.
const SLICE: Duration = Duration::from_millis(200);
/// The first wait for an answer; the next ones double.
const PATIENCE: Duration = Duration::from_millis(2);
/// The longest wait for news from the spool.
const IDLE: Duration = Duration::from_secs(1);
/// The shortest time between two writings of the cursor.
const STORE_EVERY: Duration = Duration::from_millis(200);
/// How long nothing is accepted before that is trouble.
const STALL: Duration = Duration::from_secs(30);
/// The longest pause between attempts to reach a local and a remote receiver.
const PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// How long is spent at stop on what is still to be sent.
const STOP_WAIT: Duration = Duration::from_secs(1);

/// A destination at work.
#[derive(Debug)]
pub struct Worker {
    destination: Destination,
    spool: PathBuf,
    stats: Arc<Stats>,
    progress: Arc<Progress>,
    filter: Filter,
    messages: Messages,
    connector: Connector,
    backoff: Backoff,
    trouble: Trouble,
    /// `None` until it is known where to begin.
    window: Option<Window>,
    reader: Option<Reader>,
    /// The place behind what was read.
    read: Cursor,
    /// Records that the reader has found missing.
    skipped: u64,
    /// Read and not handed over yet.
    waiting: Option<Entry<Summary>>,
    /// The highest number that was handed over or kept back.
    highest: u64,
    link: Option<Box<dyn Link>>,
    /// Something was accepted since the last break.
    proven: bool,
    broken: bool,
    /// A receiver far away is tried once at the start, so that what is wrong is known before there is something to send.
    probed: bool,
    last_given: Option<Instant>,
    unanswered: Option<Instant>,
    patience: Duration,
    stored: Cursor,
    store_at: Instant,
}

impl Worker {
    /// Not begun; `host` is this node's name.
    pub fn new(
        destination: Destination,
        spool: PathBuf,
        host: &str,
        stats: Arc<Stats>,
        progress: Arc<Progress>,
    ) -> Self {
        let local = destination.transport().is_local();
        Self {
            filter: Filter::new(&destination),
            messages: Messages::new(&destination, host),
            connector: Connector::new(&destination),
            backoff: Backoff::new(if local { PAUSE.0 } else { PAUSE.1 }),
            trouble: Trouble::new(progress.clone()),
            probed: !destination.transport().is_connection(),
            destination,
            spool,
            stats,
            progress,
            window: None,
            reader: None,
            read: Cursor::default(),
            skipped: 0,
            waiting: None,
            highest: 0,
            link: None,
            proven: false,
            broken: false,
            last_given: None,
            unanswered: None,
            patience: PATIENCE,
            stored: Cursor::default(),
            store_at: Instant::now(),
        }
    }

    /// Works until the sender of `stop` is gone; `news` says that there is something new in the spool.
    pub fn run(mut self, news: &Receiver<()>, stop: &Receiver<()>) {
        let progress = self.progress.clone();
        let leash = Leash::new(stop, progress.pulse());
        while !leash.is_over() {
            let Some(wait) = self.turn(leash, false) else { continue };
            leash.rests();
            select! {
                recv(news) -> _ => {}
                recv(stop) -> _ => break,
                default(wait) => {}
            }
        }
        let until = Instant::now() + STOP_WAIT;
        while Instant::now() < until && self.turn(leash, true).is_none() {}
        self.store(Instant::now(), true);
    }

    /// One step, which takes at most about [`SLICE`]; how long to wait before the next, `None` for not at all. With
    /// `closing`, everything that can be done now is, and a wait means that there is nothing more to do.
    fn turn(&mut self, leash: Leash<'_>, closing: bool) -> Option<Duration> {
        let now = Instant::now();
        if let Some(left) = self.backoff.left(now) {
            self.store(now, false);
            return Some(left.min(IDLE));
        }
        if self.window.is_none()
            && let Err(error) = self.begin()
        {
            self.fails(State::Failing, &format!("waits: {error}"), now);
            return Some(IDLE);
        }
        let outcome = self.fill(leash, closing).and_then(|filled| self.ask(filled, closing));
        let wait = match outcome {
            Ok(wait) => wait,
            Err(Break { connecting, error }) => self.breaks(connecting, &error, closing),
        };
        self.store(Instant::now(), false);
        self.show();
        wait
    }

    fn begin(&mut self) -> Result<(), crate::spool::error::SpoolError> {
        let cursor = places::first(&self.spool, &self.destination)?;
        self.reader = Some(places::behind(&self.spool, &self.destination.name, cursor)?);
        self.window = Some(Window::new(cursor));
        (self.read, self.stored, self.highest) = (cursor, cursor, cursor.sequence);
        Ok(())
    }

    /// Hands over what there is and what there is room for.
    fn fill(&mut self, leash: Leash<'_>, closing: bool) -> Result<Filled, Break> {
        if !self.probed && self.link.is_none() && !closing {
            self.connect(leash)?;
            self.probed = self.link.is_some();
        }
        if self.link.as_ref().is_some_and(|link| link.is_ending()) {
            return Ok(Filled::Window);
        }
        for _ in 0..TURN {
            if !self.window.as_ref().is_some_and(Window::has_room) {
                return Ok(Filled::Window);
            }
            let Some(entry) = self.next_entry() else { return Ok(Filled::All) };
            let after = Cursor { position: entry.next, sequence: entry.record.sequence };
            if !self.filter.wants(&entry.record) {
                self.count(after.sequence, Tally::Filtered, None);
                self.window.as_mut().into_iter().for_each(|window| window.skip(after));
                continue;
            }
            if self.link.is_none() {
                let connected = self.connect(leash);
                if !matches!(connected, Ok(true)) {
                    self.waiting = Some(entry);
                    return connected.map(|_| Filled::Stopped);
                }
            }
            let Some(link) = self.link.as_mut() else { return Ok(Filled::Stopped) };
            let Some(message) = self.messages.of(&entry) else {
                self.unreadable(after);
                continue;
            };
            let (mut given, mut length) = (link.give(&message)?, message.len());
            if given == Given::TooLong
                && let Some(short) = self.messages.short(&entry)
            {
                (given, length) = (link.give(&short)?, short.len());
            }
            match given {
                Given::Full => {
                    self.waiting = Some(entry);
                    self.unanswered.get_or_insert_with(Instant::now);
                    return Ok(Filled::Link);
                }
                Given::TooLong => self.refused(after),
                Given::Taken => {
                    let now = Instant::now();
                    self.count(after.sequence, Tally::Sent, Some(Tally::Resent));
                    self.window.as_mut().into_iter().for_each(|window| window.sent(after, length, now));
                    self.last_given = Some(now);
                    self.unanswered.get_or_insert(now);
                    self.patience = PATIENCE;
                }
            }
        }
        Ok(Filled::Turn)
    }

    fn next_entry(&mut self) -> Option<Entry<Summary>> {
        if let Some(entry) = self.waiting.take() {
            return Some(entry);
        }
        if self.reader.is_none() {
            self.skipped = 0;
            self.reader = places::behind(&self.spool, &self.destination.name, self.read).ok();
        }
        let reader = self.reader.as_mut()?;
        let entry = reader.next_summary();
        let missing = reader.skipped() - self.skipped;
        self.skipped = reader.skipped();
        let entry = entry.unwrap_or_else(|error| {
            log::warn!("{}: {error}", self.destination.name);
            self.reader = None;
            None
        })?;
        let sequence = entry.record.sequence;
        if missing > 0 {
            self.stats.lose(Loss::DeliverySkipped, missing);
            self.progress.add(Tally::Skipped, missing);
            log::warn!(
                "{}: {missing} records before record {sequence} are gone from the spool and were not sent",
                self.destination.name
            );
        }
        self.read = Cursor { position: entry.next, sequence };
        Some(entry)
    }

    /// Counts a record by whether it is met for the first time.
    fn count(&mut self, sequence: u64, first: Tally, again: Option<Tally>) {
        let new = sequence > self.highest;
        self.highest = self.highest.max(sequence);
        if let Some(tally) = if new { Some(first) } else { again } {
            self.progress.add(tally, 1);
        }
        if new && first == Tally::Sent && self.destination.name == SYSLOG {
            self.stats.count(Count::SyslogSent);
        }
    }

    fn refused(&mut self, after: Cursor) {
        let why = format_args!("was refused as too long in {MESSAGE_SHORT} bytes; it stays in the spool");
        self.unsent(after, Tally::Refused, why);
    }

    /// A line that has what a record is numbered by, and is none in other respects.
    fn unreadable(&mut self, after: Cursor) {
        let why = format_args!("is damaged and cannot be brought into this form; it was not sent");
        self.unsent(after, Tally::Skipped, why);
    }

    /// A record that this destination will not get.
    fn unsent(&mut self, after: Cursor, tally: Tally, why: std::fmt::Arguments<'_>) {
        log::warn!("{}: record {} {why}", self.destination.name, after.sequence);
        self.count(after.sequence, tally, None);
        self.stats.lose(Loss::DeliverySkipped, 1);
        self.window.as_mut().into_iter().for_each(|window| window.skip(after));
    }

    /// Whether there is a connection now; if not, it is time to stop.
    fn connect(&mut self, leash: Leash<'_>) -> Result<bool, Break> {
        self.link = self.connector.connect(leash).map_err(|error| Break { connecting: true, error })?;
        if self.link.is_some() && std::mem::take(&mut self.broken) {
            self.progress.add(Tally::Reconnects, 1);
        }
        Ok(self.link.is_some())
    }

    /// Asks for the answer to what was handed over.
    fn ask(&mut self, filled: Filled, closing: bool) -> Result<Option<Duration>, Break> {
        let (Some(link), Some(window)) = (self.link.as_mut(), self.window.as_mut()) else {
            return Ok((filled != Filled::Turn).then_some(self.rest(IDLE)));
        };
        let lingered = self.last_given.map_or(LINGER, |given| given.elapsed());
        let end = closing || filled == Filled::Window || (filled == Filled::All && lingered >= LINGER);
        let answer = link.answer(end)?;
        let now = Instant::now();
        if answer != Answer::Open {
            let accepted = window.accept(now);
            if answer == Answer::Ended {
                self.link = None;
            }
            if accepted > 0 || answer == Answer::Ended {
                self.works(now);
            }
        }
        self.notice_stall(now);
        let Some(link) = self.link.as_ref() else { return Ok(None) };
        let patience = self.patience;
        match filled {
            Filled::Turn => return Ok(None),
            Filled::Link => link.wait(true, SLICE),
            _ if answer != Answer::Open => return Ok((filled == Filled::All).then(|| self.rest(IDLE))),
            _ if end => link.wait(false, patience.min(SLICE)),
            _ => {
                self.patience = (patience * 2).min(IDLE);
                return Ok(Some(self.rest(patience)));
            }
        }
        self.patience = (patience * 2).min(IDLE);
        Ok(None)
    }

    /// A receiver that takes nothing for long is trouble, but no reason to connect again.
    fn notice_stall(&mut self, now: Instant) {
        let Some(since) = self.unanswered.filter(|since| now.duration_since(*since) >= STALL) else { return };
        let seconds = now.duration_since(since).as_secs() / 60 * 60;
        let time = if seconds == 0 { STALL.as_secs() } else { seconds };
        let hint = match (self.destination.transport(), self.destination.confirm) {
            (Transport::Tcp | Transport::Tls, Confirm::Close | Confirm::CloseNotify) => {
                "; if it is well, it does not close a connection that ends: set confirm = \"kernel\""
            }
            _ => "",
        };
        self.trouble.is(State::Stalled, &format!("has accepted nothing for {time} s{hint}"), now);
    }

    /// A wait that ends in time to store the cursor.
    fn rest(&self, most: Duration) -> Duration {
        let done = self.window.as_ref().map_or(self.stored, Window::done);
        if done == self.stored { most } else { most.min(STORE_EVERY) }
    }

    fn works(&mut self, now: Instant) {
        (self.proven, self.unanswered, self.patience) = (true, None, PATIENCE);
        self.backoff.worked();
        self.trouble.over(now);
    }

    /// Nothing came of a connection, or it broke: everything that was not accepted is sent again.
    fn breaks(&mut self, connecting: bool, error: &io::Error, closing: bool) -> Option<Duration> {
        let now = Instant::now();
        (self.link, self.waiting, self.reader, self.unanswered) = (None, None, None, None);
        self.broken = true;
        if let Some(window) = self.window.as_mut() {
            self.read = window.rewind(now);
        }
        // A receiver that was restarted is back at once, or it is not, and then that is trouble.
        if !connecting && std::mem::take(&mut self.proven) && !closing {
            return None;
        }
        // Datagrams learn of it only as they are sent.
        let away = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
        let what = match connecting || away {
            true => format!("cannot be reached ({error})"),
            false => format!("has accepted nothing: the connection broke ({error})"),
        };
        self.fails(State::Failing, &what, now);
        self.backoff.left(now)
    }

    fn fails(&mut self, state: State, what: &str, now: Instant) {
        self.progress.add(Tally::Failures, 1);
        if self.destination.name == SYSLOG {
            self.stats.count(Count::SyslogFailures);
        }
        self.backoff.failed(now);
        self.trouble.is(state, what, now);
    }

    fn store(&mut self, now: Instant, force: bool) {
        let Some(window) = &self.window else { return };
        let done = window.done();
        if done == self.stored || (!force && now < self.store_at) {
            return;
        }
        self.store_at = now + STORE_EVERY;
        match done.store(&self.spool, &self.destination.name) {
            Ok(()) => self.stored = done,
            Err(error) => {
                self.store_at = now + STALL;
                log::warn!("{}: {error}", self.destination.name);
            }
        }
    }

    fn show(&self) {
        let Some(window) = &self.window else { return };
        self.progress.reached(window.done().sequence, window.open());
        if !self.trouble.is_there() {
            let busy = window.open() > 0 || self.waiting.is_some();
            self.progress.set_state(if busy { State::Sending } else { State::Idle });
        }
    }
}

/// Why no more was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    /// There is nothing more.
    All,
    /// It is time to look up.
    Turn,
    /// Enough is on its way.
    Window,
    /// The connection takes no more.
    Link,
    /// It is time to stop.
    Stopped,
}

/// The end of a connection, or of an attempt to make one.
#[derive(Debug)]
struct Break {
    connecting: bool,
    error: io::Error,
}

impl From<io::Error> for Break {
    fn from(error: io::Error) -> Self {
        Self { connecting: false, error }
    }
}
