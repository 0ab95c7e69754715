//! The record thread: context, then the disk.
//!
//! Owns: turning detections into records and storing them, many with one fdatasync where many come at once, and trying
//! again where the disk refuses. Must not own: the spool's format, the context, what gives way to what (`queue`). A
//! finding exists when it is on disk; only then are the destinations and the screen told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::daemon::allowance::Allowance;
use crate::daemon::coverage::Gap;
use crate::daemon::journal::{self, Heartbeat};
use crate::daemon::pressure::Pressure;
use crate::daemon::queue::{Batch, Taker, Taking, Work};
use crate::daemon::restore::{self, Leftovers};
use crate::daemon::screen::Screen;
use crate::daemon::status::Board;
use crate::daemon::unfinished::Unfinished;
use crate::deliver::News;
use crate::enrich::Enricher;
use crate::model::clock::{Moment, rfc3339};
use crate::model::detection::{Detection, State};
use crate::model::finding::{CATEGORY_LOSS, LINE_MAX, Record, property};
use crate::model::ids::FindingId;
use crate::model::loss::Loss;
use crate::spool::level::Level;
use crate::spool::record::observation;
use crate::spool::writer::{OpenReport, Writer};
use crate::stats::pulse::Stage;
use crate::stats::{Count, Stats};
use crate::sys::clock;

/// The most records stored with one fdatasync.
const BATCH_MAX: usize = 64;
/// How long to wait before a refused write is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often the spool is looked after where there is nothing to record.
const TEND: Duration = Duration::from_secs(5);

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
    /// What later records of incidents may take.
    pub allowance: Allowance,
    /// The time before this start in which nobody listened, until it is told.
    pub gap: Option<Gap>,
    /// When to say that it lives.
    pub heartbeat: Heartbeat,
}

/// What the thread remembers from one batch to the next.
#[derive(Debug, Default)]
struct Course {
    leftovers: Leftovers,
    /// Those that have ended without a detection.
    ended: Leftovers,
    unfinished: Unfinished<Box<Detection>>,
    pressure: Pressure,
    /// Numbered, and not yet durable: the writer keeps them and writes them before all others.
    waiting: Vec<Record>,
    /// The disk refuses.
    troubled: bool,
}

impl RecordThread {
    /// Starts the thread. It ends when the last giver of work is gone and everything is stored, or cannot be.
    pub fn spawn(
        mut self,
        work: Taker,
        news: News,
        leftovers: Leftovers,
        opened: OpenReport,
        screen: Screen,
    ) -> std::io::Result<JoinHandle<()>> {
        self.stats.lose(Loss::SpoolTorn, opened.torn);
        let mut course = Course { leftovers, ..Course::default() };
        std::thread::Builder::new().name("record".into()).spawn(move || {
            loop {
                self.stats.pulses().rests(Stage::Record);
                let batch = self.take(&work, &course);
                self.stats.pulses().works(Stage::Record);
                let mut records: Vec<Record> = Vec::new();
                let mut later = self.turn_all(batch.work, batch.hurry, &mut course, &mut records);
                if !batch.hurry && !batch.over && !course.troubled {
                    later += self.finish_records(&mut course.unfinished, &mut records);
                }
                self.stats.pulses().works(Stage::Record);
                if !course.troubled {
                    self.end_some(&mut course.ended, &mut records);
                }
                records.extend(self.told(&mut course.pressure));
                let mut stored = self.store(&mut course, records, later, &screen);
                if !course.troubled && self.heartbeat.is_due(clock::now()) {
                    let records = self.beat();
                    stored += self.store(&mut course, records, 0, &screen);
                }
                work.refuse(course.troubled);
                self.stats.lose(Loss::SpoolWrite, work.lost());
                self.show(&work);
                if stored > 0 {
                    news.tell();
                }
                if batch.over {
                    break;
                }
            }
            self.finish(&work);
            news.tell();
        })
    }

