//! The channels of all processes.
//!
//! Owns: the list of who has which channel, how often it is made, and asking everybody in as few calls as that takes. Must
//! not own: which end of a channel somebody has, and the search (`engine::resolve`): whoever is found here is asked in full
//! by [`super::files`].

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use crate::host::files::{ANONYMOUS_MAX, Asked, ask};
use crate::host::glance::Sight;
use crate::host::patience::Patience;
use crate::host::proc_dir::ProcDir;
use crate::host::processes::everybody;
use crate::host::undertaker::Undertaker;
use crate::host::{descriptors, glance, rings, tables};
use crate::model::clock::SECOND;
use crate::model::ids::Pid;
use crate::model::relay::{Channel, FileKind};
use crate::sys::{clock, pidfd};

/// How long the list is believed at least, and so how often it is made at most.
const REST_MIN_NS: u64 = SECOND / 2;
/// And at least this many times as long as it took to make: it costs a third of one per cent of a processor at the most.
const REST: u64 = 300;
/// But after this time it is made anew all the same: who takes care that it takes long must not make it rare. It is less
/// than the time until the last of the second looks at a shell.
const REST_MAX_NS: u64 = 20 * SECOND;
/// The longest that making it may take.
const TIME_MAX_NS: u64 = SECOND;
/// How many channels it has at most.
const MOST: usize = 262_144;

/// The list.
#[derive(Debug, Default)]
pub struct Channels {
    holders: HashMap<Channel, Vec<Pid>>,
    next_ns: u64,
    made: Made,
}

/// What making lists took so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Made {
    /// How many.
    pub lists: u64,
    /// Processor time, in nanoseconds.
    pub cpu_ns: u64,
}

/// What one process has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Held {
    channels: Vec<Channel>,
    /// A network socket that bytes can flow through.
    network: bool,
    /// Everything was asked.
    complete: bool,
}

impl Channels {
    /// Who has a channel: those with a network socket first.
    pub fn holders(&self, channel: Channel) -> Vec<Pid> {
        self.holders.get(&channel.anywhere()).cloned().unwrap_or_default()
    }

    /// The lists that were made so far.
    pub fn made(&self) -> Made {
        self.made
    }

    /// Makes the list anew, if that is due. `account`: the time that large tables of descriptors may take. `cut`: is told
    /// of a process whose open files are too many, or of `None` where processes or channels are.
    pub fn renew(
        &mut self,
        undertaker: &Undertaker,
        account: &mut Patience,
        mut cut: impl FnMut(Option<Pid>),
    ) {
        let began = clock::now().mono_ns;
        if began < self.next_ns {
            return;
        }
        let cpu_ns = clock::thread_cpu_ns();
        let mut channels: HashMap<Channel, (Vec<Pid>, Vec<Pid>)> = HashMap::new();
        for pid in everybody() {
            if clock::now().mono_ns.saturating_sub(began) > TIME_MAX_NS {
                cut(None);
                break;
            }
            let Some(held) = held(pid, undertaker, account) else { continue };
            if !held.complete {
                cut(Some(pid));
            }
            for channel in held.channels.into_iter().map(Channel::anywhere) {
                if channels.len() >= MOST && !channels.contains_key(&channel) {
                    cut(None);
                    break;
                }
                let (first, second) = channels.entry(channel).or_default();
                let holders = if held.network { first } else { second };
                if holders.last() != Some(&pid) {
                    holders.push(pid);
                }
            }
        }
        let done = clock::now().mono_ns;
        let took = done.saturating_sub(began);
        self.next_ns = done.saturating_add(took.saturating_mul(REST).clamp(REST_MIN_NS, REST_MAX_NS));
        let joined = channels.into_iter().map(|(channel, (mut first, second))| {
            first.extend(second);
            (channel, first)
        });
        self.holders = joined.collect();
        self.made.lists += 1;
        self.made.cpu_ns += clock::thread_cpu_ns().saturating_sub(cpu_ns);
    }
}

