//! Reading those above a command while it lives.
//!
//! Owns: how far up, and what a parent is doing at this moment. Must not own: what follows from it. Talks to:
//! [`super::files`], `sys::pidfd`. It is asked by threads that are in a hurry: a few reads below `/proc` for each parent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::host::files;
use crate::host::glance::{Sight, lay_down, see};
use crate::host::patience::Patience;
use crate::host::proc_dir::ProcDir;
use crate::host::stat::Stat;
use crate::host::undertaker::Undertaker;
use crate::model::ids::{Inode, Pid, ProcessKey};
use crate::model::lineage::Lineage;
use crate::model::relay::{Channel, FileKind, Files, OpenFile};
use crate::sys::{self, pidfd};

/// How far up. Between a command and the program that reads its output there are one or two shells.
const LINE_MAX: usize = 4;
/// How long reading the open files of all of them may take: a command waits for that.
const FILES_MAX: Duration = Duration::from_millis(5);
/// How long a parent that has just forked the command is given to begin to read.
const PATIENCE_STEP: Duration = Duration::from_micros(100);
const PATIENCE_STEPS: u32 = 30;

/// Who is above, without their open files.
pub fn without_files(parent: Pid, sights: &[Sight; 3], undertaker: &Undertaker) -> Lineage {
    let reads = reads(parent, output(sights), undertaker);
    Lineage { line: line(parent, name), reads, peers: peers(sights), relay: None }
}

/// Who is above, with their open files, up to the first that has a network socket and is not in the same place as the
/// command: a shell in between inherits the socket, and the channel as its own output.
pub fn with_files(parent: Pid, sights: &[Sight; 3], undertaker: &Undertaker) -> Lineage {
    let output = output(sights);
    let mut found = false;
    let mut account = Patience::once(Instant::now(), FILES_MAX);
    let line = line(parent, |pid| {
        let files = (!found).then(|| files::files(pid, undertaker, &mut account)).flatten()?;
        let same = |file: &OpenFile| {
            file.fd < 3 && matches!(file.kind, FileKind::Channel(of, _) if Some(of) == output)
        };
        found = files.networks().next().is_some() && !files.list.iter().any(same);
        Some(files)
    });
    // Whoever has no socket is not asked what it does: its parent is.
    let relays = line.first().is_some_and(|files| files.networks().next().is_some());
    let reads = if relays { comes_to_read(parent, output, undertaker) } else { None };
    Lineage { line, reads, peers: peers(sights), relay: None }
}

/// The channel that the command's output goes to.
fn output(sights: &[Sight; 3]) -> Option<Channel> {
    let [_, stdout, stderr] = sights;
    stdout.channel().or_else(|| stderr.channel()).map(|(channel, _)| channel)
}

/// The peers of its UNIX sockets. They are found in this network namespace only: others take too long here.
fn peers(sights: &[Sight; 3]) -> Vec<(Inode, Inode)> {
    let mut peers: Vec<(Inode, Inode)> = Vec::new();
    for sight in sights {
        if let Sight::Unix(inode) = sight
            && peers.iter().all(|(known, _)| known != inode)
            && let Ok(Some(peer)) = sys::sock_diag::unix_peer(*inode)
        {
            peers.push((*inode, peer));
        }
    }
    peers
}

fn line(parent: Pid, mut read: impl FnMut(Pid) -> Option<Files>) -> Vec<Arc<Files>> {
    let mut line = Vec::with_capacity(LINE_MAX);
    let mut pid = parent;
    while pid.0 > 1 && line.len() < LINE_MAX {
        let Some(files) = read(pid) else { break };
        pid = files.parent;
        line.push(Arc::new(files));
    }
    line
}

fn name(pid: Pid) -> Option<Files> {
    let stat = ProcDir::open(pid).ok()?.stat().filter(Stat::lives)?;
    let key = ProcessKey { pid, start: stat.start };
    Some(Files { key, comm: stat.comm, parent: stat.parent, list: Vec::new(), complete: false })
}

/// What a process was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It was on a processor, or ready to be.
    Running,
    /// It waited in read(2) on this descriptor.
    Reading(u32),
    /// It waited for something else.
    Else,
}

/// The descriptor from which a process waits in read(2) for what comes out of this channel.
pub fn reads(pid: Pid, channel: Option<Channel>, undertaker: &Undertaker) -> Option<u32> {
    match doing(pid) {
        Doing::Reading(fd) => reads_from(pid, fd, channel?, undertaker),
        Doing::Running | Doing::Else => None,
    }
}

