//! How long may be waited for answers that an attacker can make slow.
//!
//! Owns: the account: some time is there at first, more is earned as time passes, and waiting spends it. So a flood of
//! slow questions cannot hold its asker up for more than a fixed share of the time. Must not own: the waiting.

use std::time::{Duration, Instant};

/// The most that can be on the account.
const MOST: Duration = Duration::from_millis(200);
/// One part in so many of the time that passes is earned.
const SHARE: u32 = 10;

/// The account.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    left: Duration,
    earned_until: Instant,
}

impl Patience {
    /// A full account.
    pub fn new(now: Instant) -> Self {
        Self { left: MOST, earned_until: now }
    }

    /// An account with so much on it, for one question.
    pub fn once(now: Instant, left: Duration) -> Self {
        Self { left, earned_until: now }
    }

    /// How much there is now.
    pub fn at(&mut self, now: Instant) -> Duration {
        let earned = now.saturating_duration_since(self.earned_until) / SHARE;
        self.left = self.left.saturating_add(earned).min(MOST);
        self.earned_until = now;
        self.left
    }

    /// This much was waited.
    pub fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_waits_for_a_tenth_of_the_time() {
        let begin = Instant::now();
        let (mut patience, mut now, mut waited) = (Patience::new(begin), begin, Duration::ZERO);
        while now < begin + Duration::from_secs(100) {
            // As long as it may, at most 20 ms, and then something else for 1 ms.
            let wait = patience.at(now).min(Duration::from_millis(20));
            patience.spend(wait);
            waited += wait;
            now += wait + Duration::from_millis(1);
        }
        assert!(waited <= MOST + Duration::from_secs(10), "{waited:?}");
        assert!(waited >= Duration::from_secs(5), "{waited:?}");
        // Left alone it comes back, and not more than that.
        assert_eq!(patience.at(now + Duration::from_secs(1000)), MOST);
    }
}
