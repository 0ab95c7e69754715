//! The thread that sees programs opened for execution: one event at a time, three links, an answer.
//!
//! Owns: which opens are let go at once, and which are handed to be read while the process waits. Must not own: the
//! reading (`hold_worker`), the deadline. It must not wait for anybody: it reads procfs and nothing else, takes no
//! lock that it would have to wait for, and logs nothing. A program opened for execution by this process's own
//! children is seen like any other; this thread never waits for one.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::event::{PollFd, PollFlags, poll};

use crate::host::link::is_socket;
use crate::host::proc_dir::ProcDir;
use crate::model::clock::Moment;
use crate::model::ids::Pid;
use crate::model::loss::Loss;
use crate::sensor::held::HeldLooks;
use crate::sensor::hold_state::{Drop as Dropped, HoldState};
use crate::sensor::mailbox::Mailbox;
use crate::sensor::popular::Popular;
use crate::sensor::waiters::{Ticket, Waiters};
use crate::stats::{Count, Stats};
use crate::sys::clock;
use crate::sys::fanotify::{Taken, Token};

/// Enough of a link to tell sockets from the rest.
const LINK_START: usize = 64;

/// A process to be read while it waits.
#[derive(Debug)]
pub struct Job {
    /// It waits for this to be answered; `None`: it does not wait. Before `file`, so that it goes first.
    pub ticket: Option<Ticket>,
    /// The program's file.
    pub file: OwnedFd,
    /// The thread that executes.
    pub dir: ProcDir,
    /// When the event was taken.
    pub at: Moment,
    /// The process belongs to an incident.
    pub followed: bool,
}

/// The thread's state.
#[derive(Debug)]
pub struct Opens {
    waiters: Arc<Waiters>,
    state: Arc<HoldState>,
    held: Arc<HeldLooks>,
    stats: Arc<Stats>,
    jobs: Arc<Mailbox<Job>>,
    candidates: Arc<Mailbox<OwnedFd>>,
    popular: Popular,
}

impl Opens {
    /// Looks at what the waiters' group sees.
    pub fn new(
        waiters: Arc<Waiters>,
        state: Arc<HoldState>,
        held: Arc<HeldLooks>,
        stats: Arc<Stats>,
        jobs: Arc<Mailbox<Job>>,
        candidates: Arc<Mailbox<OwnedFd>>,
    ) -> Self {
        Self { waiters, state, held, stats, jobs, candidates, popular: Popular::default() }
    }

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
        let Ok(dir) = ProcDir::open(thread) else { return };
        let followed = self.held.is_followed(thread);
        if !followed && !on_socket(&dir) {
            if let Some(ticket) = ticket
                && ticket.allow()
            {
                self.state.waited(ticket.age_us(clock::now().mono_ns));
            }
            if self.popular.is_due(&file) {
                // A full mailbox: it will be due again.
                let _ = self.candidates.put(file);
            }
            return;
        }
        if ticket.is_some() && self.state.hurries(at.mono_ns) {
            self.stats.lose(Loss::DeadlineMissed, 1);
            return;
        }
        if self.jobs.put(Job { ticket, file, dir, at, followed }).is_err() {
            self.stats.lose(Loss::HoldFull, 1);
        }
    }
}

/// Whether any of fds 0-2 is a socket. Nothing but procfs is asked, and nothing is allocated.
fn on_socket(dir: &ProcDir) -> bool {
    let mut buffer = [MaybeUninit::uninit(); LINK_START];
    (0..3).any(|fd| dir.stdio_link(fd, &mut buffer).is_ok_and(is_socket))
}
