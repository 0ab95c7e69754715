//! What the sensor's thread shows to the others.
//!
//! Owns: a few atomics and the wake-up. Must not own: anything that could make the thread wait.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// Shared state of one sensor thread.
#[derive(Debug)]
pub struct Shared {
    wake: OwnedFd,
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
    /// New state.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
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

    /// The descriptor that becomes readable on [`Shared::wake`].
    pub fn wake_fd(&self) -> &OwnedFd {
        &self.wake
    }

    /// Wakes the thread: there are orders, or one of the flags is set.
    pub fn wake(&self) {
        // It can only fail when the counter is full, and then the thread is awake.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Takes the wake-up.
    pub fn woken(&self) {
        let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
    }

    /// Asks the thread to end.
    pub fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.wake();
    }
}
