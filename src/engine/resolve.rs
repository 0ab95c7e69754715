//! From a command's pipe, FIFO, UNIX socket or pseudo-terminal to the process that holds a network socket.
//!
//! Owns: the search: breadth first, over at most [`HOPS_MAX`] channels, among those near the command and then among
//! everybody, with a bound on how many processes are asked.
//! Must not own: reading processes ([`Host`] does), verdicts. Pure: whole searches replay from scripts.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::host::Host;
use crate::model::ids::{Inode, Pid, ProcessKey};
use crate::model::lineage::Lineage;
use crate::model::relay::{Channel, End, FileKind, Files, Flow, OpenFile, Relay, Way};
use crate::model::socket::Socket;
use crate::model::stdio::{Backing, Hop};

/// The most channels between a command and the socket.
pub const HOPS_MAX: usize = 6;
/// The most UNIX sockets of one process that are followed on: services have hundreds, each to another service.
const SOCKETS_MAX: usize = 16;
/// The most pipes and pseudo-terminals of one process that are.
const PIPES_MAX: usize = 128;
/// How far up a command's ancestors are asked.
const LINE_MAX: usize = 8;
/// The most of their other children, where only those count.
const BESIDE_MAX: usize = 32;
/// The most processes asked in one search, near the command and among everybody each.
const PROCESSES_MAX: usize = 1024;
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

/// What was noted at the command's exec, for when it has gone by now.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The command, without its open files.
    pub command: &'a Arc<Files>,
    /// Those above it.
    pub lineage: &'a Lineage,
}

/// Finds the nearest way from the channel on a command's descriptor to a network socket.
pub fn resolve(
    question: Question,
    first: (u32, Channel),
    known: Option<Known<'_>>,
    trades: Trades<'_>,
    host: &impl Host,
) -> Option<Way> {
    let noted = known.map(|known| known.command);
    let above = known.map(|known| known.lineage.line.as_slice()).unwrap_or_default();
    let same = |files: &Arc<Files>| noted.is_none_or(|noted| noted.key == files.key);
    let lives = host.files(question.command).filter(same);
    let gone = lives.is_none();
    let command = lives.or_else(|| noted.cloned())?;
    let near = if question.reach == Reach::Above {
        line(command.parent, above, host)
    } else {
        let alive = |files: &&Arc<Files>| host.alive(files.key);
        let of = match above.iter().find(alive) {
            Some(nearest) if gone => nearest.key.pid,
            None if gone => command.parent,
            _ => question.command,
        };
        let mut near: Vec<Pid> = above.iter().map(|files| files.key.pid).collect();
        near.extend((gone && above.is_empty()).then_some(of));
        near.extend(
            host.relatives(of).into_iter().filter(|pid| above.iter().all(|files| files.key.pid != *pid)),
        );
        if question.reach == Reach::Beside {
            let line = line(command.parent, above, host);
            // Those above may pass on what they read, but whether they hold the socket was asked before.
            let passes = |pid| host.files(pid).is_some_and(|files| files.networks().next().is_none());
            near.retain(|pid| !line.contains(pid) || passes(*pid));
            near.truncate(BESIDE_MAX);
        }
        near
    };
    let peers = known.map(|known| known.lineage.peers.as_slice()).unwrap_or_default();
    let start = Hop {
        process: command.key,
        comm: noted.unwrap_or(&command).comm.clone(),
        fds: vec![first.0],
        backing: backing(first.1, End::Slave),
    };
    let end = command.list.iter().find_map(|file| match file.kind {
        FileKind::Channel(channel, end) if file.fd == first.0 && channel == first.1 => Some(end),
        _ => None,
    });
    let start = Step {
        holder: question.command,
        channel: first.1,
        end: end.unwrap_or(End::Slave),
        hops: vec![start],
        through_hub: false,
    };
    let mut asked = HashMap::new();
    let mut search = |everybody: bool, above| {
        let mut search = Search {
            question,
            host,
            near: &near,
            above,
            peers,
            trades,
            everybody,
            left: PROCESSES_MAX,
            asked: &mut asked,
            seen: HashSet::new(),
            cut: false,
        };
        let reached = search.run(start.clone());
        if reached.is_none() && search.cut {
            host.cut();
        }
        reached
    };
    let ended = || gone || noted.is_some_and(|noted| !host.alive(noted.key));
    // What was noted is older than what is there, and a shell that makes a pipeline has all of its pipes for a moment: it
    // counts once the command has gone, or, of one that is read by its parents, at once. Somebody near who has the far end
    // too, and nothing else, must not hide who has it for a purpose: everybody comes second.
    let reached = if question.reach != Reach::Everybody {
        search(false, above)
    } else if gone {
        search(false, above).or_else(|| search(true, above))
    } else {
        let now = search(false, &[]).or_else(|| search(true, &[]));
        now.or_else(|| (!above.is_empty() && ended()).then(|| search(false, above)).flatten())
    };
    if let Some(Reached { hops, holder, socket, heard_ms, session }) = reached {
        let relay = relay(&holder, known.map(|known| known.lineage), host)?;
        return Some(Way { hops, socket, heard_ms, relay, session, first: first.1, closed: false });
    }
    // It may have ended while it was asked for.
    let may_be_closed = question.flow == Flow::Out && question.reach != Reach::Beside;
    if may_be_closed && ended() { closed(&command, known?.lineage, first, host) } else { None }
}

