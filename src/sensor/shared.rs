//! What the sensor's thread shows to the others.
//!
//! Owns: a few atomics, and the way to wake it. Must not own: anything that could make the thread wait.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::sensor::waker::Waker;

/// Shared state of one sensor thread.
#[derive(Debug)]
pub struct Shared {
    /// Wakes the thread: there are orders, or one of the flags is set.
    pub waker: Waker,
    /// Execs heard.
    pub heard: AtomicU64,
    /// What the thread is at: the time that its event or look carries, in nanoseconds of the monotonic clock, which
    /// may be long past; 0: it waits. As long as the value changes, it goes on.
    pub busy_since_ns: AtomicU64,
    /// The same of the reader's thread.
    pub reading_since_ns: AtomicU64,
    /// The thread, as the kernel numbers it.
    pub thread: AtomicU32,
    /// The reader's.
    pub reading_thread: AtomicU32,
    /// The thread is to end.
    pub stop: AtomicBool,
    /// Before it ends, it takes what has been executed so far: no other thread does.
    pub finish: AtomicBool,
    /// The socket is to be closed and opened anew.
    pub reopen: AtomicBool,
    /// Receive buffer granted, bytes.
    pub receive_buffer: AtomicU64,
    /// Processes followed.
    pub followed: AtomicU64,
    /// Real-time priority granted.
    pub realtime: AtomicBool,
}

impl Shared {
    /// New state of a thread that waits on the netlink socket of this port.
    pub fn new(port: u32) -> io::Result<Self> {
        Ok(Self {
            waker: Waker::new(port)?,
            heard: AtomicU64::new(0),
            busy_since_ns: AtomicU64::new(0),
            reading_since_ns: AtomicU64::new(0),
            thread: AtomicU32::new(0),
            reading_thread: AtomicU32::new(0),
            stop: AtomicBool::new(false),
            finish: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            receive_buffer: AtomicU64::new(0),
            followed: AtomicU64::new(0),
            realtime: AtomicBool::new(false),
        })
    }

    /// The calling thread, as the kernel numbers it.
    pub fn own_thread() -> u32 {
        rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned()
    }

    /// Asks the thread to end.
    pub fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
    }
}
