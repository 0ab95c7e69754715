//! The host's mounts, read once and kept until they change.
//!
//! Owns: the open mountinfo of the first process, which says when it has changed (proc_pid_mountinfo(5): poll(2) gives
//! POLLPRI after each mount and unmount), and what it said last. Must not own: mounts of other namespaces: to keep one of
//! those open would keep the namespace, and with it a container's filesystems, mounted.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, SeekFrom, open, seek};

use crate::host::mounts::Mounts;
use crate::host::proc_dir::read_file;

/// The mounts, and the file that tells of changes.
#[derive(Debug)]
pub struct MountTable {
    path: &'static str,
    limit: usize,
    known: Option<(OwnedFd, Arc<Mounts>)>,
}

impl MountTable {
    /// A table of the host's mounts that has read nothing yet. `limit`: the most bytes of it that are read.
    pub fn of_host(limit: usize) -> Self {
        Self { path: "/proc/1/mountinfo", limit, known: None }
    }

    /// The mounts as they are now; `None` where they may not be read.
    pub fn mounts(&mut self) -> Option<Arc<Mounts>> {
        if let Some((_, mounts)) = self.known.as_ref().filter(|(file, _)| !has_changed(file)) {
            return Some(Arc::clone(mounts));
        }
        let file = match self.known.take() {
            Some((file, _)) => {
                seek(&file, SeekFrom::Start(0)).ok()?;
                file
            }
            None => open(self.path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?,
        };
        // What changes while it is read is told again: the kernel keeps count from when it is asked.
        let _ = has_changed(&file);
        let (text, _) = read_file(&file, self.limit).ok()?;
        let mounts = Arc::new(Mounts::parse(&text));
        self.known = Some((file, Arc::clone(&mounts)));
        Some(mounts)
    }
}

/// Whether there was a change since this was asked last. An error means that too.
fn has_changed(file: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(file, PollFlags::PRI)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&at_once)).map_or(true, |ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_until_it_changes() {
        let mut table = MountTable { path: "/proc/self/mountinfo", ..MountTable::of_host(1 << 20) };
        let first = table.mounts().unwrap();
        assert_eq!(*first, Mounts::parse(&std::fs::read("/proc/self/mountinfo").unwrap()));
        // Others may mount something meanwhile, but not every time.
        assert!((0..1000).any(|_| Arc::ptr_eq(&table.mounts().unwrap(), &table.mounts().unwrap())));
        let directory = tempfile::tempdir().unwrap();
        let point = directory.path().join("m");
        std::fs::create_dir(&point).unwrap();
        let mount = |program: &str, arguments: &[&str]| {
            std::process::Command::new(program)
                .args(arguments)
                .arg(&point)
                .status()
                .is_ok_and(|s| s.success())
        };
        if !mount("mount", &["-t", "tmpfs", "none"]) {
            eprintln!("skipped: nothing can be mounted here");
            return;
        }
        let there = table.mounts().unwrap();
        assert!(mount("umount", &[]));
        let gone = table.mounts().unwrap();
        let path = point.as_os_str().as_encoded_bytes();
        let has = |mounts: &Mounts| mounts.at(path).is_some_and(|mount| mount.point == path);
        assert!(has(&there) && !has(&gone));
    }

    #[test]
    fn nothing_where_it_cannot_be_read() {
        let mut table = MountTable { path: "/nowhere", ..MountTable::of_host(10) };
        assert!(table.mounts().is_none() && table.mounts().is_none());
    }
}
