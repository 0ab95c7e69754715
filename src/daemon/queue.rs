//! What waits to be recorded.
//!
//! Owns: the order in which it is recorded, what gives way to what, and that nobody waits for a disk that refuses. Must
//! not own: recording. Lies between the engine and the main thread, who hand in, and the record thread, who takes.
//!
//! The first record of an incident and what is no incident go first, in their order. Later records of an incident say all
//! that the earlier ones said, so of each incident only the newest waits: a flood of commands makes no more work than a
//! few. Where the disk refuses, waiting has its bound, and later records give way first, then first ones of a lower
//! severity.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::detection::{Detection, Severity, State};
use crate::model::finding::Record;
use crate::model::ids::FindingId;
use crate::model::loss::Loss;

/// First records that wait at most.
const FIRST_MAX: usize = 1024;
/// Later records that wait at most: the most incidents that are open by default.
const LATER_MAX: usize = 4096;

/// What is to be recorded.
#[derive(Debug)]
pub enum Work {
    /// An incident as it stands.
    Detection(Box<Detection>),
    /// Incidents of before that no living process takes up.
    Unclaimed(Vec<FindingId>),
    /// What was lost since the last report.
    Losses(Vec<(Loss, u64)>),
    /// What the daemon says of its own life.
    Own(Box<Record>),
}

/// Which work is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// All of it.
    Everything,
    /// Later records of an incident wait, unless it has ended.
    FirstAndLast,
}

/// What was handed out.
#[derive(Debug, Default)]
pub struct Batch {
    /// In the order in which it is to be recorded; whether it is a later record of an incident.
    pub work: Vec<(Work, bool)>,
    /// Much more waits: there is no time to wait for anything.
    pub hurry: bool,
    /// Nobody hands in any more, and nothing is left.
    pub over: bool,
}

#[derive(Debug, Default)]
struct Waiting {
    first: VecDeque<Work>,
    /// The newest later record of each incident, by when its incident began to wait.
    later: BTreeMap<u64, Box<Detection>>,
    places: HashMap<FindingId, u64>,
    next_place: u64,
    /// Incidents whose first record was handed in and which have not ended.
    open: HashSet<FindingId>,
    givers: usize,
    refuses: bool,
    lost: u64,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Something was handed in, or the last giver has gone.
    news: Condvar,
    /// There is room again.
    room: Condvar,
}

