//! Reading a process while it waits in execve(2).
//!
//! Owns: the look at a process as it will be when the exec is done: descriptors without those that close on exec, the
//! new program's file and arguments, the rest as it stays. Must not own: letting it go late (the deadline does, while
//! this may hang). One execve opens several files: the program; where filesystems lie over others, the same file again
//! below; a script's interpreter; the loader. All have the same arguments of execve, and are one look.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use crate::host::exec_args::{self, ExecArgs};
use crate::host::glance::{Glance, Sight};
use crate::host::lineage;
use crate::host::proc_dir::{ProcDir, file_id};
use crate::host::reader::Reader;
use crate::host::undertaker::Undertaker;
use crate::model::clock::Moment;
use crate::model::ids::{Pid, StartTime};
use crate::model::look::{Args, Cause, Exe, Look, Observation, base_name, is_loader};
use crate::model::loss::Loss;
use crate::model::stdio::Backing;
use crate::sensor::exec_opens::Job;
use crate::sensor::held::{HeldChannel, HeldLook, HeldLooks, Kind};
use crate::sensor::hold_state::HoldState;
use crate::sensor::mailbox::Mailbox;
use crate::sensor::waiters::Ticket;
use crate::stats::Stats;

/// Enough of a file to see its first line, as the kernel does (BINPRM_BUF_SIZE).
const HEAD: usize = 256;
/// The longest name of a process.
const COMM_MAX: usize = 15;

/// One of several threads that read.
#[derive(Debug)]
pub struct Worker {
    /// How processes are read.
    pub reader: Reader,
    /// Where duplicates of descriptors are closed.
    pub undertaker: Option<Undertaker>,
    /// Where work comes from.
    pub jobs: Arc<Mailbox<Job>>,
    /// Where looks go.
    pub held: Arc<HeldLooks>,
    /// The mode, and the waits.
    pub state: Arc<HoldState>,
    /// What is lost.
    pub stats: Arc<Stats>,
    /// The thread is to end.
    pub stopped: Arc<std::sync::atomic::AtomicBool>,
}

/// What an event's descriptor tells of the program.
struct File {
    exe: Exe,
    head: Vec<u8>,
}

impl Worker {
    /// Until it is told to stop.
    pub fn run(self) {
        loop {
            self.jobs.wait();
            if self.stopped.load(std::sync::atomic::Ordering::Relaxed) {
                return;
            }
            if let Some(job) = self.jobs.take() {
                self.state.hang_if_asked("worker");
                self.work(job);
            }
        }
    }

    fn work(&self, job: Job) {
        let Job { ticket, file, thread, glance, at, followed } = job;
        if let Some(held) = self.look(thread, file, glance, at, followed, ticket.is_some())
            // Answered by the deadline: what was read since may be of the new program, or of nobody.
            && ticket.as_ref().is_none_or(Ticket::is_waiting)
            // First the look, then the answer: so it is there when the connector tells of the exec.
            && !self.held.put(held)
        {
            self.stats.lose(Loss::HoldFull, 1);
        }
        self.state.let_go(ticket.as_ref());
    }

    /// `None`: nothing that matters, or it belongs to a look that is there.
    fn look(
        &self,
        thread: Pid,
        file: OwnedFd,
        glance: Option<Glance>,
        at: Moment,
        followed: bool,
        waits: bool,
    ) -> Option<HeldLook> {
        let dir = ProcDir::open(thread).ok()?;
        let call = exec_args::read(&dir, waits);
        let file = open_file(file);
        if self.held.change(thread, |held| goes_on(held, &call, &file)) == Some(true) {
            return None;
        }
        let seen = if waits { Observation::Held } else { Observation::Live };
        let (stdio, channel) = match glance {
            Some(mut glance) => {
                for (fd, sight) in glance.sights.iter_mut().enumerate() {
                    if (sight.channel().is_some() || matches!(sight, Sight::Network(_)))
                        && dir.closes_on_exec(fd)
                    {
                        *sight = Sight::Closed;
                    }
                }
                (
                    self.reader.stdio_after(Some(&dir), &glance.sights),
                    Some(glance).filter(Glance::has_channel),
                )
            }
            None => (self.stdio_by_links(&dir), None),
        };
        let direct = stdio.iter().any(|backing| backing.network().is_some());
        // One that has a network socket itself needs no other's.
        let channel = channel.filter(|_| !direct);
        let mut look = if direct || followed {
            self.reader.rest(&dir, stdio, at, seen, Cause::Exec)
        } else {
            channel.as_ref()?;
            self.reader.who(&dir, at, seen, Cause::Exec)?
        };
        if look.key.start == StartTime(0) {
            return None;
        }
        let channel = channel.zip(self.undertaker.as_ref()).map(|(glance, undertaker)| {
            let mut lineage = lineage::with_files(look.parent, &glance.sights, undertaker);
            lineage.relay = self.reader.relay(&lineage);
            HeldChannel { process: glance.process, sights: glance.sights, lineage }
        });
        let kind = become_program(&mut look, &call, file);
        Some(HeldLook { look, whole: direct || followed, channel, thread, call, kind })
    }

