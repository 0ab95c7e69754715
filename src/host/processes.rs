//! Everybody who runs.
//!
//! Owns: listing `/proc`, the directory that it was listed from, and reading links below it without opening each
//! process's own directory first. Must not own: what is done with a process.
//!
//! The number of a process's directory (`d_ino`) is given out anew for each struct pid that the kernel shows (Linux
//! `fs/proc/base.c`, proc_pid_make_inode, get_next_ino). As long as it is the same it is the same life of the process,
//! and that has been told without reading anything of it. It changes also when the kernel has dropped the entry to save
//! memory: then it proves nothing.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, RawDir};

use crate::host::link::number;
use crate::host::proc_dir::digits;
use crate::model::ids::Pid;

/// Bytes of the directory that are read at once: a few hundred processes, so that what was listed is soon looked at.
const PIECE: usize = 8192;
/// The links of fds 0, 1 and 2, below a process's directory.
const STDIO: [&[u8]; 3] = [b"/fd/0", b"/fd/1", b"/fd/2"];

/// `/proc`, open.
#[derive(Debug)]
pub struct Processes {
    top: OwnedFd,
}

/// One process, as listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub pid: Pid,
    /// The number of its directory.
    pub number: u64,
}

impl Processes {
    /// Opens `/proc`, to be listed once.
    pub fn open() -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { top: rustix::fs::open(c"/proc", flags, Mode::empty())? })
    }

    /// Gives every process to `take`, lowest id first, until that says false. Whether it got to the end.
    pub fn each(&self, mut take: impl FnMut(Listed) -> bool) -> bool {
        let mut buffer = [MaybeUninit::uninit(); PIECE];
        let mut entries = RawDir::new(&self.top, &mut buffer);
        while let Some(entry) = entries.next() {
            let Ok(entry) = entry else { return false };
            let Some(pid) = number(entry.file_name().to_bytes()).and_then(|pid| u32::try_from(pid).ok())
            else {
                continue;
            };
            if !take(Listed { pid: Pid(pid), number: entry.ino() }) {
                return false;
            }
        }
        true
    }

    /// The text of the link of fd 0, 1 or 2. ENOENT: the descriptor is closed, or the process has gone. The id may have
    /// passed on since it was listed: what matters has to be looked at by way of the process's own directory.
    pub fn stdio_link<'b>(
        &self,
        pid: Pid,
        fd: usize,
        buffer: &'b mut [MaybeUninit<u8>],
    ) -> io::Result<&'b [u8]> {
        let below = STDIO.get(fd).copied().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut space = [0u8; 10];
        let text = digits(pid, &mut space).iter().chain(below);
        let mut path = [0u8; 16];
        for (to, from) in path.iter_mut().zip(text) {
            *to = *from;
        }
        let path = std::ffi::CStr::from_bytes_until_nul(&path)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(rustix::fs::readlinkat_raw(&self.top, path, buffer)?.0)
    }
}

/// Every process's id.
pub fn everybody() -> Vec<Pid> {
    let mut pids = Vec::new();
    if let Ok(processes) = Processes::open() {
        processes.each(|one| {
            pids.push(one.pid);
            true
        });
    }
    pids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(pid: u32) -> Option<u64> {
        let mut found = None;
        Processes::open().unwrap().each(|one| {
            found = found.or((one.pid == Pid(pid)).then_some(one.number));
            true
        });
        found
    }

    #[test]
    fn a_process_and_its_links() {
        let null = std::process::Stdio::null;
        let mut child = std::process::Command::new("/bin/sleep").arg("60").stdin(null()).spawn().unwrap();
        let processes = Processes::open().unwrap();
        let mut buffer = [MaybeUninit::uninit(); 64];
        let link = processes.stdio_link(Pid(child.id()), 0, &mut buffer).map(<[u8]>::to_vec);
        let (there, again) = (listed(child.id()), listed(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(link.unwrap(), b"/dev/null");
        assert!(there.is_some() && again.is_some());
        assert_eq!(listed(child.id()), None);
        assert!(processes.stdio_link(Pid(child.id()), 0, &mut buffer).is_err());
        assert!(processes.stdio_link(Pid(u32::MAX), 2, &mut buffer).is_err());
        assert!(processes.stdio_link(Pid(1), 3, &mut buffer).is_err());
        assert!(everybody().contains(&Pid(std::process::id())));
    }

    #[test]
    fn it_stops_when_told() {
        let mut count = 0;
        let whole = Processes::open().unwrap().each(|_| {
            count += 1;
            count < 2
        });
        assert_eq!((whole, count), (false, 2));
    }
}