/// The same, for a process that may not have come to it yet: it has just forked the command.
fn comes_to_read(pid: Pid, channel: Option<Channel>, undertaker: &Undertaker) -> Option<u32> {
    for _ in 0..PATIENCE_STEPS {
        match doing(pid) {
            Doing::Reading(fd) => return reads_from(pid, fd, channel?, undertaker),
            Doing::Running => std::thread::sleep(PATIENCE_STEP),
            Doing::Else => return None,
        }
    }
    None
}

fn doing(pid: Pid) -> Doing {
    let text = ProcDir::open(pid).and_then(|dir| dir.read(c"syscall", 256));
    match text {
        Ok((text, _)) if text.starts_with(b"running") => Doing::Running,
        Ok((text, _)) => read_from(&text).map_or(Doing::Else, Doing::Reading),
        Err(_) => Doing::Else,
    }
}

fn reads_from(pid: Pid, fd: u32, wanted: Channel, undertaker: &Undertaker) -> Option<u32> {
    let duplicate = pidfd::getfd(&pidfd::open(pid).ok()?, fd).ok()?;
    let sight = see(&duplicate, &mut None);
    let same = sight.channel().is_some_and(|(channel, _)| channel == wanted);
    lay_down(duplicate, &sight, undertaker);
    same.then_some(fd)
}

/// The descriptor that a thread reads from, by the text of `syscall` (proc_pid_syscall(5)).
fn read_from(text: &[u8]) -> Option<u32> {
    // read(2) on x86-64; on the generic table, which 64-bit ARM has.
    const READ: &str = if cfg!(target_arch = "x86_64") { "0" } else { "63" };
    let mut fields = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    if fields.next()? != READ {
        return None;
    }
    u32::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_text_of_syscall() {
        assert_eq!(read_from(b"0 0x3 0x7f01 0x80 0x0 0x0 0x0 0x7ffe 0x7f0f\n"), Some(3));
        for other in
            [&b"running\n"[..], b"-1 0x0 0x0\n", b"61 0x3 0x0\n", b"0\n", b"0 0xfffffffff 0x0\n", b""]
        {
            assert_eq!(read_from(other), None, "{:?}", String::from_utf8_lossy(other));
        }
    }

    /// A shell that waits for what a command prints, as `$(...)` does, and those above.
    #[test]
    fn a_shell_that_reads() {
        let undertaker = Undertaker::start().unwrap();
        let text = "x=$(sleep 60; :)";
        let mut shell = Command::new("/bin/sh").args(["-c", text]).stdout(Stdio::null()).spawn().unwrap();
        let pid = Pid(shell.id());
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let inner = loop {
            let children = crate::host::relatives::children(pid);
            if let Some(child) = children.first() {
                let files = files::files(*child, &undertaker, &mut Patience::new(Instant::now()));
                let out = files.and_then(|f| f.list.iter().find(|file| file.fd == 1).cloned());
                if let Some(crate::model::relay::FileKind::Channel(channel, _)) = out.map(|file| file.kind)
                    && reads(pid, Some(channel), &undertaker).is_some()
                {
                    break (*child, channel);
                }
            }
            assert!(std::time::Instant::now() < end, "the shell never read");
            std::thread::yield_now();
        };
        let Channel::Pipe(device, inode) = inner.1 else { panic!("{:?}", inner.1) };
        let sights = [Sight::Device, Sight::Pipe(device, inode), Sight::Device];
        let (named, whole) =
            (without_files(pid, &sights, &undertaker), with_files(pid, &sights, &undertaker));
        let late = comes_to_read(pid, Some(inner.1), &undertaker);
        let other = reads(pid, Some(Channel::Pipe(0, Inode(1))), &undertaker);
        for child in crate::host::relatives::children(inner.0) {
            let _ = rustix::process::kill_process(
                rustix::process::Pid::from_raw(child.0.cast_signed()).unwrap(),
                rustix::process::Signal::KILL,
            );
        }
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert!(named.reads.is_some() && named.reads == late && other.is_none());
        // It has no socket, and is not asked.
        assert_eq!(whole.reads, None);
        let keys = |lineage: &Lineage| lineage.line.iter().map(|files| files.key).take(2).collect::<Vec<_>>();
        assert_eq!(keys(&named), keys(&whole));
        assert_eq!(named.line[0].parent, Pid(std::process::id()));
        assert!(named.line[0].list.is_empty() && !whole.line[0].list.is_empty());
    }
}