/// A process and those above it, as far as they were noted, and then as they are.
pub fn line(from: Pid, above: &[Arc<Files>], host: &impl Host) -> Vec<Pid> {
    let mut line: Vec<Pid> = above.iter().map(|files| files.key.pid).collect();
    let mut pid = above.last().map_or(from, |files| files.parent);
    while pid.0 > 1 && line.len() < LINE_MAX {
        line.push(pid);
        let Some(files) = host.files(pid) else { break };
        pid = files.parent;
    }
    line
}

/// The way of a command that has gone, and the channel with it: nobody but the nearest of its parents that still lives,
/// and has not the channel as its own stdio, can have made that and closed it as soon as there was no more to read, as
/// popen does.
fn closed(command: &Files, lineage: &Lineage, first: (u32, Channel), host: &impl Host) -> Option<Way> {
    let has = |file: &OpenFile| matches!(file.kind, FileKind::Channel(channel, _) if channel == first.1);
    let maker = |key: ProcessKey| {
        let files = host.files(key.pid).filter(|files| files.key == key)?;
        (!files.list.iter().any(|file| file.fd < 3 && has(file))).then_some(files)
    };
    let nearest = match lineage.line.as_slice() {
        [] => maker(host.files(command.parent)?.key)?,
        line => line.iter().find_map(|noted| maker(noted.key))?,
    };
    if nearest.list.iter().any(has) {
        return None;
    }
    let (fd, socket, heard_ms) = likeliest(&nearest)?;
    let relay = relay(&nearest, Some(lineage), host)?;
    let hop =
        |of: &Files, fd, backing| Hop { process: of.key, comm: of.comm.clone(), fds: vec![fd], backing };
    let mut hops = vec![hop(command, first.0, backing(first.1, End::Slave))];
    // It was seen reading from the channel.
    let parent = lineage.line.first().is_some_and(|noted| noted.key == nearest.key);
    let read = lineage.reads.filter(|_| parent);
    hops.extend(read.map(|fd| hop(&nearest, fd, backing(first.1, End::Slave))));
    hops.push(hop(&nearest, fd, Backing::Network(socket.clone())));
    Some(Way { hops, socket, heard_ms, relay, session: None, first: first.1, closed: read.is_none() })
}

/// Whether one process reads from a pipe or a UNIX socket whose other end is another's stdout, and none of these: what
/// others above a command write to as well is where they all print.
pub fn hears(listener: &Files, from: &Files, but: &[Channel], host: &impl Host) -> bool {
    let said = from.list.iter().find_map(|file| match file.kind {
        FileKind::Channel(channel, end) if file.fd == 1 => Some((channel, end)),
        _ => None,
    });
    let Some((channel, end)) = said.filter(|(channel, _)| !but.contains(channel)) else { return false };
    let far = match channel {
        Channel::Pty(..) => return false,
        Channel::Unix(inode) => match host.unix_peer(from.key.pid, inode) {
            Some(peer) => Channel::Unix(peer),
            None => return false,
        },
        Channel::Pipe(..) => channel,
    };
    listener.list.iter().any(|file| match file.kind {
        FileKind::Channel(channel, its) => is_far(channel, its, far, end, Flow::Out),
        _ => false,
    })
}

