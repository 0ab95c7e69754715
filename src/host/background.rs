//! Work that may never end, kept away from the records that want it.
//!
//! Owns: one worker thread, its bounded queue, and giving up on it. Must not own: what the work is.
//!
//! Files of containers and of network filesystems can block their reader for ever, and an attacker can make them do so
//! (a FUSE mount over `/etc/passwd`). Then only the worker hangs. It is left behind and replaced, as long as no more than a
//! few hang at one time, so that hung threads cannot pile up; then the work is off until one of them comes back.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::host::bell::Bell;

/// A job that takes longer than this has hung; jobs with a bound of their own stay well below it.
pub const STUCK: Duration = Duration::from_secs(10);
/// How many hung threads are left behind at one time, unless the owner says otherwise.
pub const HUNG_MAX: usize = 2;
/// How many jobs may wait.
const QUEUE: usize = 64;

/// Something to find out.
pub trait Job: Send + 'static {
    /// What names the job.
    type Id: Clone + Eq + Hash + Send + std::fmt::Debug + 'static;
    /// What comes of it.
    type Output: Send + std::fmt::Debug + 'static;
    /// Its name.
    fn id(&self) -> Self::Id;
    /// Does it, on the worker thread.
    fn run(self) -> Self::Output;
}

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many wait already.
    Full,
    /// Too many workers hang, or none could be started.
    Off,
}

/// What came back.
#[derive(Debug)]
pub enum Answer<J: Job> {
    /// The job is done.
    Done(J::Id, J::Output),
    /// The worker hung on this job.
    Hung(J::Id),
}

/// A job and when it was begun, as the thread shows it to its owner.
type Current<I> = Mutex<Option<(I, Instant)>>;

#[derive(Debug)]
struct Worker<J: Job> {
    jobs: Sender<J>,
    answers: Receiver<(J::Id, J::Output)>,
    busy: Arc<Current<J::Id>>,
}

/// A queue of jobs and the thread that does them. The thread is started by the first job.
#[derive(Debug)]
pub struct Background<J: Job> {
    name: &'static str,
    stuck: Duration,
    worker: Option<Worker<J>>,
    waiting: HashSet<J::Id>,
    hung: Vec<Weak<Current<J::Id>>>,
    hung_max: usize,
    bell: Option<Arc<Bell>>,
}

impl<J: Job> Background<J> {
    /// `name`: of the thread, at most 15 bytes. `stuck`: a job that takes longer has hung. `hung_max`: how many hung
    /// threads are left behind.
    pub fn new(name: &'static str, stuck: Duration, hung_max: usize) -> Self {
        Self { name, stuck, worker: None, waiting: HashSet::new(), hung: Vec::new(), hung_max, bell: None }
    }

    /// The same, with a bell that is rung after each answer: for an owner on whom several threads wait.
    pub fn with_bell(self, bell: Arc<Bell>) -> Self {
        Self { bell: Some(bell), ..self }
    }

    /// Whether this job has been taken and not been answered.
    pub fn is_waiting(&self, id: &J::Id) -> bool {
        self.waiting.contains(id)
    }

    /// Hands a job over, unless it is waiting already. Never blocks.
    pub fn ask(&mut self, job: J) -> Result<(), Refusal> {
        let id = job.id();
        if self.waiting.contains(&id) {
            return Ok(());
        }
        if self.worker.is_none() {
            self.start()?;
        }
        let worker = self.worker.as_ref().ok_or(Refusal::Off)?;
        match worker.jobs.try_send(job) {
            Ok(()) => {
                self.waiting.insert(id);
                Ok(())
            }
            Err(TrySendError::Full(_)) => Err(Refusal::Full),
            Err(TrySendError::Disconnected(_)) => {
                self.worker = None;
                Err(Refusal::Off)
            }
        }
    }

