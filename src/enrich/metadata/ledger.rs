//! What was asked and what was answered, for one source.
//!
//! Owns: asking each question once, on a thread that may hang, remembering the answers within bounds, and how long it is
//! believed that there is nothing. Must not own: what is asked. Nothing in here waits: whoever waits does so at the bell
//! (`mod`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Outcome;
use super::key::Key;
use crate::enrich::container::is_long_id;
use crate::host::background::{Answer, Background, HUNG_MAX, Job, Refusal, STUCK};
use crate::host::bell::Bell;
use crate::host::lru::Lru;

/// How many containers are remembered.
const CACHE: usize = 4096;
/// How long it is believed that there is nothing: a runtime may write its file a moment after it has started a container.
pub(super) const NOTHING: Duration = Duration::from_secs(2);

/// Questions and answers.
#[derive(Debug)]
pub(super) struct Ledger<J: Job<Id = Key, Output = Outcome>> {
    work: Background<J>,
    known: Lru<Key, (Instant, Outcome)>,
    asked: u64,
    /// What is said of a question on which the thread hung, and where there is no thread any more.
    trouble: (&'static str, &'static str),
}

impl<J: Job<Id = Key, Output = Outcome>> Ledger<J> {
    /// `name`: of the thread. `trouble`: why there is no answer where it hung, and where it hung too often.
    pub(super) fn new(name: &'static str, bell: Arc<Bell>, trouble: (&'static str, &'static str)) -> Self {
        let work = Background::new(name, STUCK, HUNG_MAX).with_bell(bell);
        Self { work, known: Lru::new(CACHE), asked: 0, trouble }
    }

    /// Whether this is to be asked: it has not been, or its answer leaves something open and is old enough.
    pub(super) fn lacks(&mut self, key: &Key, is_whole: impl Fn(&Outcome) -> bool) -> bool {
        let again = |(at, outcome): &(Instant, Outcome)| !is_whole(outcome) && at.elapsed() > NOTHING;
        !self.is_waiting(key) && (!self.known.touch(key) || self.known.peek(key).is_some_and(again))
    }

    /// Hands a question over. A queue that is full loses it: it is asked when it is wanted again.
    pub(super) fn ask(&mut self, question: J) {
        let key = question.id();
        match self.work.ask(question) {
            Ok(()) => self.asked += 1,
            Err(Refusal::Off) => self.put(key, Err(self.trouble.1)),
            Err(Refusal::Full) => {}
        }
    }

    /// How many questions were asked.
    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    /// Takes the answers that have come.
    pub(super) fn take(&mut self) {
        while let Some(answer) = self.work.answer(Instant::now()) {
            match answer {
                Answer::Done(key, outcome) => self.put(key, outcome),
                Answer::Hung(key) => self.put(key, Err(self.trouble.0)),
            }
        }
    }

    /// Whether an answer is still to come.
    pub(super) fn is_waiting(&self, key: &Key) -> bool {
        self.work.is_waiting(key)
    }

    /// What was answered last.
    pub(super) fn known(&self, key: &Key) -> Option<Outcome> {
        self.known.peek(key).map(|(_, outcome)| outcome.clone())
    }

    /// Remembers an answer. What came to nothing, or says less than an earlier one, takes nothing away: a runtime removes
    /// its files before the last process of a container has ended.
    pub(super) fn put(&mut self, key: Key, outcome: Outcome) {
        // A name can be another container's by now.
        let lasts = is_long_id(key.id.as_str());
        let before = self.known.peek(&key).and_then(|(_, known)| known.as_ref().ok()).filter(|_| lasts);
        let outcome = match (outcome, before) {
            (Ok(new), Some(old)) => Ok(Arc::new(new.or(old))),
            (Err(_), Some(old)) => Ok(Arc::clone(old)),
            (outcome, None) => outcome,
        };
        self.known.put(key, (Instant::now(), outcome));
    }

    /// As if the answer had been given long ago.
    #[cfg(test)]
    pub(super) fn age(&mut self, key: &Key) {
        let known = self.known(key).expect("something is known");
        self.known.put(key.clone(), (Instant::now() - 2 * NOTHING, known));
    }
}