/// Who holds the socket: as it is, or, where it has gone, as it was.
fn relay(holder: &Files, lineage: Option<&Lineage>, host: &impl Host) -> Option<Arc<Relay>> {
    let noted = || lineage?.relay.clone().filter(|relay| relay.process.key == holder.key);
    host.relay(holder).map(Arc::new).or_else(noted)
}

/// Of several sockets the likeliest is the one that bytes came in on last, and then the newest: cookies count up. Of one
/// on several descriptors the lowest says most: what somebody put on 0-2 is there for a purpose.
fn likeliest(holder: &Files) -> Option<(u32, Arc<Socket>, Option<u32>)> {
    let found = holder.networks().min_by_key(|(fd, socket, heard)| {
        let order = if socket.cookie.is_some() { *fd } else { u32::MAX - *fd };
        (heard.unwrap_or(0), std::cmp::Reverse(socket.cookie), order)
    });
    found.map(|(fd, socket, heard)| (fd, socket.clone(), heard))
}

/// One end that has been reached; the far end comes next.
#[derive(Clone)]
struct Step {
    holder: Pid,
    channel: Channel,
    end: End,
    hops: Vec<Hop>,
    /// Its far end is another client of a service that the way leads through.
    through_hub: bool,
}

/// The end of a search.
struct Reached {
    hops: Vec<Hop>,
    holder: Arc<Files>,
    socket: Arc<Socket>,
    heard_ms: Option<u32>,
    session: Option<ProcessKey>,
}

struct Search<'a, H> {
    question: Question,
    host: &'a H,
    near: &'a [Pid],
    above: &'a [Arc<Files>],
    peers: &'a [(Inode, Inode)],
    trades: Trades<'a>,
    /// Whether it goes beyond those near the command.
    everybody: bool,
    left: usize,
    /// The open files of who was asked: in one search nobody is asked twice.
    asked: &'a mut HashMap<Pid, Option<Arc<Files>>>,
    seen: HashSet<Channel>,
    /// Something was left out.
    cut: bool,
}

impl<H: Host> Search<'_, H> {
    fn run(&mut self, start: Step) -> Option<Reached> {
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

/// Whether an open file is the far side of the channel for bytes that go this way.
fn is_far(channel: Channel, end: End, far: Channel, near: End, flow: Flow) -> bool {
    let same = match (channel, far) {
        // Through /dev/ptmx a master does not show its devpts instance: then the number has to do.
        (Channel::Pty(a, m), Channel::Pty(b, n)) => {
            m == n && (a == b || end == End::Master || near == End::Master)
        }
        (a, b) => a == b,
    };
    same && match (near, end) {
        (End::Slave, End::Master) | (End::Master, End::Slave) | (End::Unix, End::Unix) => true,
        (_, End::Pipe { reads, writes }) => match flow {
            Flow::In => writes,
            Flow::Out => reads,
        },
        // The command's own end is not always known any more.
        (End::Slave, End::Unix) => true,
        _ => false,
    }
}

/// The channels of a process that bytes can come from, or go on to, once they are with it.
fn onward(files: &Files, flow: Flow) -> impl Iterator<Item = (u32, Channel, End)> {
    files.list.iter().filter_map(move |file| match file.kind {
        FileKind::Channel(channel, end) => {
            let goes_on = match (end, flow) {
                (End::Pipe { reads, .. }, Flow::In) => reads,
                (End::Pipe { writes, .. }, Flow::Out) => writes,
                _ => true,
            };
            goes_on.then_some((file.fd, channel, end))
        }
        _ => None,
    })
}

fn backing(channel: Channel, end: End) -> Backing {
    match (channel, end) {
        (Channel::Pipe(_, inode), _) => Backing::Pipe(inode),
        (Channel::Unix(inode), _) => Backing::Unix(inode),
        (Channel::Pty(_, number), End::Master) => {
            Backing::Other(format!("/dev/ptmx of /dev/pts/{number}").into())
        }
        (Channel::Pty(_, number), _) => Backing::PtySlave(number),
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