    /// The next answer, waiting for it until `deadline` at most; `None` where nothing is waited for or none came.
    pub fn answer(&mut self, deadline: Instant) -> Option<Answer<J>> {
        let worker = self.worker.as_ref()?;
        if self.waiting.is_empty() {
            return None;
        }
        // A deadline that has passed still takes what is there.
        let received = worker.answers.try_recv().ok().or_else(|| worker.answers.recv_deadline(deadline).ok());
        if let Some((id, output)) = received {
            self.waiting.remove(&id);
            return Some(Answer::Done(id, output));
        }
        let hung = worker.busy.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (id, since) = hung?;
        if since.elapsed() < self.stuck {
            return None;
        }
        // Dropping the channels ends the thread as soon as it comes back.
        self.hung.push(Arc::downgrade(&worker.busy));
        self.worker = None;
        self.waiting.clear();
        Some(Answer::Hung(id))
    }

    fn start(&mut self) -> Result<(), Refusal> {
        // What a thread shares with us is gone when it is.
        self.hung.retain(|hung| hung.strong_count() > 0);
        if self.hung.len() > self.hung_max {
            return Err(Refusal::Off);
        }
        let (jobs, queue) = bounded::<J>(QUEUE);
        // Room for every answer, so that the worker never waits for us.
        let (answer, answers) = bounded(QUEUE + 1);
        let busy: Arc<Current<J::Id>> = Arc::default();
        let state = Arc::clone(&busy);
        let bell = self.bell.clone();
        thread::Builder::new()
            .name(self.name.to_owned())
            .spawn(move || {
                for job in queue {
                    let id = job.id();
                    *state.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some((id.clone(), Instant::now()));
                    let output = job.run();
                    *state.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    if answer.send((id, output)).is_err() {
                        return;
                    }
                    if let Some(bell) = &bell {
                        bell.ring();
                    }
                }
            })
            .map_err(|_| Refusal::Off)?;
        self.worker = Some(Worker { jobs, answers, busy });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers its number; odd ones wait until the other end of the channel has gone.
    struct Number(u32, Receiver<()>);

    impl Job for Number {
        type Id = u32;
        type Output = u32;
        fn id(&self) -> u32 {
            self.0
        }
        fn run(self) -> u32 {
            if self.0 % 2 == 1 {
                let _ = self.1.recv();
            }
            self.0 * 10
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn answers_and_does_not_block() {
        let (_hold, never) = bounded(0);
        let mut work = Background::new("test", Duration::from_secs(60), HUNG_MAX);
        assert_eq!(work.ask(Number(2, never.clone())), Ok(()));
        assert!(matches!(work.answer(soon()), Some(Answer::Done(2, 20))));
        assert!(work.answer(soon()).is_none(), "nothing is waited for");
        // One is taken by the worker, QUEUE wait (it may be that the first waits still).
        let taken = (0..200u32).filter(|n| work.ask(Number(n * 2 + 1, never.clone())).is_ok()).count();
        assert!((QUEUE..=QUEUE + 1).contains(&taken), "{taken}");
        assert_eq!(work.ask(Number(1, never.clone())), Ok(()), "asked twice, queued once");
        assert!(work.answer(Instant::now()).is_none());
    }

    #[test]
    fn hung_workers_are_replaced_as_long_as_they_are_few() {
        let (hold, never) = bounded(0);
        let mut work = Background::new("test", Duration::ZERO, HUNG_MAX);
        for n in [1, 3, 5] {
            assert_eq!(work.ask(Number(n, never.clone())), Ok(()));
            let deadline = soon();
            loop {
                match work.answer(Instant::now() + Duration::from_millis(5)) {
                    Some(Answer::Hung(id)) => break assert_eq!(id, n),
                    other => assert!(other.is_none() && Instant::now() < deadline),
                }
            }
            assert!(!work.is_waiting(&n));
        }
        assert_eq!(work.ask(Number(2, never.clone())), Err(Refusal::Off));
        // They come back, and with them the work.
        drop(hold);
        let deadline = soon();
        while work.ask(Number(2, never.clone())).is_err() {
            assert!(Instant::now() < deadline, "the work stays off");
            thread::yield_now();
        }
        assert!(matches!(work.answer(soon()), Some(Answer::Done(2, 20))));
    }
}
