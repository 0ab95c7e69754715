//! The tables of descriptors that a process has.
//!
//! Owns: finding them. A process has one as a rule, that of its first thread. But a thread can have a table of its own
//! (unshare(2), CLONE_FILES), and the first thread can have ended before the others: then `/proc/PID/fd` is empty. Must
//! not own: what is in them.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use rustix::fs::OFlags;

use crate::host::link::number;
use crate::host::proc_dir::ProcDir;
use crate::host::stat::Stat;
use crate::model::ids::Pid;
use crate::sys;

/// How many threads of one process are asked.
const THREADS_MAX: usize = 1024;
/// How many tables of one process are read.
const TABLES_MAX: usize = 8;

/// One table of descriptors.
#[derive(Debug)]
pub struct Table {
    /// A thread that has it.
    pub owner: OwnedFd,
    /// Its `fd` directory.
    pub listing: OwnedFd,
}

/// A process's tables, the first thread's first, and whether these are all.
pub fn of(pid: Pid, process: OwnedFd, dir: &ProcDir, stat: &Stat) -> (Vec<Table>, bool) {
    let (listings, mut complete) = listings(pid, dir, stat.lives(), stat.threads);
    let mut process = Some(process);
    let mut tables = Vec::new();
    for (thread, listing) in listings {
        let own = if thread == pid { process.take() } else { sys::pidfd::open_thread(thread).ok() };
        match own {
            Some(owner) => tables.push(Table { owner, listing }),
            // Before Linux 6.9 there is no handle on a thread.
            None => complete = false,
        }
    }
    (tables, complete)
}

/// The `fd` directories of a process's tables, each with a thread that has it; the first thread's first, if that
/// `lives`; and whether these are all. `threads`: how many there are.
pub fn listings(pid: Pid, dir: &ProcDir, lives: bool, threads: u32) -> (Vec<(Pid, OwnedFd)>, bool) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut found: Vec<(Pid, OwnedFd)> = Vec::new();
    if lives && let Ok(listing) = dir.open_below(c"fd", flags) {
        found.push((pid, listing));
    }
    if threads <= 1 {
        return (found, true);
    }
    let Some(threads) = self::threads(dir) else { return (found, true) };
    let mut complete = threads.len() < THREADS_MAX;
    for thread in threads {
        let known = |(owner, _): &(Pid, OwnedFd)| sys::kcmp::same_descriptors(*owner, thread) != Some(false);
        if thread == pid || found.iter().any(known) {
            continue;
        }
        if found.len() >= TABLES_MAX {
            complete = false;
            break;
        }
        let path = CString::new(format!("task/{thread}/fd")).unwrap_or_default();
        let Ok(listing) = dir.open_below(&path, flags) else { continue };
        found.push((thread, listing));
    }
    (found, complete)
}

fn threads(dir: &ProcDir) -> Option<Vec<Pid>> {
    let listing = dir.open_below(c"task", OFlags::RDONLY | OFlags::DIRECTORY).ok()?;
    let entries = rustix::fs::Dir::new(listing).ok()?;
    let ids = entries.filter_map(Result::ok).filter_map(|entry| number(entry.file_name().to_bytes()));
    Some(ids.filter_map(|id| u32::try_from(id).ok()).map(Pid).take(THREADS_MAX).collect())
}
