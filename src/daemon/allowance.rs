//! How much of the spool later records of incidents may take.
//!
//! Owns: an allowance of bytes that comes back with time. Who opens a thousand tethers and runs commands on each in a loop
//! would otherwise fill the spool within seconds, and push out what is older. An eighth of the spool may be used at
//! once, more at the rate that would fill the spool in a day; what does not go in waits, and only the newest record of an
//! incident, which says everything, waits. First and last records of incidents are not counted. Must not own: what waits
//! (`queue`).

use crate::model::clock::SECOND;

const DAY_NS: u128 = 86_400 * SECOND as u128;

/// The allowance.
#[derive(Debug)]
pub struct Allowance {
    most: u64,
    a_day: u64,
    left: u64,
    /// Up to when bytes came back, in nanoseconds of the monotonic clock.
    since_ns: u64,
}

impl Allowance {
    /// For a spool of so many bytes.
    pub fn of(spool_bytes: u64, now_ns: u64) -> Self {
        let most = spool_bytes / 8;
        Self { most, a_day: spool_bytes, left: most, since_ns: now_ns }
    }

    /// Whether there is any left.
    pub fn is_left(&mut self, now_ns: u64) -> bool {
        let passed = u128::from(now_ns.saturating_sub(self.since_ns));
        let back = u64::try_from(passed * u128::from(self.a_day) / DAY_NS).unwrap_or(u64::MAX);
        // Less than a byte is left to come.
        if back > 0 {
            self.since_ns = now_ns;
            self.left = self.left.saturating_add(back).min(self.most);
        }
        self.left > 0
    }

    /// Uses up so many bytes.
    pub fn spend(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_at_once_and_the_whole_in_a_day() {
        let mut allowance = Allowance::of(256 << 20, 0);
        allowance.spend(32 << 20);
        assert!(!allowance.is_left(0));
        let mut spent: u64 = 0;
        for second in 1..=86_400 {
            while allowance.is_left(second * SECOND) {
                allowance.spend(1000);
                spent += 1000;
            }
        }
        assert!((255 << 20..420 << 20).contains(&spent), "{spent}");
        assert!(allowance.is_left(100 * 86_400 * SECOND));
        assert!(allowance.left <= 32 << 20);
    }
}
