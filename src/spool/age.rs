//! How old something is, on a machine whose clock may be wrong.
//!
//! Owns: telling a clock that goes steadily from one that was set. A machine that starts with its clock years ahead must
//! not take all that it has stored for old: what is dropped does not come back when the clock is put right. Must not own:
//! dropping (`room`).

use crate::model::clock::SECOND;

/// The clock is believed when it has gone for so long without being set.
const STEADY_NS: u64 = 3600 * SECOND;
/// A clock that is corrected by no more than this between two looks goes steadily.
const SLEW_NS: u64 = 60 * SECOND;

/// Watches the clock of the day beside the one that counts from the boot and is never set.
#[derive(Debug, Default)]
pub(super) struct Steady {
    /// Both clocks when they were last looked at.
    last: Option<(u64, u64)>,
    /// Since when, on the boot's clock, the other goes with it.
    since_boot_ns: u64,
}

impl Steady {
    /// Looks at both clocks (nanoseconds after 1970 and after the boot); whether the first can be believed by now: it
    /// was not set for an hour, which the daemon has watched.
    pub(super) fn is_believed(&mut self, wall_ns: u64, boot_ns: u64) -> bool {
        let steady = self.last.is_some_and(|(wall, boot)| {
            wall_ns.wrapping_sub(wall).abs_diff(boot_ns.wrapping_sub(boot)) <= SLEW_NS
        });
        if !steady {
            self.since_boot_ns = boot_ns;
        }
        self.last = Some((wall_ns, boot_ns));
        boot_ns.saturating_sub(self.since_boot_ns) >= STEADY_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_not_believed_for_an_hour() {
        let mut clock = Steady::default();
        let (mut wall, mut boot) = (1_795_492_217 * SECOND, 100 * SECOND);
        let mut minute = |step: i64| {
            boot += 60 * SECOND;
            wall = wall.saturating_add(60 * SECOND).saturating_add_signed(step);
            clock.is_believed(wall, boot)
        };
        assert!((0..60).all(|_| !minute(0)), "not before it was watched for an hour");
        assert!((0..100).all(|_| minute(0)));
        assert!(minute(20 * SECOND as i64), "a slew is no step");
        for step in [10 * 365 * 86_400, -10 * 365 * 86_400, 3600, -3600, i64::MIN / SECOND as i64] {
            assert!(!minute(step * SECOND as i64), "{step}");
            assert!((0..59).all(|_| !minute(0)), "{step}");
            assert!(minute(0), "{step}");
        }
    }
}
