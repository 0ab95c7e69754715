//! The thread that sees programs opened for execution: one event at a time, a glance, an answer.
//!
//! Owns: which opens are let go at once, and which are handed to be read while the process waits. Must not own: the
//! reading (`hold_worker`), the deadline. It must not wait for anybody: it asks duplicates of three descriptors, reads
//! procfs and nothing else, takes no lock that it would have to wait for, and logs nothing. A program opened for execution by this process's own
//! children is seen like any other; this thread never waits for one.

use std::ffi::CStr;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::event::{PollFd, PollFlags, poll};

use crate::host::glance::{self, Duplicates, Glance};
use crate::host::link::is_socket;
use crate::host::proc_dir::ProcDir;
use crate::host::stat::Status;
use crate::host::undertaker::Undertaker;
use crate::model::clock::Moment;
use crate::model::ids::Pid;
use crate::model::look::{base_name, is_loader};
use crate::model::loss::Loss;
use crate::sensor::held::HeldLooks;
use crate::sensor::hold_state::{Drop as Dropped, HoldState};
use crate::sensor::mailbox::Mailbox;
use crate::sensor::popular::Popular;
use crate::sensor::suspect::{Interest, Named};
use crate::sensor::waiters::{Ticket, Waiters};
use crate::stats::{Count, Stats};
use crate::sys::fanotify::{Taken, Token};
use crate::sys::{clock, close};

/// Enough of a link to tell sockets from the rest.
const LINK_START: usize = 64;
/// The longest path (`linux/limits.h`).
const PATH_MAX: usize = 4096;

/// A process to be read while it waits.
#[derive(Debug)]
pub struct Job {
    /// It waits for this to be answered; `None`: it does not wait. Before `file`, so that it goes first.
    pub ticket: Option<Ticket>,
    /// The program's file.
    pub file: OwnedFd,
    /// The thread that executes.
    pub thread: Pid,
    /// Its process's fds 0-2; `None` where they have to be read by their links.
    pub glance: Option<Glance>,
    /// When the event was taken.
    pub at: Moment,
    /// The process belongs to an incident.
    pub followed: bool,
}

/// The thread's state.
#[derive(Debug)]
pub struct Opens {
    /// Who waits.
    pub waiters: Arc<Waiters>,
    /// The mode, and the waits.
    pub state: Arc<HoldState>,
    /// Who is followed.
    pub held: Arc<HeldLooks>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Where processes to be read go.
    pub jobs: Arc<Mailbox<Job>>,
    /// Where programs that may be ignored go.
    pub candidates: Arc<Mailbox<OwnedFd>>,
    /// What is executed often.
    pub popular: Popular,
    /// Which of those on channels are read.
    pub interest: Interest,
    /// Where duplicates of descriptors are closed; `None` where they are not to be taken.
    pub undertaker: Option<Undertaker>,
}

impl Opens {
    /// As long as the process lives: nobody may wait for want of a reader.
    pub fn run(mut self) {
        let waiters = self.waiters.clone();
        loop {
            let _ = poll(&mut [PollFd::new(waiters.group(), PollFlags::IN)], None);
            self.take_one();
        }
    }

    fn take_one(&mut self) {
        let taken = self.waiters.group().take();
        self.waiters.progress.fetch_add(1, Ordering::Relaxed);
        match taken {
            Ok(None) => {}
            Ok(Some(Taken::Opened { file, thread, token })) => self.on_open(file, thread, token),
            Ok(Some(Taken::Overflow)) => self.stats.lose(Loss::OpensOverflow, 1),
            Ok(Some(Taken::Unknown)) => {}
            Err(_) => {
                self.stats.lose(Loss::OpenRefused, 1);
                self.state.drop_hold(Dropped::OpenRefused);
            }
        }
    }

    fn on_open(&mut self, file: OwnedFd, thread: Pid, token: Option<Token>) {
        let at = clock::now();
        let ticket = token.and_then(|token| self.waiters.admit(token, at.mono_ns));
        self.stats.count(Count::Opens);
        if token.is_some() {
            // The kernel gives the lowest number that is free: this is how near we are to having none to give.
            if self.state.runs_short(file.as_raw_fd()) {
                self.state.drop_hold(Dropped::DescriptorsShort);
            }
            if ticket.is_none() {
                self.stats.lose(Loss::HoldFull, 1);
                return;
            }
            if !self.state.holds() {
                return;
            }
            self.state.hang_if_asked("opens");
        }
        let followed = self.held.is_followed(thread);
        let (glance, duplicates) = self.glance(thread).unzip();
        let duplicates = duplicates.unwrap_or_default();
        let read = followed
            || match &glance {
                Some(glance) if glance.is_direct() => true,
                // Of one that does not wait the connector tells soon enough, and then it is known what runs.
                Some(glance) if glance.has_channel() => {
                    ticket.is_some()
                        && self.interest.wants(&glance.sights, at.mono_ns, |named| is_named(&file, named))
                }
                Some(_) => false,
                None => ProcDir::open(thread).is_ok_and(|dir| on_socket(&dir)),
            };
        if !read {
            self.state.let_go(ticket.as_ref());
            close::all(duplicates);
            if self.popular.is_due(&file) {
                // A full mailbox: it will be due again.
                let _ = self.candidates.put(file);
            }
            return;
        }
        // Nobody's connection stays open for the sake of who reads.
        close::all(duplicates);
        if ticket.is_some() && self.state.hurries(at.mono_ns) {
            self.stats.lose(Loss::DeadlineMissed, 1);
            return;
        }
        if self.jobs.put(Job { ticket, file, thread, glance, at, followed }).is_err() {
            self.stats.lose(Loss::HoldFull, 1);
        }
    }

    /// The process's fds 0-2. A thread that is not its process's first has no pidfd of its own.
    fn glance(&self, thread: Pid) -> Option<(Glance, Duplicates)> {
        let undertaker = self.undertaker.as_ref().filter(|undertaker| !undertaker.is_full())?;
        glance::begin(thread, undertaker).ok().or_else(|| {
            let (text, _) = ProcDir::open(thread).ok()?.read(c"status", 8192).ok()?;
            let group = Status::parse(&text).group;
            (group.0 != 0 && group != thread).then(|| glance::begin(group, undertaker).ok()).flatten()
        })
    }
}

/// A question about the name of the program in this file; yes where the name cannot be told. Nothing is allocated.
fn is_named(file: &OwnedFd, named: &Named) -> bool {
    let mut path = [0u8; 32];
    let mut rest = path.as_mut_slice();
    // An array of bytes takes this; the last byte stays 0.
    let _ = write!(rest, "/proc/self/fd/{}", file.as_raw_fd());
    let mut buffer = [MaybeUninit::uninit(); PATH_MAX];
    let Some(link) = CStr::from_bytes_until_nul(&path).ok().and_then(|path| {
        let (text, _) = rustix::fs::readlinkat_raw(rustix::fs::CWD, path, &mut buffer).ok()?;
        Some(&*text)
    }) else {
        return true;
    };
    let name = base_name(link.strip_suffix(b" (deleted)").unwrap_or(link));
    // The program that is loaded had an event of its own.
    !is_loader(name) && named(name)
}

/// Whether any of fds 0-2 is a socket. Nothing but procfs is asked, and nothing is allocated.
fn on_socket(dir: &ProcDir) -> bool {
    let mut buffer = [MaybeUninit::uninit(); LINK_START];
    (0..3).any(|fd| dir.stdio_link(fd, &mut buffer).is_ok_and(is_socket))
}
