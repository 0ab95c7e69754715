//! Which filesystems fanotify watches, and which programs on them it leaves out.
//!
//! Owns: marks on every filesystem that can hold programs, kept up to date as filesystems are mounted, here and in other
//! mount namespaces; ignore marks on programs that are executed often and are neither watched nor shells. Must not own:
//! what happens at an open. This thread opens paths and may hang at it; nobody waits for it.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::Sender;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};

use crate::host::mounts::{Mount, Mounts};
use crate::host::proc_dir::file_id;
use crate::model::clock::SECOND;
use crate::model::look::{FileId, base_name};
use crate::model::loss::Loss;
use crate::sensor::held::HeldLooks;
use crate::sensor::hold_state::HoldState;
use crate::sensor::mailbox::Mailbox;
use crate::sensor::popular::may_be_shell;
use crate::stats::{Count, Stats};
use crate::sys::clock;
use crate::sys::fanotify::{Class, Group};

/// How often other mount namespaces are looked for, in seconds.
const NAMESPACES_SECONDS: u64 = 5;
/// The most processes asked for their mount namespace in one round.
const PROCESSES_MAX: usize = 8192;
/// The most other mount namespaces in one round.
const NAMESPACES_MAX: usize = 256;
/// The most programs whose judgement is remembered.
const JUDGED_MAX: usize = 4096;

/// Whether a program's name is watched.
#[derive(Clone)]
pub struct Watched {
    named: Arc<Asked>,
    changes: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// Gets a program's path.
type Asked = dyn Fn(&[u8]) -> bool + Send + Sync;

impl Watched {
    /// Asks `named`, which gets the program's path. What it says may change; `changes` counts how often it did.
    pub fn new(
        named: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
        changes: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self { named: Arc::new(named), changes: Arc::new(changes) }
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}

/// The marks of one group.
#[derive(Debug)]
pub struct Marks {
    group: Arc<Group>,
    state: Arc<HoldState>,
    stats: Arc<Stats>,
    watched: Watched,
    held: Arc<HeldLooks>,
    judged: HashMap<FileId, bool>,
    changes: u64,
    refused: HashSet<(u32, u32)>,
    next_namespaces_ns: u64,
    marked: Option<Sender<()>>,
}

impl Marks {
    /// No marks yet.
    pub fn new(
        group: Arc<Group>,
        state: Arc<HoldState>,
        stats: Arc<Stats>,
        watched: Watched,
        held: Arc<HeldLooks>,
    ) -> Self {
        Self {
            changes: (watched.changes)(),
            group,
            state,
            stats,
            watched,
            held,
            judged: HashMap::new(),
            refused: HashSet::new(),
            next_namespaces_ns: 0,
            marked: None,
        }
    }

    /// Tells `marked` when all has been marked once.
    pub fn telling(self, marked: Sender<()>) -> Self {
        Self { marked: Some(marked), ..self }
    }

