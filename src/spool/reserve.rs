//! Room that is kept for the worst moment.
//!
//! Owns: the file `reserve`: blocks and an inode that nobody else can take, so that when the filesystem, the quota or the
//! inodes are used up there is still room for first records of incidents and for the records that say what was lost. Must
//! not own: when it is given up (`writer`).

use std::fs::File;
use std::io::{self, Write};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::directory::Directory;

const NAME: &str = "reserve";
/// The reserve takes at most this part of a filesystem.
const PART: u64 = 16;

/// The reserve.
#[derive(Debug, Default)]
pub(super) struct Reserve {
    bytes: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// None is wanted, or none can be had for another reason than room.
    #[default]
    Without,
    /// It is there.
    Kept,
    /// There was no room for it, or it was given up.
    Spent,
}

impl Reserve {
    /// Takes up the reserve of an earlier run, or makes one of `wanted` bytes.
    pub(super) fn open(directory: &Directory, wanted: u64) -> Self {
        let total = directory.space().map_or(0, |space| space.total_bytes);
        let mut reserve = Self { bytes: wanted.min(total / PART), state: State::Without };
        if wanted == 0 {
            // Switched off since the last run.
            let _ = directory.unlink(NAME);
        } else if reserve.bytes > 0 {
            reserve.make(directory);
        }
        reserve
    }

    /// It was given up, or could not be made for want of room.
    pub(super) fn is_spent(&self) -> bool {
        self.state == State::Spent
    }

    /// Makes it again if there is room for it and as much again.
    pub(super) fn renew(&mut self, directory: &Directory) {
        let room = || directory.space().is_ok_and(|space| space.free_bytes >= 2 * self.bytes);
        if self.bytes > 0 && self.state != State::Kept && room() {
            self.make(directory);
        }
    }

    /// Gives the room to whoever writes next; false if there was none.
    pub(super) fn give_up(&mut self, directory: &Directory) -> bool {
        let kept = self.state == State::Kept;
        if kept {
            self.state = State::Spent;
        }
        kept && directory.unlink(NAME).is_ok()
    }

    fn make(&mut self, directory: &Directory) {
        let made = directory.open_or_create(NAME).and_then(|file| self.fill(file));
        self.state = match made {
            Ok(()) => State::Kept,
            Err(error) => {
                let _ = directory.unlink(NAME);
                if no_room(&error) { State::Spent } else { State::Without }
            }
        };
    }

    fn fill(&self, mut file: File) -> io::Result<()> {
        let length = file.metadata()?.len();
        if length > self.bytes {
            file.set_len(self.bytes)?;
        }
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) if length < self.bytes => {
                let chunk = vec![0; 64 << 10];
                let mut left = self.bytes;
                while left > 0 {
                    let part = usize::try_from(left).unwrap_or(chunk.len()).min(chunk.len());
                    file.write_all(chunk.get(..part).unwrap_or_default())?;
                    left -= part as u64;
                }
                file.sync_data()
            }
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            outcome => Ok(outcome?),
        }
    }
}

/// Whether it failed because there is no room: no block, no inode, no quota.
pub(super) fn no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
