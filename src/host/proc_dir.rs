//! One process's directory in `/proc`, held open.
//!
//! Owns: the directory descriptor, which stays bound to that life of the process (a later process with the same id
//! does not show in it), and reading files and links below it into bounded buffers. Must not own: what they mean.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags};

use crate::host::stat::Stat;
use crate::model::ids::{Inode, Pid, Uid};
use crate::model::look::{ARGS_BYTES_MAX, FileId};
use crate::sys;

/// The most bytes of a `stat` (proc_pid_stat(5): 52 numbers and a name).
const STAT_MAX: usize = 4096;
/// The links of fds 0, 1 and 2.
const FD_LINKS: [&CStr; 3] = [c"fd/0", c"fd/1", c"fd/2"];
/// What is said of fds 0, 1 and 2.
const FD_INFOS: [&CStr; 3] = [c"fdinfo/0", c"fdinfo/1", c"fdinfo/2"];
/// The longest text of a link that is read; longer paths are cut.
pub const LINK_MAX: usize = 4096;

/// What one read takes at most: arguments and cgroups at their limits (16 KiB), and the byte that says that there is more.
const PIECE: usize = ARGS_BYTES_MAX + 1;

/// An open `/proc/PID`.
#[derive(Debug)]
pub struct ProcDir {
    pid: Pid,
    dir: OwnedFd,
}

impl ProcDir {
    /// Opens `/proc/PID` (O_PATH). ENOENT: there is no such process any more.
    pub fn open(pid: Pid) -> io::Result<Self> {
        let mut path = [0u8; 24];
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(proc_path(pid, &mut path), flags, Mode::empty())?;
        Ok(Self { pid, dir })
    }

    /// Opens `/proc/PID` of the very process that the pidfd stands for; `None` if it has been reaped.
    pub fn of(pid: Pid, process: &OwnedFd) -> Option<Self> {
        let dir = Self::open(pid).ok()?;
        // While it lives its id is nobody else's. Once it has ended only a zombie can still be it.
        if !sys::pidfd::has_ended(process) {
            return Some(dir);
        }
        dir.stat().is_some_and(|stat| !stat.lives()).then_some(dir)
    }

