//! From the spool to the collector.
//!
//! Owns: reading the spool from a durable cursor, the syslog message, the socket that reconnects. Must not own: the
//! spool's format, findings' content. Talks to: `spool::{reader, cursor}`, `stats`. In a thread of its own, so that a
//! syslog that stands still holds nobody up.

pub mod format;
pub mod header;
pub mod settings;
pub mod socket;
pub mod syslog;

pub use syslog::spawn;