    /// What is to be recorded now. While the disk refuses, nothing more: it would only wait elsewhere.
    fn take(&mut self, work: &Taker, course: &Course) -> Batch {
        if course.troubled {
            return Batch { over: work.wait(RETRY), ..Batch::default() };
        }
        let spare = self.allowance.is_left(clock::now().mono_ns) && self.writer.level() < Level::Emergency;
        let taking = if spare { Taking::Everything } else { Taking::FirstAndLast };
        let now = clock::now();
        let due_ns = course.unfinished.next_ns().map_or(u64::MAX, |due| due.saturating_sub(now.mono_ns));
        let wait = if course.ended.is_empty() { TEND } else { Duration::ZERO };
        let wait = wait.min(Duration::from_nanos(due_ns.min(self.heartbeat.wait_ns(now))));
        work.take(BATCH_MAX, taking, Some(Instant::now() + wait))
    }

    /// Makes records; how many of them are later ones of an incident that goes on.
    fn turn_all(
        &mut self,
        work: Vec<(Work, bool)>,
        hurry: bool,
        course: &mut Course,
        records: &mut Vec<Record>,
    ) -> usize {
        let mut count = 0;
        for (work, later) in work {
            let now = clock::now();
            match work {
                Work::Detection(detection) => {
                    count += usize::from(later && detection.state == State::Active);
                    course.leftovers.remove(&detection.id);
                    course.ended.remove(&detection.id);
                    self.enricher.hurry(hurry);
                    let record = self.enricher.record(&detection, now);
                    if self.enricher.awaits() && detection.excused_by.is_none() {
                        course.unfinished.note(detection.id, detection, &record, now);
                    } else {
                        course.unfinished.forget(detection.id);
                    }
                    self.relate(record, hurry, now, records);
                }
                // By now every incident that goes on has been detected again: the rest has ended.
                Work::Unclaimed(_) => {
                    course.ended = std::mem::take(&mut course.leftovers);
                }
                Work::Losses(losses) => records.push(self.loss_record(&losses)),
                Work::Own(record) => records.push(*record),
            }
        }
        count
    }

    /// Makes the last records of some that have ended. What the spool has dropped meanwhile needs none.
    fn end_some(&self, ended: &mut Leftovers, records: &mut Vec<Record>) {
        let some: Vec<FindingId> = ended.keys().take(BATCH_MAX).copied().collect();
        let now = clock::now();
        let names = some.iter().filter_map(|id| ended.remove(id));
        let last = names.filter_map(|name| self.writer.active_record(&name));
        records.extend(last.map(|record| restore::ended(record, now)));
    }

    /// Makes records again that lacked something; how many of them now say more, and are written.
    fn finish_records(
        &mut self,
        unfinished: &mut Unfinished<Box<Detection>>,
        records: &mut Vec<Record>,
    ) -> usize {
        let mut count = 0;
        let now = clock::now();
        self.enricher.hurry(false);
        while let Some((id, detection)) = unfinished.due(now) {
            let record = self.enricher.record(&detection, now);
            let spare = self.allowance.is_left(now.mono_ns) && self.writer.level() < Level::Emergency;
            if spare && unfinished.again(id, &record, self.enricher.awaits()) {
                count += 1;
                self.relate(record, false, now, records);
            }
        }
        count
    }

    /// Links a record with those that are related, whose records follow it.
    fn relate(&mut self, mut record: Record, hurry: bool, now: Moment, records: &mut Vec<Record>) {
        let again = self.enricher.relate(&mut record, now);
        records.push(record);
        // The new record names them in any case.
        if !hurry && self.writer.level() < Level::Emergency {
            records.extend(again);
        }
    }

    fn loss_record(&mut self, losses: &[(Loss, u64)]) -> Record {
        let mut what: Vec<String> = losses
            .iter()
            .map(|(loss, count)| format!("{count} {}: {}", loss.name(), loss.meaning()))
            .collect();
        let mut properties = BTreeMap::new();
        if let Some(gap) = self.gap.take_if(|_| losses.iter().any(|(loss, _)| *loss == Loss::NotListening)) {
            properties.insert(property::UNHEARD_FROM.to_owned(), rfc3339(gap.from.wall_ns).into());
            properties.insert(property::UNHEARD_TO.to_owned(), rfc3339(gap.to.wall_ns).into());
            what.push(gap.sentence());
        }
        let counts = losses.iter().map(|(loss, count)| (loss.name().to_owned(), (*count).into()));
        properties.insert("Losses".to_owned(), serde_json::Value::Object(counts.collect()));
        properties.insert(property::EVIDENCE.to_owned(), what.clone().into());
        let description = format!("Something may have been missed: {}.", what.join("; "));
        observation(CATEGORY_LOSS, &description, properties, clock::now(), self.board.boot_id())
    }

