//! One look at one process: everything read about it while it lived.
//!
//! Owns: the record that the sensor fills and everything after it reads. Must not own: reading it (`host`).
//! All text is raw bytes that somebody else chose; [`super::text`] makes it fit to show.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::clock::Moment;
use super::ids::{Gid, Inode, Pid, ProcessKey, Uid};
use super::relay::Relayed;
use super::stdio::Backing;

/// The most arguments that are kept of one process.
pub const ARGS_MAX: usize = 256;
/// The most bytes of arguments that are kept of one process.
pub const ARGS_BYTES_MAX: usize = 16 * 1024;
/// The most ancestors that are kept of one process.
pub const ANCESTORS_MAX: usize = 32;

/// How sure: in which state the process was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Observation {
    /// Waiting in execve(2) for our answer.
    Held,
    /// Running, right after its exec.
    Live,
    /// Gone before it could be read; its parent's stdio is known.
    Inherited,
    /// Running, found by a sweep.
    Swept,
}

impl Observation {
    /// The word in `Observation` and `Process_Observations`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Live => "live",
            Self::Inherited => "inherited",
            Self::Swept => "swept",
        }
    }
}

/// Which file a path led to, and whether it is still the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Device number of the filesystem (`st_dev`).
    pub device: u64,
    /// Inode number.
    pub inode: Inode,
    /// Size in bytes.
    pub size: u64,
    /// Last change of content, nanoseconds after 1970.
    pub mtime_ns: i64,
    /// Last change of the inode, nanoseconds after 1970.
    pub ctime_ns: i64,
    /// Owner.
    pub owner: Uid,
    /// `st_mode`: type and permissions.
    pub mode: u32,
}

/// The program file of a process.
#[derive(Clone, Debug, Default)]
pub struct Exe {
    /// Its path as the process's own mount namespace has it, without the kernel's ` (deleted)`; empty if unread.
    pub path: Vec<u8>,
    /// The file has no name any more.
    pub deleted: bool,
    /// Which file; `None` where it could not be asked.
    pub file: Option<FileId>,
    /// The file itself, opened O_PATH, so that it can be read after the process and the name have gone.
    pub handle: Option<Arc<OwnedFd>>,
}

impl Exe {
    /// Executed from memfd_create(2).
    pub fn is_memfd(&self) -> bool {
        self.path.starts_with(b"/memfd:")
    }

    /// The last component of the path.
    pub fn name(&self) -> &[u8] {
        base_name(&self.path)
    }
}

/// The last component of a path; all of it where there is no slash.
pub fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

/// Whether a program of this base name is a dynamic loader (ld.so(8), musl's, and that of 64-bit POWER).
pub fn is_loader(name: &[u8]) -> bool {
    let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
    name.starts_with(b"ld-musl")
        || (name.starts_with(b"ld-") && has(b".so"))
        || name == b"ld.so"
        || name.starts_with(b"ld64.so")
}

/// The arguments of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// argv, at most [`ARGS_MAX`] of it and [`ARGS_BYTES_MAX`] bytes.
    pub list: Vec<Vec<u8>>,
    /// There was more.
    pub truncated: bool,
}

/// Who a process runs as, in the initial user namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Real user id.
    pub uid: Uid,
    /// Effective user id.
    pub euid: Uid,
    /// Real group id.
    pub gid: Gid,
    /// Effective group id.
    pub egid: Gid,
    /// Who logged in (`/proc/PID/loginuid`); `None` where nobody did.
    pub login: Option<Uid>,
    /// What it may do beyond that; `None` where its status was not read.
    pub privileges: Option<Privileges>,
}

/// What a process may do, and what keeps it from more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privileges {
    /// Effective capabilities, bit by number (capabilities(7)).
    pub effective: u64,
    /// Permitted capabilities.
    pub permitted: u64,
    /// Mode of seccomp(2): 0 none, 1 strict, 2 filter; `None` where the kernel has no seccomp.
    pub seccomp: Option<u8>,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privs: bool,
}

/// The namespaces of a process (nsfs inodes); `None` where they could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Network namespace.
    pub net: Option<Inode>,
    /// PID namespace.
    pub pid: Option<Inode>,
    /// Mount namespace.
    pub mnt: Option<Inode>,
    /// User namespace.
    pub user: Option<Inode>,
}

