//! One search over channels, from process to process.
//!
//! Owns: going breadth first from a command's channel to whoever holds a network socket, and the bounds on that. Must not
//! own: who is near the command and what was noted of it (`resolve`), what the ends are (`ends`).

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::engine::ends::{backing, is_far, onward};
use crate::host::Host;
use crate::model::ids::{Inode, Pid, ProcessKey};
use crate::model::relay::{Channel, End, FileKind, Files, Flow, Relay};
use crate::model::socket::Socket;
use crate::model::stdio::{Backing, Hop};

/// The most channels between a command and the socket.
pub const HOPS_MAX: usize = 6;
/// The most UNIX sockets of one process that are followed on: services have hundreds, each to another service.
const SOCKETS_MAX: usize = 16;
/// The most pipes and pseudo-terminals of one process that are.
const PIPES_MAX: usize = 128;
/// The most processes asked in one search, near the command and among everybody each.
pub(super) const PROCESSES_MAX: usize = 1024;
/// The most channels whose far ends are looked for in one search, the same way.
const CHANNELS_MAX: usize = 512;

/// What is searched for.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The command.
    pub command: Pid,
    /// Which way bytes go.
    pub flow: Flow,
    /// Also count a socket whose holder was started by the command, or by a process in between. A program that starts ssh
    /// for its own connection is no relay of its other children, and ssh none of the program's; but a shell that waits
    /// for commands at its far end hangs on it, whoever started it (`nc <a >b & exec sh <b >a`).
    pub through_starters: bool,
    /// Among whom.
    pub reach: Reach,
}

/// Who may hold the socket. A program that runs one command after another and reads what they print is their parent or
/// further up, and there are many more such commands than shells that wait: they are not looked for everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The command's ancestors.
    Above,
    /// The nearest of their other children, or who is reached through one of the ancestors.
    Beside,
    /// Everybody.
    Everybody,
}

/// What a program that others reach over UNIX sockets is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trade {
    /// An installed service with several clients (an X server, a bus, a name service): what one of them says is not what
    /// another one hears.
    Hub,
    /// It carries bytes between the network and others, whoever they are.
    NetworkTool,
    /// A shell or awk: a client that it has started serves whatever it was told to do. Programs have ssh and the like for
    /// themselves (git, rsync, ansible).
    Runner,
    /// Anything else.
    Other,
}

/// Tells what a program is.
pub type Trades<'a> = &'a dyn Fn(&Relay) -> Trade;

/// Of several sockets the likeliest is the one that bytes came in on last, and then the newest: cookies count up. Of one
/// on several descriptors the lowest says most: what somebody put on 0-2 is there for a purpose.
pub(super) fn likeliest(holder: &Files) -> Option<(u32, Arc<Socket>, Option<u32>)> {
    let found = holder.networks().min_by_key(|(fd, socket, heard)| {
        let order = if socket.cookie.is_some() { *fd } else { u32::MAX - *fd };
        (heard.unwrap_or(0), std::cmp::Reverse(socket.cookie), order)
    });
    found.map(|(fd, socket, heard)| (fd, socket.clone(), heard))
}

/// One end that has been reached; the far end comes next.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) holder: Pid,
    pub(super) channel: Channel,
    pub(super) end: End,
    pub(super) hops: Vec<Hop>,
    /// Its far end is another client of a service that the way leads through.
    pub(super) through_hub: bool,
}

/// The end of a search.
pub(super) struct Reached {
    pub(super) hops: Vec<Hop>,
    pub(super) holder: Arc<Files>,
    pub(super) socket: Arc<Socket>,
    pub(super) heard_ms: Option<u32>,
    pub(super) session: Option<ProcessKey>,
}

pub(super) struct Search<'a, H> {
    pub(super) question: Question,
    pub(super) host: &'a H,
    pub(super) near: &'a [Pid],
    pub(super) above: &'a [Arc<Files>],
    pub(super) peers: &'a [(Inode, Inode)],
    pub(super) trades: Trades<'a>,
    /// Whether it goes beyond those near the command.
    pub(super) everybody: bool,
    pub(super) left: usize,
    /// The open files of who was asked: in one search nobody is asked twice.
    pub(super) asked: &'a mut HashMap<Pid, Option<Arc<Files>>>,
    pub(super) seen: HashSet<Channel>,
    /// Something was left out.
    pub(super) cut: bool,
}

