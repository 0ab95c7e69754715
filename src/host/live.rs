//! The live machine.
//!
//! Owns: answering [`Host`] from `/proc`, and remembering for a short while what is dear to ask. Must not own: reading
//! processes (`reader`), which the sensors do themselves.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::host::channels::{Channels, Made};
use crate::host::cmdline::Cmdlines;
use crate::host::lru::Lru;
use crate::host::patience::Patience;
use crate::host::shells::Shells;
use crate::host::undertaker::Undertaker;
use crate::host::{Containers, Host, ancestry, files, listener, reader, relatives, socket};
use crate::model::clock::SECOND;
use crate::model::contained::Contained;
use crate::model::ids::{Inode, Pid, ProcessKey};
use crate::model::look::Look;
use crate::model::recognised::Behind;
use crate::model::relay::{Channel, FileKind, Files, OpenFile, Relay};
use crate::model::socket::Socket;
use crate::sys::clock;

/// Linux's own default for `net.ipv4.ip_local_port_range`.
const EPHEMERAL_DEFAULT: (u16, u16) = (32_768, 60_999);
/// How long a process's open files are believed: one burst of commands asks for the same few again and again.
const FILES_NS: u64 = SECOND / 50;
/// How many processes' open files are remembered.
const FILES_MAX: usize = 256;
/// How many processes are remembered that have more open files than were asked.
const CUT_MAX: usize = 1024;

/// The machine that this process runs on.
#[derive(Debug)]
pub struct LiveHost {
    shells: RefCell<Shells>,
    containers: Option<Box<dyn Containers>>,
    own_net_ns: Option<Inode>,
    ephemeral: (u16, u16),
    undertaker: Option<Undertaker>,
    cmdlines: Cmdlines,
    files: RefCell<HashMap<Pid, (u64, Arc<Files>)>>,
    /// Open files that were read before this are not believed.
    not_before_ns: Cell<u64>,
    channels: RefCell<Channels>,
    /// The time that large tables of descriptors may take.
    account: RefCell<Patience>,
    /// Whose open files were not all asked.
    unasked: RefCell<Lru<ProcessKey, ()>>,
    /// What searches left out.
    cuts: Cell<u64>,
}

impl LiveHost {
    /// Reads what does not change.
    pub fn new() -> Self {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
        let ephemeral = range.and_then(|text| {
            let mut numbers = text.split_whitespace().map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        });
        Self {
            shells: RefCell::new(Shells::new()),
            containers: None,
            own_net_ns: socket::own_namespace(),
            ephemeral: ephemeral.unwrap_or(EPHEMERAL_DEFAULT),
            undertaker: Undertaker::start().ok(),
            cmdlines: Cmdlines::default(),
            files: RefCell::default(),
            not_before_ns: Cell::default(),
            channels: RefCell::default(),
            account: RefCell::new(Patience::new(Instant::now())),
            unasked: RefCell::new(Lru::new(CUT_MAX)),
            cuts: Cell::default(),
        }
    }

    /// The same, with somebody to ask about containers; without, nothing is known of any.
    pub fn with_containers(self, containers: impl Containers + 'static) -> Self {
        Self { containers: Some(Box::new(containers)), ..self }
    }

    /// From now on answers with open files as they are after this moment: a command's pipe is younger than what its parent
    /// had a millisecond earlier.
    pub fn not_before(&self, mono_ns: u64) {
        self.not_before_ns.set(mono_ns);
    }

    /// Where duplicates of other people's files are closed.
    pub fn undertaker(&self) -> Option<&Undertaker> {
        self.undertaker.as_ref()
    }

    /// How often something was left out since the last call.
    pub fn take_cuts(&self) -> u64 {
        self.cuts.take()
    }

    /// The lists of everybody's channels that were made so far.
    pub fn channel_lists(&self) -> Made {
        self.channels.borrow().made()
    }

    /// Asks a process anew.
    fn ask(&self, pid: Pid) -> Option<Files> {
        let files = files::files(pid, self.undertaker.as_ref()?, &mut self.account.borrow_mut())?;
        if !files.complete {
            self.cut_short(files.key);
        }
        Some(files)
    }

    /// One whose open files are too many is counted once.
    fn cut_short(&self, key: ProcessKey) {
        let mut unasked = self.unasked.borrow_mut();
        if !unasked.touch(&key) {
            unasked.put(key, ());
            self.cut();
        }
    }
}

impl Default for LiveHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for LiveHost {
    fn listened_on(&self, socket: &Socket, user: Pid) -> Option<bool> {
        listener::listened_on(socket, user, self.own_net_ns)
    }

    fn alive(&self, key: ProcessKey) -> bool {
        reader::stat(key.pid)
            .is_some_and(|stat| stat.lives() && (key.start.0 == 0 || stat.start == key.start))
    }

    fn ephemeral_ports(&self) -> (u16, u16) {
        self.ephemeral
    }

    fn files(&self, pid: Pid) -> Option<Arc<Files>> {
        let now = clock::now().mono_ns;
        let memory = self.files.borrow();
        if let Some((at, known)) = memory.get(&pid)
            && *at >= self.not_before_ns.get()
            && now.saturating_sub(*at) < FILES_NS
        {
            return Some(known.clone());
        }
        drop(memory);
        let found = Arc::new(self.ask(pid)?);
        let mut memory = self.files.borrow_mut();
        if memory.len() >= FILES_MAX {
            memory.clear();
        }
        memory.insert(pid, (now, found.clone()));
        Some(found)
    }

    fn relatives(&self, pid: Pid) -> Vec<Pid> {
        relatives::relatives(pid)
    }

    fn holders(&self, channel: Channel) -> Vec<Pid> {
        let mut channels = self.channels.borrow_mut();
        if let Some(undertaker) = &self.undertaker {
            channels.renew(undertaker, &mut self.account.borrow_mut(), |whose| match whose {
                Some(pid) => {
                    let start = reader::stat(pid).map(|stat| stat.start);
                    self.cut_short(ProcessKey { pid, start: start.unwrap_or_default() });
                }
                None => self.cut(),
            });
        }
        channels.holders(channel)
    }

    fn unix_peer(&self, owner: Pid, socket: Inode) -> Option<Inode> {
        let has = |file: &&OpenFile| matches!(file.kind, FileKind::Channel(Channel::Unix(inode), _) if inode == socket);
        // A socket belongs to the network namespace that it was made in, whoever has it now.
        socket::unix_peer(owner, socket).or_else(|| {
            let fd = self.files(owner)?.list.iter().find(has)?.fd;
            socket::unix_peer_of(owner, fd, socket)
        })
    }

    fn cut(&self) {
        self.cuts.set(self.cuts.get() + 1);
    }

    fn descends(&self, pid: Pid, from: Pid) -> bool {
        relatives::descends(pid, from)
    }

    fn relay(&self, holder: &Files) -> Option<Relay> {
        ancestry::relay(holder, &self.cmdlines)
    }

    fn shell_behind(&self, look: &Look, operand: Option<&[u8]>, wait: bool) -> Behind {
        let shells = self.shells.try_borrow_mut();
        shells.map_or(Behind::Late, |mut shells| shells.behind(look, operand, wait))
    }

    fn contained(&self, look: &Look, wait: bool) -> Contained {
        self.containers.as_ref().map_or(Contained::Untold, |containers| containers.contained(look, wait))
    }
}