    /// Whose it is.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The text of the link of fd 0, 1 or 2. ENOENT: the descriptor is closed, or the process has gone.
    pub fn stdio_link<'b>(&self, fd: usize, buffer: &'b mut [MaybeUninit<u8>]) -> io::Result<&'b [u8]> {
        let name = FD_LINKS.get(fd).copied().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let (text, _) = rustix::fs::readlinkat_raw(&self.dir, name, buffer)?;
        Ok(text)
    }

    /// The text of another link (`exe`, `cwd`, `ns/net`).
    pub fn link(&self, name: &CStr) -> io::Result<Vec<u8>> {
        let mut buffer = [MaybeUninit::uninit(); LINK_MAX];
        let (text, _) = rustix::fs::readlinkat_raw(&self.dir, name, &mut buffer[..])?;
        Ok(text.to_vec())
    }

    /// A file's content, at most `limit` bytes of it; the flag says that there was more.
    pub fn read(&self, name: &CStr, limit: usize) -> io::Result<(Vec<u8>, bool)> {
        read_file(&self.open_file(name)?, limit)
    }

    /// A file, opened for reading.
    pub fn open_file(&self, name: &CStr) -> io::Result<OwnedFd> {
        self.open_below(name, OFlags::RDONLY)
    }

    /// Opens something below the directory.
    pub fn open_below(&self, name: &CStr, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(&self.dir, name, flags | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// The program file, opened O_PATH: the filesystem is not asked, and the file can be read later even if the
    /// process and the name have gone.
    pub fn exe_handle(&self) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(&self.dir, c"exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// The process's root directory, opened O_PATH.
    pub fn root(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.dir, c"root", flags, Mode::empty())?)
    }

    /// The files that the process has mapped, lowest address first, each opened O_PATH; with or without a name
    /// (proc_pid_map_files(5), CAP_CHECKPOINT_RESTORE).
    pub fn mapped_files(&self) -> io::Result<impl Iterator<Item = io::Result<OwnedFd>>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(&self.dir, c"map_files", flags, Mode::empty())?;
        let entries = rustix::fs::Dir::read_from(&directory)?;
        Ok(entries
            .filter_map(Result::ok)
            .filter(|entry| !entry.file_name().to_bytes().starts_with(b"."))
            .map(move |entry| {
                let flags = OFlags::PATH | OFlags::CLOEXEC;
                Ok(rustix::fs::openat(&directory, entry.file_name(), flags, Mode::empty())?)
            }))
    }

    /// Whether fd 0, 1 or 2 is closed when the process executes a program (`flags:` of fdinfo, in octal, O_CLOEXEC).
    pub fn closes_on_exec(&self, fd: usize) -> bool {
        let info = FD_INFOS.get(fd).and_then(|name| self.read(name, 512).ok());
        let flags = info.as_ref().and_then(|(text, _)| {
            let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"flags:"))?;
            u32::from_str_radix(std::str::from_utf8(line.trim_ascii()).ok()?, 8).ok()
        });
        flags.is_some_and(|flags| flags & OFlags::CLOEXEC.bits() != 0)
    }

    /// Whether what a link of fd 0, 1 or 2 calls `/dev/null` is the null device (1:3, Linux
    /// `Documentation/admin-guide/devices.txt`): in another mount namespace the name can be anything's. To be asked of what
    /// is called so alone: following a link to a file on some network filesystems can take a while.
    pub fn is_null(&self, fd: usize) -> bool {
        let ask = |name: &&CStr| {
            rustix::fs::statx(&self.dir, *name, AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE).is_ok_and(
                |found| {
                    FileType::from_raw_mode(found.stx_mode.into()) == FileType::CharacterDevice
                        && (found.stx_rdev_major, found.stx_rdev_minor) == (1, 3)
                },
            )
        };
        FD_LINKS.get(fd).is_some_and(ask)
    }

    /// Its `stat`, parsed; `None` if it has gone.
    pub fn stat(&self) -> Option<Stat> {
        Stat::parse(&self.read(c"stat", STAT_MAX).ok()?.0)
    }

    /// How many threads it has; 1 of one that has ended. Its directory of threads has a link for each (Linux
    /// `fs/proc/base.c`, proc_task_getattr), which takes the kernel less than writing `stat`.
    pub fn threads(&self) -> io::Result<u32> {
        let found = rustix::fs::statx(&self.dir, c"task", AtFlags::empty(), StatxFlags::NLINK)?;
        Ok(found.stx_nlink.saturating_sub(2))
    }

    /// The inode of a namespace (`ns/net`).
    pub fn namespace(&self, name: &CStr, prefix: &[u8]) -> Option<Inode> {
        let mut buffer = [MaybeUninit::uninit(); 64];
        let (text, _) = rustix::fs::readlinkat_raw(&self.dir, name, &mut buffer[..]).ok()?;
        super::link::bracketed(text, prefix)
    }

    /// The protocol's name of a socket on fd 0, 1 or 2 (`TCP`, `UDPv6`, `UNIX-STREAM`), which needs no ptrace access
    /// and no other descriptor (Linux `net/socket.c`, `sockfs_xattr_get`).
    pub fn protocol_name<'b>(&self, fd: usize, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let mut path = [0u8; 24];
        let mut full = Vec::with_capacity(32);
        full.extend_from_slice(proc_path(self.pid, &mut path).to_bytes());
        full.extend_from_slice(b"/");
        full.extend_from_slice(FD_LINKS.get(fd)?.to_bytes());
        let length = rustix::fs::getxattr(full, c"system.sockprotoname", &mut *buffer).ok()?;
        let name = buffer.get(..length)?;
        Some(name.split(|&b| b == 0).next().unwrap_or(name))
    }
}

