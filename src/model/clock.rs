//! Points in time, as events carry them.
//!
//! Owns: the pair of clocks and RFC 3339 text. Must not own: reading a clock (that is `sys::clock`).

use std::fmt::Write as _;

/// One second, in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;
/// Nanoseconds in a millisecond.
pub const MILLISECOND: u64 = 1_000_000;

/// One point in time, on two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds of CLOCK_MONOTONIC: what durations are taken from, and what the proc connector stamps.
    pub mono_ns: u64,
    /// Nanoseconds after 1970-01-01T00:00:00Z: what people are shown.
    pub wall_ns: u64,
}

impl Moment {
    /// Nanoseconds from `earlier` to here; 0 if it is not earlier.
    pub fn since(self, earlier: Moment) -> u64 {
        self.mono_ns.saturating_sub(earlier.mono_ns)
    }

    /// `2026-11-24T03:50:17.123456789Z` (RFC 3339, UTC, nine fractional digits).
    pub fn rfc3339(self) -> String {
        rfc3339(self.wall_ns)
    }
}

/// The RFC 3339 text, in UTC, of nanoseconds after 1970-01-01.
pub fn rfc3339(wall_ns: u64) -> String {
    let (seconds, nanos) = (wall_ns / SECOND, wall_ns % SECOND);
    let (year, month, day) = civil(seconds / 86_400);
    let second_of_day = seconds % 86_400;
    let mut text = String::with_capacity(30);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{nanos:09}Z",
        second_of_day / 3600,
        second_of_day / 60 % 60,
        second_of_day % 60
    );
    text
}

/// Nanoseconds after 1970-01-01 of a text as [`rfc3339`] writes it (0 to 9 fractional digits, `Z`);
/// `None` for any other text or a time before 1970.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 20 || bytes[10] != b'T' || *bytes.last()? != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let fraction = match bytes[19] {
        b'Z' if bytes.len() == 20 => 0,
        b'.' if (22..=30).contains(&bytes.len()) => {
            let digits = bytes.len() - 21;
            number(20, bytes.len() - 1)? * 10u64.pow(9 - digits as u32)
        }
        _ => return None,
    };
    let seconds = days(year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second;
    seconds.checked_mul(SECOND)?.checked_add(fraction)
}

/// Year, month and day of a day number after 1970-01-01 (proleptic Gregorian calendar, eras of 400 years).
fn civil(day_number: u64) -> (u64, u64, u64) {
    let z = day_number + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// The inverse of [`civil`]; `None` before 1970.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * shifted + 2) / 5 + day - 1;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_dates() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(951_782_400 * SECOND + 5), "2000-02-29T00:00:00.000000005Z");
        assert_eq!(parse_rfc3339("2026-11-24T03:50:17.131Z"), Some(1_795_492_217_131_000_000));
        assert_eq!(parse_rfc3339("2026-11-24T03:50:17Z"), Some(1_795_492_217_000_000_000));
        for bad in ["", "2026-11-24", "2026-13-24T03:50:17Z", "2026-11-24T03:50:17.Z", "1969-12-31T00:00:00Z"]
        {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(ns in 0u64..=u64::MAX / 2) {
            prop_assert_eq!(parse_rfc3339(&rfc3339(ns)), Some(ns));
        }

        #[test]
        fn any_text_is_safe(text in ".{0,40}") {
            let _ = parse_rfc3339(&text);
        }
    }
}