    /// Marks what there is, and then waits for changes; returns when the state says stop, and, where this group holds,
    /// when holding has been given up.
    pub fn keep(&mut self, candidates: &Mailbox<OwnedFd>) {
        let Ok(table) = File::open("/proc/self/mountinfo") else { return };
        let (state, holds) = (self.state.clone(), self.group.class() == Class::Held);
        let mut changed = true;
        loop {
            self.heed_missed();
            self.heed_changes();
            if changed || clock::now().mono_ns >= self.next_namespaces_ns {
                self.mark_all();
            }
            let wait = Timespec { tv_sec: NAMESPACES_SECONDS as i64, tv_nsec: 0 };
            let mut fds = [
                // The kernel says "error and priority" once after each change of the mount table.
                PollFd::new(&table, PollFlags::PRI),
                PollFd::new(candidates, PollFlags::IN),
                PollFd::from_borrowed_fd(state.stop_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(
                    if holds { state.given_up_fd() } else { state.stop_fd() },
                    PollFlags::IN,
                ),
            ];
            let _ = poll(&mut fds, Some(&wait));
            changed = fds[0].revents().intersects(PollFlags::PRI | PollFlags::ERR);
            if fds[2..].iter().any(|fd| fd.revents().contains(PollFlags::IN)) {
                return;
            }
            if fds[1].revents().contains(PollFlags::IN) {
                candidates.wait();
                if let Some(file) = candidates.take() {
                    self.judge(&file);
                }
            }
        }
    }

    /// Marks every filesystem that is fit. A mark that is there already costs one system call, and a filesystem that
    /// took the place and the device number of another is marked again, so all are marked each time.
    pub fn mark_all(&mut self) {
        self.next_namespaces_ns = clock::now().mono_ns + NAMESPACES_SECONDS * SECOND;
        let mut done = HashSet::new();
        let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        let left_alone = self.mark_table(&text, b"", &mut done);
        self.mark_other_namespaces(&mut done);
        self.state.marked.store(done.len() as u64, Ordering::Relaxed);
        self.state.left_alone.store(left_alone as u64, Ordering::Relaxed);
        if let Some(marked) = self.marked.take() {
            let _ = marked.send(());
        }
    }

    /// Marks the filesystems of one mount table, whose root shows at `root`; how many must be left alone.
    fn mark_table(&mut self, text: &[u8], root: &[u8], done: &mut HashSet<(u32, u32)>) -> usize {
        let mounts = Mounts::parse(text);
        let (fit, left_alone) = mounts.fit();
        let mut failed = HashMap::new();
        for mount in fit {
            if done.contains(&mount.device) {
                continue;
            }
            match self.mark(mount, root) {
                Ok(true) => {
                    done.insert(mount.device);
                }
                // Something else is mounted over it.
                Ok(false) => {}
                Err(error) => {
                    failed.insert(mount.device, (mount.point.clone(), error));
                }
            }
        }
        for (device, (point, error)) in failed {
            if !done.contains(&device) && self.refused.len() < JUDGED_MAX && self.refused.insert(device) {
                self.stats.lose(Loss::MarkRefused, 1);
                let point = crate::model::text::escape(&point);
                log::warn!("fanotify: the filesystem at {point} could not be marked: {error}");
            }
        }
        left_alone
    }

    /// Whether the mount is what its path leads to; if so, its filesystem is marked.
    fn mark(&self, mount: &Mount, root: &[u8]) -> std::io::Result<bool> {
        let path = CString::new([root, &mount.point].concat())?;
        let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let place = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(place) => place,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let found = rustix::fs::statx(
            &place,
            c"",
            AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC,
            StatxFlags::MNT_ID,
        )?;
        // Kernels before 5.8 do not tell.
        if found.stx_mask & StatxFlags::MNT_ID.bits() != 0 && found.stx_mnt_id != mount.id {
            return Ok(false);
        }
        self.group.mark_filesystem(&own_path(&place)?)?;
        Ok(true)
    }

    /// Services with mounts of their own, and containers. Where a process is in a user namespace of its own, whoever
    /// made that could have mounted anything there, also what hangs: it is left alone.
    fn mark_other_namespaces(&mut self, done: &mut HashSet<(u32, u32)>) {
        let link = |pid: &str, name: &str| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
        let (Some(mine), Some(users)) = (link("self", "mnt"), link("self", "user")) else { return };
        let mut seen = HashSet::from([mine]);
        let Ok(processes) = std::fs::read_dir("/proc") else { return };
        for process in processes.flatten().take(PROCESSES_MAX) {
            let name = process.file_name();
            let Some(pid) =
                name.to_str().filter(|name| name.as_bytes().first().is_some_and(u8::is_ascii_digit))
            else {
                continue;
            };
            let Some(namespace) = link(pid, "mnt") else { continue };
            if seen.contains(&namespace) || link(pid, "user").as_ref() != Some(&users) {
                continue;
            }
            seen.insert(namespace);
            if seen.len() > NAMESPACES_MAX {
                return;
            }
            let Ok(text) = std::fs::read(format!("/proc/{pid}/mountinfo")) else { continue };
            self.mark_table(&text, format!("/proc/{pid}/root").as_bytes(), done);
        }
    }

    /// Programs that were on a socket and had not been held: whoever ignores them has made a mistake.
    fn heed_missed(&mut self) {
        while let Some((id, file)) = self.held.take_missed() {
            self.judged.insert(id, false);
            if let Ok(path) = own_path(&file) {
                // Mostly it was not ignored: another way of not being held, a filesystem that is left alone, is common.
                let _ = self.group.heed(&path);
            }
        }
    }

    /// Other names are watched than before: every program is judged anew.
    fn heed_changes(&mut self) {
        let changes = (self.watched.changes)();
        if std::mem::replace(&mut self.changes, changes) != changes {
            self.judged.clear();
            let _ = self.group.heed_all();
        }
    }

    /// Ignores a program that is executed often, unless it is watched, may be a shell, or could be made one by somebody
    /// who is not root. The kernel takes the mark back when the file is written to; a file that takes the name of
    /// another has no mark.
    fn judge(&mut self, file: &OwnedFd) {
        let Ok(id) = file_id(file) else { return };
        let harmless = match self.judged.get(&id) {
            Some(harmless) => *harmless,
            None => {
                let link =
                    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default();
                let path = link.as_os_str().as_bytes();
                let harmless = id.owner.0 == 0
                    && id.mode & 0o6022 == 0
                    && !base_name(path).is_empty()
                    && !(self.watched.named)(path)
                    && !may_be_shell(file, id.size);
                if self.judged.len() >= JUDGED_MAX {
                    self.judged.clear();
                }
                self.judged.insert(id, harmless);
                harmless
            }
        };
        // Kernels before 5.19 know no marks that can be evicted, and would keep the inodes of deleted files: there the
        // program is seen each time.
        if harmless && self.group.ignore(file.as_fd(), false).is_ok() {
            self.stats.count(Count::ProgramsIgnored);
        }
    }
}

/// The path by which our own descriptor is found.
fn own_path(fd: &OwnedFd) -> std::io::Result<CString> {
    Ok(CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd()))?)
}