/// A file's content, at most `limit` bytes of it; the flag says that there was more. What is kept is kept for long, and most of it
/// is much shorter than its limit: it is read on the stack, because a large allocation that is cut down to what was read would
/// leave a hole behind each, which no later one of its size fits into.
pub fn read_file(file: &OwnedFd, limit: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut buffer = [MaybeUninit::uninit(); PIECE];
    let mut content = Vec::new();
    let mut left = limit + 1;
    while let Some(space) = buffer.get_mut(..left.min(PIECE)).filter(|space| !space.is_empty()) {
        match rustix::io::read(file, space) {
            Ok(([], _)) => break,
            Ok((piece, _)) => {
                content.extend_from_slice(piece);
                left -= piece.len();
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    content.truncate(limit);
    content.shrink_to_fit();
    Ok((content, left == 0))
}

/// Which file is open, without asking a network filesystem's server (AT_STATX_DONT_SYNC).
pub fn file_id(file: &OwnedFd) -> io::Result<FileId> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let found = rustix::fs::statx(file, c"", flags, StatxFlags::BASIC_STATS)?;
    let nanoseconds = |time: rustix::fs::StatxTimestamp| {
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(i64::from(time.tv_nsec))
    };
    Ok(FileId {
        device: rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
        inode: Inode(found.stx_ino),
        size: found.stx_size,
        mtime_ns: nanoseconds(found.stx_mtime),
        ctime_ns: nanoseconds(found.stx_ctime),
        owner: Uid(found.stx_uid),
        mode: u32::from(found.stx_mode),
    })
}

/// `/proc/PID`, written without allocation.
fn proc_path(pid: Pid, buffer: &mut [u8; 24]) -> &CStr {
    let mut space = [0u8; 10];
    let text = b"/proc/".iter().chain(digits(pid, &mut space)).chain(b"\0");
    for (to, from) in buffer.iter_mut().zip(text) {
        *to = *from;
    }
    CStr::from_bytes_until_nul(buffer).unwrap_or(c"/proc/0")
}

/// An id in decimal digits, written without allocation.
pub(super) fn digits(pid: Pid, space: &mut [u8; 10]) -> &[u8] {
    let mut first = space.len();
    let mut rest = pid.0;
    while let Some(slot) = first.checked_sub(1).and_then(|i| space.get_mut(i)) {
        *slot = b'0' + (rest % 10) as u8;
        first -= 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    space.get(first..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for pid in [0, 7, 10, 4_194_304, u32::MAX] {
            let mut buffer = [0; 24];
            assert_eq!(proc_path(Pid(pid), &mut buffer).to_str().unwrap(), format!("/proc/{pid}"));
        }
    }

    #[test]
    fn the_null_device_by_name_and_by_nature() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let zero = std::fs::File::open("/dev/zero").unwrap();
        let mut child =
            std::process::Command::new("/bin/sleep").arg("60").stdin(null).stdout(zero).spawn().unwrap();
        let dir = ProcDir::open(Pid(child.id())).unwrap();
        let said = (dir.is_null(0), dir.is_null(1), dir.is_null(3), dir.threads().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(said, (true, false, false, 1));
        assert!(dir.threads().is_err());
        // Other tests run in threads of this process.
        assert!(ProcDir::open(Pid(std::process::id())).unwrap().threads().unwrap() >= 2);
    }

    #[test]
    fn reads_are_bounded() {
        let dir = ProcDir::open(Pid(std::process::id())).unwrap();
        let (bytes, more) = dir.read(c"status", 10).unwrap();
        assert_eq!((bytes.len(), more), (10, true));
        assert!(dir.namespace(c"ns/net", b"net:[").is_some());
        assert!(file_id(&dir.exe_handle().unwrap()).unwrap().size > 0);
    }

    #[test]
    fn what_is_read_takes_no_more_than_its_length() {
        let content: Vec<u8> = (0..3 * PIECE).map(|n| n as u8).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        for (length, limit) in
            [(0, 9), (9, 9), (10, 9), (PIECE, PIECE), (3 * PIECE, 3 * PIECE - 1), (3 * PIECE, 1 << 20)]
        {
            std::fs::write(file.path(), &content[..length]).unwrap();
            let (read, more) = read_file(&OwnedFd::from(file.reopen().unwrap()), limit).unwrap();
            assert_eq!((&read[..], more), (&content[..length.min(limit)], length > limit));
            assert_eq!(read.capacity(), read.len());
        }
    }
}