impl Shared {
    /// Whoever panicked while it held the lock left nothing half done: each change is one insertion or removal.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands work in.
#[derive(Debug)]
pub struct Giver(Arc<Shared>);

/// Takes work.
#[derive(Debug)]
pub struct Taker(Arc<Shared>);

/// A queue with one taker.
pub fn queue() -> (Giver, Taker) {
    let shared = Arc::new(Shared::default());
    shared.lock().givers = 1;
    (Giver(shared.clone()), Taker(shared))
}

impl Clone for Giver {
    fn clone(&self) -> Self {
        self.0.lock().givers += 1;
        Self(self.0.clone())
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        self.0.lock().givers -= 1;
        self.0.news.notify_all();
    }
}

impl Giver {
    /// Hands work in. Waits where more first records wait than there is room for, unless the disk refuses: then something
    /// is lost, and counted.
    pub fn give(&self, work: Work) {
        let mut waiting = self.0.lock();
        match work {
            Work::Detection(detection) => {
                let (id, active) = (detection.id, detection.state == State::Active);
                let known = if active { !waiting.open.insert(id) } else { waiting.open.remove(&id) };
                if known {
                    waiting.add_later(detection);
                } else {
                    while waiting.first.len() >= FIRST_MAX && !waiting.refuses {
                        waiting = self.0.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                    }
                    waiting.add_first(Work::Detection(detection));
                }
            }
            Work::Losses(losses) => waiting.add_losses(losses),
            other => waiting.first.push_back(other),
        }
        self.0.news.notify_all();
    }
}

impl Taker {
    /// Waits for work until `until`, and takes at most `most` pieces. With nobody left to hand anything in, everything is
    /// taken, whatever `taking` says.
    pub fn take(&self, most: usize, taking: Taking, until: Option<Instant>) -> Batch {
        let mut waiting = self.0.lock();
        while waiting.givers > 0 && !waiting.has(taking) {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Batch::default();
            }
            waiting = match left {
                Some(left) => {
                    self.0.news.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.0.news.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let taking = if waiting.givers == 0 { Taking::Everything } else { taking };
        let mut work: Vec<(Work, bool)> = Vec::new();
        while work.len() < most {
            match waiting.first.pop_front() {
                Some(first) => work.push((first, false)),
                None => match waiting.pop_later(taking) {
                    Some(later) => work.push((later, true)),
                    None => break,
                },
            }
        }
        self.0.room.notify_all();
        let left = waiting.first.len() + waiting.later.len();
        Batch { hurry: waiting.first.len() >= most, over: waiting.givers == 0 && left == 0, work }
    }

    /// Waits for a time, or until nobody hands in any more; whether that is so.
    pub fn wait(&self, time: Duration) -> bool {
        let waiting = self.0.lock();
        let outcome = self.0.news.wait_timeout_while(waiting, time, |waiting| waiting.givers > 0);
        outcome.unwrap_or_else(PoisonError::into_inner).0.givers == 0
    }

    /// The disk refuses, or does not any more: whether those who hand in may have to wait.
    pub fn refuse(&self, refuses: bool) {
        self.0.lock().refuses = refuses;
        self.0.room.notify_all();
    }

    /// How much waits: first records and the like, and later ones.
    pub fn len(&self) -> (usize, usize) {
        let waiting = self.0.lock();
        (waiting.first.len(), waiting.later.len())
    }

    /// Records that had to give way since the last call.
    pub fn lost(&self) -> u64 {
        std::mem::take(&mut self.0.lock().lost)
    }
}

impl Waiting {
    fn has(&self, taking: Taking) -> bool {
        !self.first.is_empty() || self.later.values().any(|detection| fits(detection, taking))
    }

    fn pop_later(&mut self, taking: Taking) -> Option<Work> {
        let place =
            self.later.iter().find(|(_, detection)| fits(detection, taking)).map(|(&place, _)| place)?;
        let detection = self.later.remove(&place)?;
        self.places.remove(&detection.id);
        Some(Work::Detection(detection))
    }

    fn add_later(&mut self, detection: Box<Detection>) {
        if let Some(place) = self.places.get(&detection.id) {
            self.later.insert(*place, detection);
            return;
        }
        if self.later.len() >= LATER_MAX {
            // What goes on comes again; of the rest the oldest goes.
            let again =
                self.later.iter().find(|(_, old)| old.state == State::Active).map(|(&place, _)| place);
            let place = again.or_else(|| self.later.first_key_value().map(|(&place, _)| place));
            if let Some(old) = place.and_then(|place| self.later.remove(&place)) {
                self.places.remove(&old.id);
                self.lost += 1;
            }
        }
        self.places.insert(detection.id, self.next_place);
        self.later.insert(self.next_place, detection);
        self.next_place += 1;
    }

    /// What waits is one report.
    fn add_losses(&mut self, losses: Vec<(Loss, u64)>) {
        let waiting = self.first.iter_mut().find_map(|work| match work {
            Work::Losses(waiting) => Some(waiting),
            _ => None,
        });
        let Some(waiting) = waiting else { return self.first.push_back(Work::Losses(losses)) };
        for (loss, count) in losses {
            match waiting.iter_mut().find(|(other, _)| *other == loss) {
                Some((_, sum)) => *sum = sum.saturating_add(count),
                None => waiting.push((loss, count)),
            }
        }
    }

    fn add_first(&mut self, work: Work) {
        if self.first.len() >= FIRST_MAX {
            self.lost += 1;
            let rank = |work: &Work| match work {
                Work::Detection(detection) => Some(detection.severity),
                _ => None,
            };
            let (least, place) = self
                .first
                .iter()
                .enumerate()
                .filter_map(|(place, work)| Some((rank(work)?, place)))
                .min()
                .unwrap_or((Severity::Critical, 0));
            let lost = if rank(&work).is_none_or(|own| own <= least) {
                Some(work)
            } else {
                self.first.push_back(work);
                self.first.remove(place)
            };
            // Its next record is its first.
            if let Some(Work::Detection(detection)) = lost {
                self.open.remove(&detection.id);
            }
            return;
        }
        self.first.push_back(work);
    }
}

fn fits(detection: &Detection, taking: Taking) -> bool {
    taking == Taking::Everything || detection.state == State::Inactive
}
