//! From the kernel to the channel.
//!
//! Owns: fanotify and its threads, the proc connector's socket and its real-time thread with the first look, the sweep of `/proc` in a thread of
//! its own, the canary, and what is counted as lost on the way. Must not own: any verdict; a sensor never waits for
//! the engine. Talks to: `sys` and `host` below, a bounded channel above.

pub mod budget;
pub mod canary;
pub mod connector;
pub mod deadline;
pub mod error;
pub mod exec_opens;
pub mod followed;
pub mod guard;
pub mod held;
pub mod hold;
pub mod hold_state;
pub mod hold_worker;
pub mod mailbox;
pub mod marks;
pub mod popular;
pub mod probe;
pub mod proc_events;
pub mod rank;
pub mod reading;
pub mod remembered;
pub mod sequence;
pub mod settings;
pub mod shared;
pub mod suspect;
pub mod sweep;
pub mod waiters;
pub mod waker;
pub mod wires;
