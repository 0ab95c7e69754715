//! The record thread: context, then the disk.
//!
//! Owns: turning detections into records and storing them, many with one fdatasync where many come at once, and trying
//! again where the disk refuses. Must not own: the spool's format, the context. A finding exists when it is on disk;
//! only then are syslog and the screen told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::daemon::restore::{Leftovers, ended};
use crate::daemon::screen::Screen;
use crate::daemon::status::Board;
use crate::enrich::Enricher;
use crate::model::detection::Detection;
use crate::model::finding::{CATEGORY_LOSS, Record, property};
use crate::model::ids::FindingId;
use crate::model::loss::Loss;
use crate::spool::record::observation;
use crate::spool::writer::{OpenReport, Writer};
use crate::stats::pulse::Stage;
use crate::stats::{Count, Stats};
use crate::sys::clock;

/// The most records stored with one fdatasync.
const BATCH_MAX: usize = 64;
/// How long to wait before a refused write is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What is to be recorded.
#[derive(Debug)]
pub enum Work {
    /// An incident as it stands.
    Detection(Box<Detection>),
    /// Incidents of before that no living process takes up.
    Unclaimed(Vec<FindingId>),
    /// What was lost since the last report.
    Losses(Vec<(Loss, u64)>),
}

/// The thread's parts.
#[derive(Debug)]
pub struct RecordThread {
    /// The spool.
    pub writer: Writer,
    /// The context.
    pub enricher: Enricher,
    /// The counters.
    pub stats: Arc<Stats>,
    /// The board.
    pub board: Arc<Board>,
}

impl RecordThread {
    /// Starts the thread. It ends when the last sender of work is gone and everything is stored.
    pub fn spawn(
        mut self,
        work: Receiver<Work>,
        news: Sender<()>,
        mut leftovers: Leftovers,
        opened: OpenReport,
        screen: Screen,
    ) -> std::io::Result<JoinHandle<()>> {
        self.stats.lose(Loss::SpoolTorn, opened.torn);
        std::thread::Builder::new().name("record".into()).spawn(move || {
            let mut troubled = false;
            loop {
                self.stats.pulses().rests(Stage::Record);
                let first = if troubled { work.recv_timeout(RETRY) } else { work.recv().map_err(Into::into) };
                let over = matches!(first, Err(RecvTimeoutError::Disconnected));
                let batch = first.into_iter().chain(work.try_iter().take(BATCH_MAX - 1));
                let mut records: Vec<Record> = Vec::new();
                for item in batch {
                    self.stats.pulses().works(Stage::Record);
                    self.turn(item, &mut leftovers, &mut records);
                }
                self.stats.pulses().works(Stage::Record);
                troubled = !self.store(&mut records, troubled);
                if !troubled {
                    records.iter().for_each(|record| screen.show(record));
                    let _ = news.try_send(());
                }
                if over {
                    break;
                }
            }
        })
    }

    fn turn(&mut self, work: Work, leftovers: &mut Leftovers, records: &mut Vec<Record>) {
        let now = clock::now();
        match work {
            Work::Detection(detection) => {
                leftovers.remove(&detection.id);
                let mut record = self.enricher.record(&detection, now);
                let again = self.enricher.relate(&mut record, now);
                records.push(record);
                records.extend(again);
            }
            // By now every incident that goes on has been detected again: the rest has ended.
            Work::Unclaimed(_) => records.extend(leftovers.drain().map(|(_, record)| ended(record, now))),
            Work::Losses(losses) => records.push(self.loss_record(&losses)),
        }
    }

    fn loss_record(&self, losses: &[(Loss, u64)]) -> Record {
        let what: Vec<String> = losses
            .iter()
            .map(|(loss, count)| format!("{count} {}: {}", loss.name(), loss.meaning()))
            .collect();
        let mut properties = BTreeMap::new();
        let counts = losses.iter().map(|(loss, count)| (loss.name().to_owned(), (*count).into()));
        properties.insert("Losses".to_owned(), serde_json::Value::Object(counts.collect()));
        properties.insert(property::EVIDENCE.to_owned(), what.clone().into());
        let description = format!("Something may have been missed: {}.", what.join("; "));
        observation(CATEGORY_LOSS, &description, properties, clock::now(), self.board.boot_id())
    }

    /// Whether everything is on disk. The writer keeps what could not be written.
    fn store(&mut self, records: &mut [Record], troubled: bool) -> bool {
        let outcome = self.writer.append(records);
        let usage = self.writer.usage();
        self.board.set_spool(self.writer.next_sequence(), usage.segments, usage.bytes);
        match outcome {
            Ok(done) => {
                self.stats.add(Count::Records, records.len() as u64);
                self.stats.lose(Loss::RecordShortened, done.shortened);
                self.stats.lose(Loss::SpoolDropped, done.dropped);
                self.stats.lose(Loss::SpoolTorn, done.torn);
                if troubled {
                    log::info!("spool: findings are stored again");
                }
                true
            }
            Err(error) => {
                self.stats.lose(Loss::SpoolWrite, records.len().max(1) as u64);
                if !troubled {
                    log::error!("spool: {error}");
                }
                false
            }
        }
    }
}
