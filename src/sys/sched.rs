//! The scheduling of one thread.
//!
//! Owns: real-time priority on and off. Must not own: when (`sensor::budget`).
#![allow(unsafe_code)] // sched_setscheduler takes a raw pointer

use std::io;

/// How a thread is scheduled (sched(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// SCHED_FIFO at the lowest real-time priority, 1; needs CAP_SYS_NICE or RLIMIT_RTPRIO. Not inherited by children.
    Fifo,
    /// SCHED_FIFO at a higher priority, at most 99: for threads that others' execve(2) waits for.
    FifoAt(u8),
    /// SCHED_OTHER.
    Other,
}

/// Sets the calling thread's scheduling.
pub fn set_policy(policy: Policy) -> io::Result<()> {
    set_policy_of(0, policy)
}

/// Sets the scheduling of a thread of this process by its id; 0 is the calling thread.
pub fn set_policy_of(thread: i32, policy: Policy) -> io::Result<()> {
    let (number, priority) = match policy {
        Policy::Fifo => (libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, 1),
        Policy::FifoAt(priority) => {
            (libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, i32::from(priority.clamp(1, 99)))
        }
        Policy::Other => (libc::SCHED_OTHER | libc::SCHED_RESET_ON_FORK, 0),
    };
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: any number may be asked for, and the parameters live through the call.
    let result = unsafe { libc::sched_setscheduler(thread, number, &raw const parameters) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
