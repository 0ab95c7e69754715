//! From a command's pipe, FIFO, UNIX socket or pseudo-terminal to the process that holds a network socket.
//!
//! Owns: in whose neighbourhood and with what knowledge a command's channel is searched ([`super::search`]), and what is left to say of
//! one that has gone.
//! Must not own: reading processes ([`Host`] does), verdicts. Pure: whole searches replay from scripts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::engine::ends::backing;
use crate::engine::search::{PROCESSES_MAX, Question, Reach, Reached, Search, Step, Trades, likeliest};
use crate::host::Host;
use crate::model::ids::{Pid, ProcessKey};
use crate::model::lineage::Lineage;
use crate::model::relay::{Channel, End, FileKind, Files, Flow, OpenFile, Relay, Way};
use crate::model::stdio::{Backing, Hop};

/// How far up a command's ancestors are asked.
const LINE_MAX: usize = 8;
/// The most of their other children, where only those count.
const BESIDE_MAX: usize = 32;

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
    let lives = |key: ProcessKey| host.files(key.pid).filter(|files| files.key == key);
    let heir = |files: &Arc<Files>| files.list.iter().any(|file| file.fd < 3 && has(file));
    let mut line = match lineage.line.as_slice() {
        [] => vec![host.files(command.parent)?],
        line => line.iter().filter_map(|noted| lives(noted.key)).collect(),
    }
    .into_iter();
    let nearest = line.find(|files| {
        // Who has it elsewhere too has not inherited it.
        !heir(files) || files.list.iter().any(|file| file.fd >= 3 && has(file))
    })?;
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

/// Who holds the socket: as it is, or, where it has gone, as it was.
fn relay(holder: &Files, lineage: Option<&Lineage>, host: &impl Host) -> Option<Arc<Relay>> {
    let noted = || lineage?.relay.clone().filter(|relay| relay.process.key == holder.key);
    host.relay(holder).map(Arc::new).or_else(noted)
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
