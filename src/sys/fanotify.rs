//! Opens for execution, as fanotify(7) tells them.
//!
//! Owns: the group's descriptor, marks on filesystems, ignore marks on files, taking one event, answering one. Must not
//! own: which filesystems are marked, what an answer waits for (`sensor`). There is no way here to answer anything but
//! "allow". What this module cannot promise: if the kernel cannot open the program for us (no free descriptor, an LSM),
//! it refuses that execve itself (Linux `fs/notify/fanotify/fanotify_user.c`, `fanotify_read`), with or without
//! FAN_REPORT_FD_ERROR (measured on 6.18). So descriptors must never run short in this process.
#![allow(unsafe_code)] // fanotify_init and fanotify_mark have no safe wrapper that takes these flags

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::model::ids::Pid;

/// Length of an event without further records (`FAN_EVENT_METADATA_LEN`); a group of ours never has any.
pub const EVENT_BYTES: usize = 24;
/// `FANOTIFY_METADATA_VERSION`.
const VERSION: u8 = 3;

/// Whether the opener waits for our answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It does not (FAN_OPEN_EXEC).
    Told,
    /// It does (FAN_OPEN_EXEC_PERM).
    Held,
}

impl Class {
    fn mask(self) -> u64 {
        match self {
            Self::Told => libc::FAN_OPEN_EXEC,
            Self::Held => libc::FAN_OPEN_EXEC_PERM,
        }
    }
}

/// What an event's bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Which events.
    pub mask: u64,
    /// The program's file as a descriptor of this process, or less than 0.
    pub number: RawFd,
    /// The thread that executes (FAN_REPORT_TID).
    pub thread: i32,
}