impl<H: Host> Search<'_, H> {
    pub(super) fn run(&mut self, start: Step) -> Option<Reached> {
        self.seen.insert(start.channel.anywhere());
        let mut queue = VecDeque::from([start]);
        for _ in 0..CHANNELS_MAX {
            let step = queue.pop_front()?;
            if let Some(reached) = self.across(&step, &mut queue) {
                return Some(reached);
            }
        }
        self.cut |= !queue.is_empty();
        None
    }

    /// Goes to the far end of one channel: either somebody there holds a network socket, or their other channels are
    /// put on the queue.
    fn across(&mut self, step: &Step, queue: &mut VecDeque<Step>) -> Option<Reached> {
        let far = self.far_end(step)?;
        let mut waiting: Vec<(Arc<Files>, Vec<Hop>)> = Vec::new();
        for (holder, fds, end) in self.holders(step, far) {
            let mut hops = step.hops.clone();
            hops.push(Hop {
                process: holder.key,
                comm: holder.comm.clone(),
                fds,
                backing: backing(far, end),
            });
            if step.through_hub && !self.carries(&holder) {
                continue;
            }
            if let Some((fd, socket, heard_ms)) = likeliest(&holder) {
                hops.push(Hop {
                    process: holder.key,
                    comm: holder.comm.clone(),
                    fds: vec![fd],
                    backing: Backing::Network(socket.clone()),
                });
                let session = waiting.iter().find(|(other, _)| other.comm == holder.comm);
                let session = session.map(|(other, _)| other.key);
                return Some(Reached { hops, holder, socket, heard_ms, session });
            }
            waiting.push((holder, hops));
        }
        for (holder, hops) in waiting {
            if hops.len() >= 2 * HOPS_MAX {
                continue;
            }
            let (mut sockets, mut pipes) = (0, 0);
            let mut hub = None;
            for (fd, channel, end) in onward(&holder, self.question.flow) {
                let socket = matches!(channel, Channel::Unix(_));
                let (count, most) =
                    if socket { (&mut sockets, SOCKETS_MAX) } else { (&mut pipes, PIPES_MAX) };
                *count += 1;
                if *count > most {
                    self.cut |= !socket;
                    continue;
                }
                if !self.seen.insert(channel.anywhere()) {
                    continue;
                }
                let by_unix = socket && matches!(far, Channel::Unix(_));
                let through_hub = by_unix && *hub.get_or_insert_with(|| self.trade(&holder) == Trade::Hub);
                let mut hops = hops.clone();
                hops.push(Hop {
                    process: holder.key,
                    comm: holder.comm.clone(),
                    fds: vec![fd],
                    backing: backing(channel, end),
                });
                queue.push_back(Step { holder: holder.key.pid, channel, end, hops, through_hub });
            }
        }
        None
    }

    fn trade(&self, holder: &Files) -> Trade {
        self.host.relay(holder).map_or(Trade::Other, |relay| (self.trades)(&relay))
    }

    /// Whether somebody's connection carries what its holder says on other channels: it has the socket on its own stdin,
    /// stdout or stderr (a client that was started in a reverse shell), or is a network tool.
    fn carries(&self, holder: &Files) -> bool {
        holder.networks().any(|(fd, ..)| fd <= 2) || self.trade(holder) == Trade::NetworkTool
    }

    /// The channel as the far side has it.
    fn far_end(&self, step: &Step) -> Option<Channel> {
        match step.channel {
            Channel::Unix(inode) => {
                let noted = self.peers.iter().find(|(own, _)| *own == inode).map(|(_, peer)| *peer);
                noted.or_else(|| self.host.unix_peer(step.holder, inode)).map(Channel::Unix)
            }
            channel => Some(channel),
        }
    }

    /// Who has the far end, with the descriptors: those near the command first.
    fn holders(&mut self, step: &Step, far: Channel) -> Vec<(Arc<Files>, Vec<u32>, End)> {
        let mut found = Vec::new();
        for pid in self.near {
            found.extend(self.holds(*pid, step, far));
        }
        // The number of a terminal is the same on every devpts instance, and a master may not show its own: where somebody
        // near has it, it is not looked for elsewhere.
        if self.everybody && (found.is_empty() || !matches!(far, Channel::Pty(..))) {
            for pid in self.host.holders(far) {
                if !self.near.contains(&pid) {
                    found.extend(self.holds(pid, step, far));
                }
            }
        }
        found
    }

    fn holds(&mut self, pid: Pid, step: &Step, far: Channel) -> Option<(Arc<Files>, Vec<u32>, End)> {
        // Who has both ends of a channel is not its far side.
        if pid == step.holder || pid == self.question.command {
            return None;
        }
        let files = self.files(pid)?;
        let mut fds = Vec::new();
        let mut end = None;
        for file in &files.list {
            if let FileKind::Channel(channel, its) = file.kind
                && is_far(channel, its, far, step.end, self.question.flow)
            {
                fds.push(file.fd);
                end = Some(its);
            }
        }
        let end = end?;
        // What a command started is its own doing, and so is what somebody in between started.
        let started = |by| self.host.descends(pid, by);
        let between = || {
            started(step.holder)
                && !(self.question.reach == Reach::Beside
                    && self.host.files(step.holder).is_some_and(|files| self.trade(&files) == Trade::Runner))
        };
        let own = !self.question.through_starters && (started(self.question.command) || between());
        (!own).then_some((files, fds, end))
    }

    /// As they were at the command's exec, where that was read while it waited.
    fn files(&mut self, pid: Pid) -> Option<Arc<Files>> {
        if let Some(noted) = self.above.iter().find(|files| files.key.pid == pid && !files.list.is_empty()) {
            return Some(noted.clone());
        }
        if let Some(known) = self.asked.get(&pid) {
            return known.clone();
        }
        if self.left == 0 {
            self.cut = true;
            return None;
        }
        self.left -= 1;
        let files = self.host.files(pid);
        self.asked.insert(pid, files.clone());
        files
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
