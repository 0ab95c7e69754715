//! Reading the clocks.
//!
//! Owns: the only two places where time comes from. Must not own: time's text form (`model::clock`).

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::model::clock::{Moment, SECOND};

/// Now, on both clocks.
pub fn now() -> Moment {
    Moment {
        mono_ns: nanoseconds(clock_gettime(ClockId::Monotonic)),
        wall_ns: nanoseconds(clock_gettime(ClockId::Realtime)),
    }
}

/// Nanoseconds since boot, time in suspend included (CLOCK_BOOTTIME): what `/proc/PID/stat` counts start times in.
pub fn boot_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Boottime))
}

/// Processor time that this thread has used, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ThreadCPUTime))
}

/// Clock ticks of `/proc/PID/stat` in one second (`sysconf(_SC_CLK_TCK)`).
pub fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

/// A time before 1970 becomes 0.
fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(SECOND).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}
