//! That no number is used twice.
//!
//! Owns: the file `sequence`: numbers below its mark may be in use. It is written ahead in blocks, so after a crash
//! of the machine, or when an operator has removed segments, numbering goes on at the mark. While the newest segment
//! is as it was left within the same boot, its last record says the next number exactly. Must not own: numbering.

use serde::{Deserialize, Serialize};

use super::directory::Directory;
use super::error::SpoolError;
use super::segment::SEQUENCE_MAX;

const NAME: &str = "sequence";

/// How many numbers are reserved at a time.
pub(super) const BLOCK: u64 = 1000;

/// The file's content, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    /// No number from here on has ever been used.
    pub(super) unused: u64,
    /// The newest segment when it was written; 0 for none.
    pub(super) segment: u64,
    /// The boot in which it was written; empty while numbers were used that stand in no file.
    pub(super) boot_id: String,
    /// Of every record with a lower number the spool says that it was dropped, where it was; 0: not known.
    #[serde(default)]
    pub(super) noted: u64,
    /// The writer ended in order: the record before `unused` was its last one.
    #[serde(default)]
    pub(super) ended: bool,
}

impl Mark {
    /// The stored mark; `None` where there is none or it is damaged.
    pub(super) fn load(directory: &Directory) -> Option<Self> {
        let mark: Self = serde_json::from_slice(&directory.read_small(NAME).ok()??).ok()?;
        (mark.unused <= SEQUENCE_MAX).then_some(mark)
    }

    /// Stores a mark.
    pub(super) fn store(&self, directory: &Directory) -> Result<(), SpoolError> {
        let mut content = serde_json::to_vec(self).map_err(|source| SpoolError::Encode { source })?;
        content.push(b'\n');
        directory.replace(NAME, &content)
    }

    /// Whether the newest segment on disk can be trusted to be the newest ever and to hold all that was ever read
    /// from it: it was not removed, and the machine has not lost its page cache.
    pub(super) fn trusts(&self, newest: u64, boot: &str) -> bool {
        self.boot_id == boot && newest >= self.segment
    }
}