/// Asks one process; `None` if it has gone or may not be read.
fn held(pid: Pid, undertaker: &Undertaker, account: &mut Patience) -> Option<Held> {
    let dir = ProcDir::open(pid).ok()?;
    let (listings, mut complete) = tables::listings(pid, &dir, true, dir.threads().ok()?);
    let mut held = Held::default();
    for (thread, listing) in &listings {
        let owner = if *thread == pid { pidfd::open(pid) } else { pidfd::open_thread(*thread) };
        let Ok(owner) = owner else {
            // Before Linux 6.9 there is no handle on a thread.
            complete = false;
            continue;
        };
        let mut anonymous = Vec::new();
        let all = descriptors::each(listing, account, |fd| match see(&owner, fd, undertaker) {
            Some(Sight::File(device))
                if device == rings::anonymous_device() && anonymous.len() < ANONYMOUS_MAX =>
            {
                anonymous.push(fd);
            }
            // Its number has to be asked.
            Some(Sight::Master { .. }) => {
                if let Some(Asked::File(FileKind::Channel(channel, _))) = ask(&owner, fd, undertaker) {
                    held.channels.push(channel);
                }
            }
            Some(Sight::Network(socket)) => held.network |= socket.carries_bytes_off(),
            Some(other) => held.channels.extend(other.channel().map(|(channel, _)| channel)),
            None => {}
        });
        complete &= all?;
        for fd in anonymous {
            for kind in rings::registered(listing, fd, &dir) {
                match kind {
                    FileKind::Channel(channel, _) => held.channels.push(channel),
                    FileKind::Network { socket, .. } => held.network |= socket.carries_bytes_off(),
                    FileKind::Else => {}
                }
            }
        }
    }
    held.complete = complete;
    Some(held)
}

/// What one descriptor is; `None` if it cannot be told.
fn see(owner: &OwnedFd, fd: u32, undertaker: &Undertaker) -> Option<Sight> {
    let duplicate = pidfd::getfd(owner, fd).ok()?;
    let sight = glance::see(&duplicate, &mut None);
    glance::lay_down(duplicate, &sight, undertaker);
    Some(sight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::Instant;

    /// Of every process of this machine that stays as it is, what `files` tells.
    #[test]
    fn as_asking_each_in_full() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        let made = Command::new("/usr/bin/mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        let both = std::fs::File::options().read(true).write(true).open(&fifo).unwrap();
        let sleep = |stdin: Stdio, stdout: Stdio| {
            Command::new("/bin/sleep")
                .arg("60")
                .stdin(stdin)
                .stdout(stdout)
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let mut children = [
            sleep(Stdio::piped(), Stdio::null()),
            sleep(OwnedFd::from(client).into(), OwnedFd::from(near).into()),
            sleep(OwnedFd::from(both).into(), std::fs::File::open("/dev/ptmx").unwrap().into()),
            sleep(OwnedFd::from(listener).into(), std::fs::File::open("/etc/passwd").unwrap().into()),
        ];
        let undertaker = Undertaker::start().unwrap();
        let mut account = Patience::new(Instant::now());
        let mut both = |child: &std::process::Child| {
            let pid = Pid(child.id());
            let full = crate::host::files::files(pid, &undertaker, &mut account)?;
            let mut held = held(pid, &undertaker, &mut account)?;
            let mut channels: Vec<Channel> = full
                .list
                .iter()
                .filter_map(|file| match file.kind {
                    FileKind::Channel(channel, _) => Some(channel),
                    _ => None,
                })
                .collect();
            channels.sort_unstable();
            held.channels.sort_unstable();
            let full = Held { channels, network: full.networks().next().is_some(), complete: full.complete };
            Some((held, full))
        };
        let found: Vec<_> = children.iter().map(&mut both).collect();
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        drop(far);
        let counts: Vec<_> = found
            .into_iter()
            .map(|pair| {
                let (held, full) = pair.unwrap();
                assert_eq!(held, full);
                (held.channels.len(), held.network, held.complete)
            })
            .collect();
        // Everybody may have been given more by whoever started the tests.
        let given = counts[3].0;
        let counts: Vec<_> = counts.into_iter().map(|(count, on, all)| (count - given, on, all)).collect();
        assert_eq!(counts, [(1, false, true), (1, true, true), (2, false, true), (0, false, true)]);
        assert_eq!(both(&children[0]), None, "it has gone");
    }

    #[test]
    fn the_list_finds_this_process_and_rests() {
        let (reader, writer) = std::io::pipe().unwrap();
        let inode = crate::host::proc_dir::file_id(&OwnedFd::from(reader.try_clone().unwrap())).unwrap();
        let channel = Channel::Pipe(inode.device, inode.inode);
        let undertaker = Undertaker::start().unwrap();
        let mut account = Patience::new(Instant::now());
        let mut channels = Channels::default();
        channels.renew(&undertaker, &mut account, |_| {});
        assert_eq!(channels.holders(channel), [Pid(std::process::id())]);
        drop((reader, writer));
        channels.renew(&undertaker, &mut account, |_| {});
        assert_eq!(channels.holders(channel).len(), 1, "it is not made anew at once");
    }
}
