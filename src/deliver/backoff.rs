//! How long to wait before another attempt.
//!
//! Owns: pauses that double up to a limit, with jitter, so that a whole fleet does not come back at the same moment.
//! Must not own: what is attempted, what counts as success.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

/// The first pause.
const FIRST: Duration = Duration::from_millis(100);

/// The pauses of one destination.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    most: Duration,
    until: Option<Instant>,
}

impl Backoff {
    /// None yet; later ones are at most `most` long, and half of that more with the jitter.
    pub fn new(most: Duration) -> Self {
        Self { next: FIRST, most: most.max(FIRST), until: None }
    }

    /// It failed: the next attempt waits.
    pub fn failed(&mut self, now: Instant) {
        self.until = Some(now + jittered(self.next, random()));
        self.next = (self.next * 2).min(self.most);
    }

    /// It worked: the next failure waits for the first pause again.
    pub fn worked(&mut self) {
        self.next = FIRST;
        self.until = None;
    }

    /// What is left of the pause.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }
}

/// Between the pause and half as much again.
fn jittered(pause: Duration, random: u32) -> Duration {
    pause + pause.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
}

/// Seeds of hash tables are random by process and differ each time.
fn random() -> u32 {
    (RandomState::new().build_hasher().finish() >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_begin_anew() {
        let now = Instant::now();
        let mut backoff = Backoff::new(Duration::from_secs(2));
        assert_eq!(backoff.left(now), None);
        for least in [100, 200, 400, 800, 1600, 2000, 2000] {
            backoff.failed(now);
            let left = backoff.left(now).unwrap().as_millis();
            assert!((least..=least * 3 / 2).contains(&left), "{left} of {least}");
        }
        assert_eq!(backoff.left(now + Duration::from_secs(4)), None);
        backoff.worked();
        assert_eq!(backoff.left(now), None);
        backoff.failed(now);
        assert!(backoff.left(now).unwrap() <= Duration::from_millis(150));
    }

    #[test]
    fn two_hosts_differ() {
        let second = Duration::from_secs(1);
        assert_eq!((jittered(second, 0), jittered(second, u32::MAX)), (second, second * 3 / 2));
        let drawn: std::collections::HashSet<u32> = (0..16).map(|_| random()).collect();
        assert!(drawn.len() > 8, "{drawn:?}");
    }
}