    /// Says that the level has changed. What cannot be written now is not made: the record of the change back says it.
    fn told(&self, pressure: &mut Pressure) -> Option<Record> {
        let now = clock::now();
        let change = pressure.see(self.writer.level(), now)?;
        change.say();
        (change.to < Level::Full).then(|| change.record(now, self.board.boot_id()))
    }

    /// A heartbeat, which never begins a segment: whoever follows files takes them up by their first record.
    fn beat(&mut self) -> Vec<Record> {
        let now = clock::now();
        let mut records = Vec::new();
        if !self.writer.has_room(LINE_MAX as u64) {
            self.writer.end_segment();
            records.push(journal::segment_begun(&self.board, now));
        }
        records.push(journal::heartbeat(&self.board, now));
        records
    }

    /// How many records were stored. The writer keeps what could not be written.
    fn store(&mut self, course: &mut Course, mut records: Vec<Record>, later: usize, screen: &Screen) -> u64 {
        let before = self.writer.usage().bytes;
        let outcome = self.writer.append(&mut records);
        let usage = self.writer.usage();
        self.board.set_spool(self.writer.next_sequence(), usage.segments, usage.bytes);
        self.board.set_checkpoint(self.writer.last_checkpoint());
        if later > 0 {
            let share = usage.bytes.saturating_sub(before) / records.len().max(1) as u64;
            self.allowance.spend(share.saturating_mul(later as u64));
        }
        let taken = |record: &Record| record.sequence() > 0;
        let refused = records.iter().filter(|record| !taken(record)).count();
        self.stats.lose(Loss::SpoolWrite, if outcome.is_err() { refused as u64 } else { 0 });
        course.waiting.extend(records.into_iter().filter(taken));
        match outcome {
            Ok(done) => {
                self.stats.add(Count::Records, course.waiting.len() as u64);
                self.stats.lose(Loss::RecordShortened, done.shortened);
                self.stats.lose(Loss::SpoolDropped, done.dropped);
                self.stats.lose(Loss::SpoolTorn, done.torn);
                self.stats.lose(Loss::SpoolRemoved, done.removed);
                if done.removed > 0 {
                    log::error!(
                        "spool: {} segments were removed by somebody else; records go on in new ones",
                        done.removed
                    );
                }
                if std::mem::take(&mut course.troubled) {
                    log::info!("spool: findings are stored again");
                }
                course.waiting.iter().for_each(|record| screen.show(record));
                course.waiting.drain(..).count() as u64
            }
            Err(error) => {
                self.stats.count(Count::SpoolRefusals);
                if !std::mem::replace(&mut course.troubled, true) {
                    log::error!("spool: {error}");
                }
                0
            }
        }
    }

    fn show(&self, work: &Taker) {
        let (first, later) = work.len();
        let waiting = self.writer.usage().waiting + first as u64;
        self.board.set_pressure(self.writer.level(), waiting, later as u64);
        let asked = self.enricher.asked();
        self.stats.set(Count::ContainerLookups, asked.files);
        self.stats.set(Count::ContainerQuestions, asked.sockets);
    }

    /// At the end: the last checkpoint. What could not be stored is lost.
    fn finish(&mut self, work: &Taker) {
        // Where it cannot be written, what it would cover stays without.
        let _ = self.writer.checkpoint();
        let (first, later) = work.len();
        let lost = self.writer.usage().waiting + (first + later) as u64;
        if lost > 0 {
            self.stats.lose(Loss::SpoolWrite, lost);
            log::error!("spool: {lost} records could not be stored before the stop");
        }
    }
}
