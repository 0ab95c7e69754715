//! Local time, for the one format that wants it.
//!
//! Owns: localtime_r(3). Must not own: the text (`deliver::header`).
#![allow(unsafe_code)] // localtime_r takes raw pointers

use std::mem::MaybeUninit;

/// A time as a clock on the wall shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// 0 is January.
    pub month: u8,
    /// From 1.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

/// The local time of seconds after 1970; `None` where the C library cannot tell.
pub fn local_time(seconds: i64) -> Option<LocalTime> {
    let mut found = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid through the call, and the result is written where it returns non-null.
    let result = unsafe { libc::localtime_r(&raw const seconds, found.as_mut_ptr()) };
    if result.is_null() {
        return None;
    }
    // SAFETY: localtime_r returned non-null, so it has written the whole structure.
    let tm = unsafe { found.assume_init() };
    let small = |n: i32| u8::try_from(n).ok();
    Some(LocalTime {
        month: small(tm.tm_mon)?,
        day: small(tm.tm_mday)?,
        hour: small(tm.tm_hour)?,
        minute: small(tm.tm_min)?,
        second: small(tm.tm_sec)?,
    })
}