    fn stdio_by_links(&self, dir: &ProcDir) -> [Backing; 3] {
        let (mut stdio, unresolved) = self.reader.stdio(dir);
        if unresolved {
            self.stats.lose(Loss::SocketUnresolved, 1);
        }
        for (fd, backing) in stdio.iter_mut().enumerate() {
            if backing.network().is_some() && dir.closes_on_exec(fd) {
                *backing = Backing::Closed;
            }
        }
        stdio
    }
}

/// Makes a look at the process before the exec one at the process after it.
fn become_program(look: &mut Look, call: &ExecArgs, file: File) -> Kind {
    look.unread.retain(|name| !matches!(*name, "exe" | "cmdline"));
    look.exe = if is_loader_of_another(&file.exe, call) {
        look.unread.push("exe");
        Exe { path: call.path.clone(), ..Exe::default() }
    } else {
        file.exe
    };
    look.args = call.args.clone().unwrap_or_default();
    if call.args.is_none() {
        look.unread.push("cmdline");
    }
    if !call.path.is_empty() {
        look.comm = base_name(&call.path).iter().copied().take(COMM_MAX).collect();
    }
    match exec_args::interpreted(&file.head, &call.path, &look.args) {
        Some(args) => {
            look.args = args;
            Kind::Script
        }
        None => Kind::Program,
    }
}

/// Whether this is the loader of a program that was not seen itself: one in memory, or on a filesystem without a mark. The
/// program is read after the exec.
fn is_loader_of_another(exe: &Exe, call: &ExecArgs) -> bool {
    call.args.is_some() && is_loader(exe.name()) && base_name(&call.path) != exe.name()
}

/// Whether this open belongs to the execve that the look was taken at; if it is of a script's interpreter, that is the
/// program.
fn goes_on(held: &mut HeldLook, call: &ExecArgs, file: &File) -> bool {
    if held.call != *call {
        return false;
    }
    if held.kind == Kind::Program || is_same(&held.look.exe, &file.exe) {
        return true;
    }
    let named = held.look.args.list.first().cloned().unwrap_or_default();
    held.look.exe = file.exe.clone();
    match exec_args::interpreted(&file.head, &named, &held.look.args) {
        Some(args) => held.look.args = Args { truncated: held.look.args.truncated, ..args },
        None => held.kind = Kind::Program,
    }
    true
}

/// The same file, or the one below it: a layer's file shows with the same inode, size and times, and another device.
fn is_same(a: &Exe, b: &Exe) -> bool {
    let content = |exe: &Exe| exe.file.map(|file| (file.inode, file.size, file.mtime_ns));
    content(a).is_some() && content(a) == content(b)
}

fn open_file(file: OwnedFd) -> File {
    let mut head = vec![0; HEAD];
    let length = rustix::io::pread(&file, &mut head[..], 0).unwrap_or(0);
    head.truncate(length);
    let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default();
    let mut path = link.into_os_string().into_encoded_bytes();
    let deleted = path.ends_with(b" (deleted)");
    if deleted {
        path.truncate(path.len() - b" (deleted)".len());
    }
    let found = file_id(&file).ok();
    File { exe: Exe { path, deleted, file: found, handle: Some(Arc::new(file)) }, head }
}
