//! The spool's part of the configuration.
//!
//! Owns: the keys of `[spool]` and their defaults. Must not own: reading them from a file (`config`).

use std::path::PathBuf;

/// `[spool]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SpoolSettings {
    /// Where the segments are.
    pub directory: PathBuf,
    /// A segment is closed when it has grown to this many bytes.
    pub segment_bytes: u64,
    /// A segment is closed when it is this many hours old.
    pub segment_hours: u64,
    /// The oldest segments are dropped when all together are larger than this many bytes.
    pub max_bytes: u64,
    /// The oldest segments are dropped when the filesystem has fewer bytes free than this.
    pub min_free_bytes: u64,
    /// Segments whose newest record is older than this many days are dropped; 0: age drops none.
    pub max_days: u64,
    /// Room that is kept for the moment when there is none; 0: none is.
    pub reserve_bytes: u64,
    /// Minutes between two records that say how the daemon is; 0: there are none.
    pub heartbeat_minutes: u64,
    /// The chain is signed now and then.
    pub checkpoints: bool,
    /// Most minutes from a record to the checkpoint that covers it.
    pub checkpoint_minutes: u64,
    /// The private key that checkpoints are signed with; made where it is missing.
    pub key_file: PathBuf,
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/lib/tetherd/spool"),
            segment_bytes: 16 << 20,
            segment_hours: 24,
            max_bytes: 256 << 20,
            min_free_bytes: 64 << 20,
            max_days: 0,
            reserve_bytes: 1 << 20,
            heartbeat_minutes: 60,
            checkpoints: false,
            checkpoint_minutes: 10,
            key_file: PathBuf::from("/var/lib/tetherd/checkpoint.key"),
        }
    }
}