/// A process further up.
#[derive(Clone, Debug, Default)]
pub struct Ancestor {
    /// Which life.
    pub key: ProcessKey,
    /// Its name.
    pub comm: Vec<u8>,
    /// Its program's path; empty if unread.
    pub exe: Vec<u8>,
    /// The owner of the program file, where it could be asked.
    pub exe_owner: Option<Uid>,
    /// Its first arguments.
    pub args: Args,
    /// Its real user id.
    pub uid: Uid,
    /// Its mount namespace.
    pub mnt_ns: Option<Inode>,
}

impl Ancestor {
    /// One that had gone before more of it was read.
    pub fn gone(key: ProcessKey, comm: Vec<u8>) -> Self {
        let (exe, args, uid) = Default::default();
        Self { key, comm, exe, exe_owner: None, args, uid, mnt_ns: None }
    }
}

/// What made us look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It executed a program.
    Exec,
    /// It was forked by a process of an incident.
    Fork,
    /// A sweep came by.
    Sweep,
    /// Its descriptors were found to lead to somebody else's network socket, after a look had been handed on.
    Relay,
}

/// One look at one process.
#[derive(Clone, Debug)]
pub struct Look {
    /// Which life of which process.
    pub key: ProcessKey,
    /// When it was read.
    pub at: Moment,
    /// How it was seen.
    pub seen: Observation,
    /// Why.
    pub cause: Cause,
    /// Its parent (0 where unknown or outside this PID namespace).
    pub parent: Pid,
    /// Process group.
    pub pgrp: Pid,
    /// Session.
    pub session: Pid,
    /// Its name, at most 15 bytes that may be anything but NUL (for a thread group leader).
    pub comm: Vec<u8>,
    /// Its program.
    pub exe: Exe,
    /// Its arguments.
    pub args: Args,
    /// Working directory; empty if unread.
    pub cwd: Vec<u8>,
    /// Root directory as seen from the initial mount namespace; empty if unread.
    pub root: Vec<u8>,
    /// Who it runs as.
    pub credentials: Credentials,
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// Its id in its own PID namespace.
    pub inner_pid: Option<Pid>,
    /// `/proc/PID/cgroup`, at most 16 KiB.
    pub cgroup: Vec<u8>,
    /// File descriptors 0, 1 and 2.
    pub stdio: [Backing; 3],
    /// Where fds 0-2 lead through other processes, where that was asked and something was found.
    pub relayed: Option<Box<Relayed>>,
    /// Of its network sockets, by inode: whether somebody listened on the local port while the process lived. A socket
    /// is missing where that was not asked or not answered.
    pub listened: Vec<(Inode, bool)>,
    /// Parents up to pid 1, nearest first.
    pub ancestors: Vec<Ancestor>,
    /// When the process started, on the wall clock; 0 if unknown.
    pub started_wall_ns: u64,
    /// What could not be read, by name of the file in `/proc/PID`.
    pub unread: Vec<&'static str>,
}

impl Look {
    /// A look at a process that had gone when only its fds 0-2 had been read.
    pub fn unread(pid: Pid, stdio: [Backing; 3], at: Moment, seen: Observation, cause: Cause) -> Self {
        let mut look = Self::blank(ProcessKey { pid, ..ProcessKey::default() }, at, seen, cause);
        look.stdio = stdio;
        look.unread.extend(["exe", "cmdline", "stat", "status", "cgroup"]);
        look
    }

    /// A look of which nothing but the identity is known; the rest is filled in or stays empty.
    pub fn blank(key: ProcessKey, at: Moment, seen: Observation, cause: Cause) -> Self {
        Self {
            key,
            at,
            seen,
            cause,
            parent: Pid(0),
            pgrp: Pid(0),
            session: Pid(0),
            comm: Vec::new(),
            exe: Exe::default(),
            args: Args::default(),
            cwd: Vec::new(),
            root: Vec::new(),
            credentials: Credentials::default(),
            namespaces: Namespaces::default(),
            inner_pid: None,
            cgroup: Vec::new(),
            stdio: [Backing::Unread, Backing::Unread, Backing::Unread],
            relayed: None,
            listened: Vec::new(),
            ancestors: Vec::new(),
            started_wall_ns: 0,
            unread: Vec::new(),
        }
    }

    /// Whether somebody listened on this socket's local port, if that is known.
    pub fn listened_on(&self, socket: Inode) -> Option<bool> {
        self.listened.iter().find(|(inode, _)| *inode == socket).map(|(_, listened)| *listened)
    }

    /// Whether any of fds 0-2 is a network socket.
    pub fn is_direct(&self) -> bool {
        self.stdio.iter().any(|backing| backing.network().is_some())
    }
}