/// Reads the fixed part of an event; `None` where it is cut, of another version or longer than a group of ours gets.
pub fn parse(bytes: &[u8]) -> Option<Raw> {
    let word = |at: usize| Some(i32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let length = u32::from_ne_bytes(bytes.get(0..4)?.try_into().ok()?);
    let header = u16::from_ne_bytes(bytes.get(6..8)?.try_into().ok()?);
    if length as usize != EVENT_BYTES || usize::from(header) != EVENT_BYTES || *bytes.get(4)? != VERSION {
        return None;
    }
    let mask = u64::from_ne_bytes(bytes.get(8..16)?.try_into().ok()?);
    Some(Raw { mask, number: word(16)?, thread: word(20)? })
}

/// The kernel's name of a waiting opener: the number that its event's descriptor had. No descriptor itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(pub RawFd);

/// One event.
#[derive(Debug)]
pub enum Taken {
    /// A file was opened for execution.
    Opened {
        /// The file.
        file: OwnedFd,
        /// The thread that executes.
        thread: Pid,
        /// What to answer to, where the opener waits.
        token: Option<Token>,
    },
    /// The queue was full: some opens were let through unseen.
    Overflow,
    /// Something this module does not know.
    Unknown,
}

/// A group.
#[derive(Debug)]
pub struct Group {
    fd: OwnedFd,
    class: Class,
}

impl Group {
    /// A new group without marks; needs CAP_SYS_ADMIN. Reading never waits.
    pub fn new(class: Class) -> io::Result<Self> {
        let class_flag = match class {
            Class::Told => libc::FAN_CLASS_NOTIF,
            Class::Held => libc::FAN_CLASS_CONTENT,
        };
        let flags = class_flag | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK | libc::FAN_REPORT_TID;
        let file_flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_LARGEFILE;
        // SAFETY: no pointers.
        let number = unsafe { libc::fanotify_init(flags | libc::FAN_UNLIMITED_MARKS, file_flags as u32) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(number) }, class })
    }

    /// A group that another process has made.
    pub fn adopt(fd: OwnedFd, class: Class) -> Self {
        Self { fd, class }
    }

    /// The class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Marks the filesystem that the path leads to.
    pub fn mark_filesystem(&self, path: &CStr) -> io::Result<()> {
        self.mark(libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM, None, Some(path))
    }

    /// Marks one file.
    pub fn mark_file(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        self.mark(libc::FAN_MARK_ADD, Some(file), None)
    }

    /// Hears of this file no more until it is modified. The kernel may forget that when it needs the memory
    /// (FAN_MARK_EVICTABLE, Linux 5.19); `pinned` keeps it and the inode.
    pub fn ignore(&self, file: BorrowedFd<'_>, pinned: bool) -> io::Result<()> {
        let evictable = if pinned { 0 } else { libc::FAN_MARK_EVICTABLE };
        self.mark(libc::FAN_MARK_ADD | libc::FAN_MARK_IGNORED_MASK | evictable, Some(file), None)
    }

    /// Takes [`Group::ignore`] back; the path may be one below `/proc/self/fd`. ENOENT: it was not ignored.
    pub fn heed(&self, path: &CStr) -> io::Result<()> {
        self.mark(libc::FAN_MARK_REMOVE | libc::FAN_MARK_IGNORED_MASK, None, Some(path))
    }

    /// Takes [`Group::ignore`] back for all files, and [`Group::mark_file`] with it.
    pub fn heed_all(&self) -> io::Result<()> {
        self.flush(libc::FAN_MARK_INODE)
    }

    /// Takes all marks away, on filesystems and on files. Those who wait go on waiting for their answer.
    pub fn unmark_all(&self) -> io::Result<()> {
        self.flush(libc::FAN_MARK_FILESYSTEM).and(self.flush(libc::FAN_MARK_INODE))
    }

    fn flush(&self, kind: u32) -> io::Result<()> {
        // SAFETY: FAN_MARK_FLUSH reads no path.
        let result = unsafe {
            libc::fanotify_mark(
                self.fd.as_raw_fd(),
                libc::FAN_MARK_FLUSH | kind,
                0,
                libc::AT_FDCWD,
                std::ptr::null(),
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn mark(&self, flags: u32, file: Option<BorrowedFd<'_>>, path: Option<&CStr>) -> io::Result<()> {
        let directory = file.map_or(libc::AT_FDCWD, |file| file.as_raw_fd());
        let path = path.map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: the path is null, which means the descriptor itself, or a C string that lives through the call.
        let result =
            unsafe { libc::fanotify_mark(self.fd.as_raw_fd(), flags, self.class.mask(), directory, path) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Takes one event, without waiting; `None` where there is none. An error other than EINTR means that the kernel
    /// could not open the file for us, and that the opener, if it waited, was refused.
    pub fn take(&self) -> io::Result<Option<Taken>> {
        let mut buffer = [0u8; EVENT_BYTES];
        let length = match rustix::io::read(&self.fd, &mut buffer) {
            Ok(length) => length,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(raw) = buffer.get(..length).and_then(parse) else { return Ok(Some(Taken::Unknown)) };
        if raw.mask & libc::FAN_Q_OVERFLOW != 0 {
            return Ok(Some(Taken::Overflow));
        }
        if raw.number < 0 {
            return Ok(Some(Taken::Unknown));
        }
        let token = (raw.mask & libc::FAN_OPEN_EXEC_PERM != 0).then_some(Token(raw.number));
        // SAFETY: the kernel has made this descriptor for this event, and each event is read once.
        let file = unsafe { OwnedFd::from_raw_fd(raw.number) };
        Ok(Some(Taken::Opened { file, thread: Pid(u32::try_from(raw.thread).unwrap_or(0)), token }))
    }

    /// Lets an opener go on. ENOENT: it has been answered, or was killed.
    pub fn allow(&self, token: Token) -> io::Result<()> {
        // struct fanotify_response: the descriptor's number, and the answer.
        let mut response = [0u8; 8];
        response[..4].copy_from_slice(&token.0.to_ne_bytes());
        response[4..].copy_from_slice(&libc::FAN_ALLOW.to_ne_bytes());
        rustix::io::write(&self.fd, &response)?;
        Ok(())
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(length: u32, version: u8, header: u16) -> Vec<u8> {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend([version, 0]);
        bytes.extend(header.to_ne_bytes());
        bytes.extend(libc::FAN_OPEN_EXEC_PERM.to_ne_bytes());
        bytes.extend(7i32.to_ne_bytes());
        bytes.extend(4321i32.to_ne_bytes());
        bytes
    }

    #[test]
    fn an_event() {
        let expected = Raw { mask: libc::FAN_OPEN_EXEC_PERM, number: 7, thread: 4321 };
        assert_eq!(parse(&event(24, 3, 24)), Some(expected));
        for (length, version, header) in [(24, 2, 24), (23, 3, 24), (24, 3, 20), (4096, 3, 24)] {
            assert_eq!(parse(&event(length, version, header)), None);
        }
        assert_eq!(parse(&event(24, 3, 24)[..23]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&bytes);
        }
    }
}
