//! A process that answers when the daemon itself is stopped.
//!
//! Owns: noticing that (SIGSTOP, a debugger), taking the marks away and letting everybody go. Must not own: anything
//! else; it has no configuration, opens nothing but `/proc`, and ends with the daemon. A thread of the daemon could not
//! do this: a stop signal stops all of them. It is in a session of its own, so that a terminal's stop key does not
//! reach it. It has the fanotify group as its standard input, which must not outlive the daemon: the kernel kills it
//! when the daemon's first thread ends, in whatever way.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::host::reader;
use crate::model::ids::Pid;
use crate::sys::child::keep_only_stdio;
use crate::sys::fanotify::{Class, Group, Taken, Token};
use crate::sys::sched::{Policy, set_policy};
use crate::sys::vm;

/// The argument that makes this program a guard; the daemon's process id follows.
pub const ARGUMENT: &str = "--guard";
/// How often it looks.
const TICK: Duration = Duration::from_millis(10);
/// Events that the daemon has taken and not answered are known by numbers below this.
const TOKENS: i32 = 4096;

/// Starts a guard for this process and its group.
pub fn spawn(group: &Group) -> io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("tetherd")
        .arg(ARGUMENT)
        .arg(std::process::id().to_string())
        .stdin(Stdio::from(group.as_fd().try_clone_to_owned()?))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    keep_only_stdio(&mut command).spawn()
}

/// The guard's whole life. Returns when the daemon has gone.
pub fn run(daemon: Option<Pid>) -> io::Result<()> {
    let Some(daemon) = daemon else { return Err(io::Error::from(io::ErrorKind::InvalidInput)) };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if !is_child_of(daemon) {
        return Ok(());
    }
    // It can only fail where this process leads a group already, and then no terminal's key reaches it either.
    let _ = rustix::process::setsid();
    let _ = set_policy(Policy::FifoAt(4));
    vm::forbid_core_dumps()?;
    let _ = vm::lock_memory();
    let group = Group::adopt(io::stdin().as_fd().try_clone_to_owned()?, Class::Held);
    let mut was_stopped = false;
    while is_child_of(daemon) {
        let stopped = reader::stat(daemon).is_some_and(|stat| matches!(stat.state, b'T' | b't'));
        if stopped {
            let _ = group.unmark_all();
            drain(&group);
            if !was_stopped {
                (0..TOKENS).for_each(|number| drop(group.allow(Token(number))));
            }
        }
        was_stopped = stopped;
        std::thread::sleep(TICK);
    }
    Ok(())
}

fn is_child_of(daemon: Pid) -> bool {
    rustix::process::getppid().is_some_and(|parent| u32::try_from(parent.as_raw_pid()) == Ok(daemon.0))
}

fn drain(group: &Group) {
    let mut queue = [PollFd::new(group, PollFlags::IN)];
    let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
    while poll(&mut queue, Some(&no_wait)).is_ok_and(|n| n > 0) {
        match group.take() {
            Ok(Some(Taken::Opened { token: Some(token), .. })) => {
                let _ = group.allow(token);
            }
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => return,
        }
    }
}
