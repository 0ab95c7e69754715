//! Who waits for our answer, and since when.
//!
//! Owns: one atomic word for each waiting opener, and that each is answered exactly once, by whoever comes first: the
//! thread that looks, or the deadline. Must not own: when that is. Nothing here allocates, locks or waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sensor::rank::Answering;
use crate::sys::fanotify::{Group, Token};

/// The most that wait at one time; whoever comes when all places are taken is let through unseen.
pub const PLACES: usize = 256;
/// Bits of a place that are the token, plus one; the rest is the time.
const TOKEN_BITS: u32 = 24;
const TOKEN_MASK: u64 = (1 << TOKEN_BITS) - 1;
/// Microseconds fit into the other bits for twelve days, and then begin anew.
const TIME_MASK: u64 = u64::MAX >> TOKEN_BITS;

/// All waiting openers of a group.
#[derive(Debug)]
pub struct Waiters {
    group: Arc<Group>,
    places: Box<[AtomicU64]>,
    /// Grows with each event that the group's reader takes: one that hangs is known by its standing still.
    pub progress: AtomicU64,
    /// Who answers.
    pub answering: Answering,
}

/// One waiting opener. It goes on when it is answered, and at the latest when this is dropped.
#[derive(Debug)]
pub struct Ticket {
    waiters: Arc<Waiters>,
    place: usize,
    value: u64,
}

impl Waiters {
    /// Nobody waits.
    pub fn new(group: Arc<Group>) -> Arc<Self> {
        let places = std::iter::repeat_with(AtomicU64::default).take(PLACES).collect();
        Arc::new(Self { group, places, progress: AtomicU64::new(0), answering: Answering::default() })
    }

    /// The group.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Gives an opener a place; without a free one it is answered at once.
    pub fn admit(self: &Arc<Self>, token: Token, now_ns: u64) -> Option<Ticket> {
        let value = pack(token, now_ns);
        let free = value.and_then(|value| {
            let place = self.places.iter().position(|place| {
                place.load(Ordering::Relaxed) == 0
                    && place.compare_exchange(0, value, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            })?;
            Some(Ticket { waiters: self.clone(), place, value })
        });
        if free.is_none() {
            self.answer(token);
        }
        free
    }

    /// Answers everybody who has waited for at least `limit_ns`; how many that were.
    pub fn let_go(&self, now_ns: u64, limit_ns: u64) -> u64 {
        let mut late = 0;
        for place in &self.places {
            let value = place.load(Ordering::Acquire);
            if value != 0
                && age_us(value, now_ns) >= limit_ns / 1000
                && place.compare_exchange(value, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                late += u64::from(self.answer(token(value)));
            }
        }
        late
    }

    /// Answers an opener; whether it still waited. It may have been killed, or been answered by the guard.
    pub fn answer(&self, token: Token) -> bool {
        self.group.allow(token).is_ok()
    }
}

impl Ticket {
    /// Whether nobody has answered yet.
    pub fn is_waiting(&self) -> bool {
        self.waiters.places.get(self.place).is_some_and(|place| place.load(Ordering::Acquire) == self.value)
    }

    /// Answers; whether it was still waiting.
    pub fn allow(&self) -> bool {
        let Some(place) = self.waiters.places.get(self.place) else { return false };
        let ours = place.compare_exchange(self.value, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        ours && self.waiters.answer(token(self.value))
    }

    /// How long it has waited, in microseconds.
    pub fn age_us(&self, now_ns: u64) -> u64 {
        age_us(self.value, now_ns)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.allow();
    }
}

/// `None` for a token that is no descriptor's number, or larger than any can be here.
fn pack(token: Token, now_ns: u64) -> Option<u64> {
    let number = u64::try_from(token.0).ok()?.checked_add(1).filter(|number| *number <= TOKEN_MASK)?;
    Some((((now_ns / 1000) & TIME_MASK) << TOKEN_BITS) | number)
}

fn token(value: u64) -> Token {
    Token(i32::try_from(value & TOKEN_MASK).unwrap_or(0) - 1)
}

fn age_us(value: u64, now_ns: u64) -> u64 {
    (now_ns / 1000).wrapping_sub(value >> TOKEN_BITS) & TIME_MASK
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_place_holds_both(number in 0i32..(1 << 23), now in any::<u64>(), later in 0u64..1 << 40) {
            let value = pack(Token(number), now).unwrap();
            prop_assert_eq!(token(value), Token(number));
            let then = now.saturating_add(later);
            prop_assert_eq!(age_us(value, then), (then / 1000 - now / 1000) & TIME_MASK);
        }
    }

    #[test]
    fn what_is_no_descriptor_has_no_place() {
        assert_eq!(pack(Token(-1), 5), None);
        assert_eq!(pack(Token(1 << 24), 5), None);
    }
}
