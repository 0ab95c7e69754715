//! The thread that takes findings to syslog.
//!
//! Owns: the cursor, which moves after success, and what is logged on a change of state. Must not own: the socket's
//! troubles (`socket`), the message's form (`compact`, `header`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError, select};
use syslog::{Facility, LogFormat};

use crate::deliver::compact::compact;
use crate::deliver::header::{Header, level};
use crate::deliver::settings::SyslogSettings;
use crate::deliver::socket::{Sent, SyslogSocket};
use crate::model::clock::SECOND;
use crate::model::finding::Record;
use crate::model::loss::Loss;
use crate::spool::cursor::Cursor;
use crate::spool::reader::{Entry, Reader};
use crate::stats::pulse::Stage;
use crate::stats::{Count, Stats};
use crate::sys::clock;

/// The cursor's name.
const CURSOR: &str = "syslog";
/// The longest message: rsyslog cuts at 8 KiB without a word.
const MESSAGE_MAX: usize = 7_900;
/// The longest message where that was refused (RFC 3164 section 4.1).
const MESSAGE_SHORT: usize = 1_024;
/// Room for the header.
const HEADER_MAX: usize = 64;
/// Records between two writings of the cursor.
const CURSOR_EVERY: u32 = 64;
/// How long is spent at stop on what is still to be sent.
const STOP_WAIT: Duration = Duration::from_secs(1);

/// Starts the thread, unless syslog is switched off. `news` wakes it, the end of `stop` ends it.
pub fn spawn(
    settings: &SyslogSettings,
    spool: &Path,
    stats: Arc<Stats>,
    news: Receiver<()>,
    stop: Receiver<()>,
) -> std::io::Result<Option<JoinHandle<()>>> {
    if !settings.enabled {
        return Ok(None);
    }
    let mut delivery = Delivery {
        spool: spool.to_owned(),
        facility: settings.facility.parse().unwrap_or(Facility::LOG_AUTHPRIV),
        socket: SyslogSocket::new(&settings.path),
        path: settings.path.clone(),
        stats,
        reader: None,
        waiting: None,
        done: Cursor::default(),
        unsaved: 0,
        skipped: 0,
        failing_since: None,
    };
    let thread = std::thread::Builder::new().name("syslog".into()).spawn(move || {
        loop {
            delivery.run(&stop, None);
            delivery.stats.pulses().rests(Stage::Syslog);
            select! {
                recv(news) -> _ => {}
                recv(stop) -> _ => break,
                default(Duration::from_secs(1)) => {}
            }
        }
        delivery.run(&stop, Some(Instant::now() + STOP_WAIT));
    })?;
    Ok(Some(thread))
}

struct Delivery {
    spool: PathBuf,
    facility: Facility,
    socket: SyslogSocket,
    path: PathBuf,
    stats: Arc<Stats>,
    reader: Option<Reader>,
    waiting: Option<Entry>,
    done: Cursor,
    unsaved: u32,
    skipped: u64,
    failing_since: Option<Instant>,
}

impl Delivery {
    /// Sends what there is, until there is nothing more, it cannot be sent now, or it is time to stop.
    fn run(&mut self, stop: &Receiver<()>, until: Option<Instant>) {
        loop {
            let over = match until {
                None => stop.try_recv() == Err(TryRecvError::Disconnected),
                Some(until) => Instant::now() >= until,
            };
            if over {
                break;
            }
            self.stats.pulses().works(Stage::Syslog);
            let Some(entry) = self.next_entry() else { break };
            match self.send(&entry.record) {
                true => {
                    self.done = Cursor { position: entry.next, sequence: entry.record.sequence() };
                    self.unsaved += 1;
                    self.stats.count(Count::SyslogSent);
                    if self.unsaved >= CURSOR_EVERY {
                        self.save();
                    }
                }
                false => {
                    self.waiting = Some(entry);
                    if until.is_none() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
        self.save();
    }

    fn next_entry(&mut self) -> Option<Entry> {
        if let Some(entry) = self.waiting.take() {
            return Some(entry);
        }
        if self.reader.is_none() {
            self.reader = self.open();
        }
        let reader = self.reader.as_mut()?;
        let entry = reader.next();
        let skipped = reader.skipped();
        if skipped > self.skipped {
            self.stats.lose(Loss::SyslogSkipped, skipped - self.skipped);
            self.skipped = skipped;
        }
        match entry {
            Ok(entry) => entry,
            Err(error) => {
                log::warn!("syslog: {error}");
                self.reader = None;
                self.skipped = 0;
                None
            }
        }
    }

    /// A cursor that cannot be used is not worth a loss: all that is stored is sent again.
    fn open(&mut self) -> Option<Reader> {
        let opened = match Cursor::load(&self.spool, CURSOR) {
            Ok(Some(cursor)) => {
                self.done = cursor;
                Reader::after(&self.spool, cursor)
            }
            Ok(None) => Reader::oldest(&self.spool),
            Err(error) => {
                log::warn!("syslog: {error}; everything in the spool is sent again");
                Reader::oldest(&self.spool)
            }
        };
        let opened = opened.or_else(|error| {
            log::warn!("syslog: {error}; everything in the spool is sent again");
            Reader::oldest(&self.spool)
        });
        opened.ok()
    }

    fn send(&mut self, record: &Record) -> bool {
        let outcome = match self.socket.send(&self.message(record, MESSAGE_MAX)) {
            Sent::TooLong => self.socket.send(&self.message(record, MESSAGE_SHORT)),
            outcome => outcome,
        };
        match outcome {
            Sent::Done => {
                if let Some(since) = self.failing_since.take() {
                    log::info!(
                        "syslog: {} takes messages again after {} s",
                        self.path.display(),
                        since.elapsed().as_secs()
                    );
                }
                true
            }
            Sent::Later => false,
            Sent::TooLong => {
                log::warn!(
                    "syslog: a message of {MESSAGE_SHORT} bytes was refused as too long; it stays in the spool"
                );
                self.stats.lose(Loss::SyslogSkipped, 1);
                true
            }
            Sent::Failed(error) => {
                self.stats.count(Count::SyslogFailures);
                if self.failing_since.is_none() {
                    self.failing_since = Some(Instant::now());
                    log::warn!(
                        "syslog: {} cannot be reached ({error}); findings wait in the spool",
                        self.path.display()
                    );
                }
                false
            }
        }
    }

    fn message(&self, record: &Record, most: usize) -> Vec<u8> {
        let seconds = i64::try_from(clock::now().wall_ns / SECOND).unwrap_or(0);
        let header = Header { facility: self.facility, pid: std::process::id(), seconds };
        let mut message = Vec::with_capacity(2048);
        let body = compact(record, most - HEADER_MAX);
        // Writing to a Vec cannot fail.
        let _ = header.format(&mut message, level(record.finding.severity), body);
        message
    }

    fn save(&mut self) {
        if self.unsaved == 0 {
            return;
        }
        match self.done.store(&self.spool, CURSOR) {
            Ok(()) => self.unsaved = 0,
            Err(error) => log::warn!("syslog: {error}"),
        }
    }
}
