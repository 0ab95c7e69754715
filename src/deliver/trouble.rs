//! What the operator is told of a destination.
//!
//! Owns: one sentence when trouble begins, one when it is over, and at a limited rate in between. Must not own: what is
//! done about it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deliver::progress::{Progress, State};
use crate::sys::clock;

/// How long the same trouble is not told again.
const AGAIN: Duration = Duration::from_secs(600);
/// How long another trouble is not told after the one before.
const OTHER: Duration = Duration::from_secs(30);

/// The trouble with one destination.
#[derive(Debug)]
pub struct Trouble {
    progress: Arc<Progress>,
    since: Option<Instant>,
    told: Option<(Instant, String)>,
}

impl Trouble {
    /// None yet.
    pub fn new(progress: Arc<Progress>) -> Self {
        Self { progress, since: None, told: None }
    }

    /// It is there: `what` is one clause, without the destination's name.
    pub fn is(&mut self, state: State, what: &str, now: Instant) {
        let began = self.since.is_none();
        self.since.get_or_insert(now);
        let due = match &self.told {
            None => true,
            Some((at, before)) => now.duration_since(*at) >= if before == what { AGAIN } else { OTHER },
        };
        if began || due {
            let (name, address) = (&self.progress.name, &self.progress.address);
            log::warn!("{name}: {address} {what}; findings wait in the spool");
            self.told = Some((now, what.to_owned()));
        }
        self.progress.set_error(state, what, clock::now().wall_ns);
    }

    /// Something was accepted.
    pub fn over(&mut self, now: Instant) {
        self.told = None;
        if let Some(since) = self.since.take() {
            let (name, address) = (&self.progress.name, &self.progress.address);
            log::info!(
                "{name}: {address} takes messages again after {} s",
                now.duration_since(since).as_secs()
            );
        }
    }

    /// Whether it is there.
    pub fn is_there(&self) -> bool {
        self.since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::settings::Destination;

    #[test]
    fn status_has_the_newest_trouble() {
        let progress = Arc::new(Progress::new(&Destination::default()));
        let mut trouble = Trouble::new(progress.clone());
        let now = Instant::now();
        trouble.is(State::Failing, "cannot be reached", now);
        trouble.is(State::Stalled, "does not answer", now);
        assert!(trouble.is_there());
        let told = trouble.told.clone().unwrap().1;
        assert_eq!(told, "cannot be reached", "the other one is not told at once");
        trouble.is(State::Stalled, "does not answer", now + OTHER);
        assert_eq!(trouble.told.clone().unwrap().1, "does not answer");
        assert_eq!(progress.situation().error, "does not answer");
        trouble.over(now);
        assert!(!trouble.is_there());
    }
}
