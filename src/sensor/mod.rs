//! From the kernel to the channel.
//!
//! Owns: the proc connector's socket and its real-time thread with the first look, the sweep of `/proc` in a thread of
//! its own, the canary, and what is counted as lost on the way. Must not own: any verdict; a sensor never waits for
//! the engine. Talks to: `sys` and `host` below, a bounded channel above.

pub mod budget;
pub mod canary;
pub mod connector;
pub mod error;
pub mod followed;
pub mod probe;
pub mod proc_events;
pub mod sequence;
pub mod settings;
pub mod shared;
pub mod suspect;
pub mod sweep;
