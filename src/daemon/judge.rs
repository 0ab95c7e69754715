//! Judging suspects: processes whose descriptors may lead to somebody else's network socket.
//!
//! Owns: the order of what is asked of one suspect (who runs, does it matter, where does it lead, is whoever holds the
//! socket excused), dearest last. Must not own: the search (`engine::resolve`), the verdict, any thread.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::daemon::lookout::host_mount_namespace;
use crate::engine::disguise::program_of;
use crate::engine::ends::hears;
use crate::engine::policy::{RuleSet, is_installed};
use crate::engine::program::catalog::Group;
use crate::engine::program::in_force::InForce;
use crate::engine::relayed::discovery;
use crate::engine::resolve::{self, Known, resolve};
use crate::engine::search::{Question, Reach, Trade};
use crate::host::Host;
use crate::host::glance::Sight;
use crate::host::lineage;
use crate::host::live::LiveHost;
use crate::host::proc_dir::ProcDir;
use crate::host::reader::Reader;
use crate::model::ids::{Inode, Pid};
use crate::model::lineage::Lineage;
use crate::model::look::{Cause, Look, Observation};
use crate::model::loss::Loss;
use crate::model::relay::{Channel, FileKind, Files, Flow, OpenFile, Relay, Relayed, Way};
use crate::model::socket::Socket;
use crate::sensor::suspect::{Settled, Suspect};
use crate::stats::{Count, Stats};
use crate::sys::{clock, pidfd};

/// How long a shell may take to start all commands of a pipeline, and how often it is looked at meanwhile.
const PIPELINE_STEP: Duration = Duration::from_micros(500);
const PIPELINE_STEPS: u32 = 10;

/// Interpreters that run commands and talk with clients line by line.
const AWKS: [&str; 5] = ["awk", "gawk", "mawk", "nawk", "original-awk"];

/// What became of a suspect.
#[derive(Debug)]
pub enum Judged {
    /// It does not matter.
    Harmless,
    /// A shell that leads nowhere yet: what it hangs on may connect later than it starts.
    LeadsNowhere(Suspect),
    /// It leads to a network; whether it has ended by now.
    Tied(Box<Look>, bool),
}

/// Judges suspects.
#[derive(Debug)]
pub struct Judge {
    /// Reads processes.
    pub reader: Reader,
    /// Answers the search.
    pub host: LiveHost,
    /// The names that are watched.
    pub catalog: Arc<InForce>,
    /// The host's mount namespace.
    pub mount_namespace: Option<Inode>,
    /// What leads nowhere.
    pub settled: Arc<Settled>,
    /// Counters.
    pub stats: Arc<Stats>,
}

impl Judge {
    /// A judge with these settings.
    pub fn new(config: &Config, stats: Arc<Stats>) -> Self {
        let watch = &config.engine;
        Self {
            reader: Reader::new(config.sensor.socket_lookup.clone()),
            host: LiveHost::new(),
            catalog: Arc::new(InForce::new(watch.catalog())),
            mount_namespace: host_mount_namespace(),
            settled: Arc::default(),
            stats,
        }
    }

    /// Counts what searches have left out, and the lists that they needed.
    pub fn count_searches(&self) {
        self.stats.lose(Loss::SearchCut, self.host.take_cuts());
        let made = self.host.channel_lists();
        self.stats.set(Count::ChannelLists, made.lists);
        self.stats.set(Count::ChannelListMicroseconds, made.cpu_ns / 1000);
    }

    /// Looks where a suspect leads.
    pub fn judge(&self, mut suspect: Suspect, rules: &RuleSet) -> Judged {
        if suspect.probe {
            self.settle(&suspect);
            return Judged::Harmless;
        }
        let dir = ProcDir::of(suspect.pid, &suspect.process);
        let cause = if suspect.seen == Observation::Swept { Cause::Sweep } else { Cause::Exec };
        let read = |dir: &ProcDir| self.reader.who(dir, suspect.at, suspect.seen, cause);
        let Some(brief) = suspect.who.take().map(|who| *who).or_else(|| read(dir.as_ref()?)) else {
            self.stats.lose(Loss::SuspectVanished, 1);
            return Judged::Harmless;
        };
        let [stdin, stdout, stderr] = &suspect.sights;
        let both = Suspect::both(&suspect.sights);
        let program = if both {
            program_of(&self.catalog.get(), &brief, &self.host)
        } else {
            self.catalog.get().identify(&brief.exe.path, &brief.comm, &brief.args.list)
        };
        // What executes commands may execute a shell in its own place, with no sign of it but another exec.
        let patient = both && (program.reads_commands() || program.may_become_a_shell());
        let asked_ns = clock::now().mono_ns;
        self.host.not_before(suspect.at.mono_ns);
        if !patient && self.settled.has(&suspect.sights, asked_ns) {
            return Judged::Harmless;
        }
        let output = [(1, stdout), (2, stderr)].into_iter().find(|(_, sight)| sight.channel().is_some());
        // A command's answer is what it prints: complaints alone are none.
        let command = stdout.channel().is_some() && discovery(&program, &brief.args).is_some();
        if !(command || both && program.is_watched()) {
            return Judged::Harmless;
        }
        let way = |fd, sight: &Sight, flow, reach| {
            let through_starters = program.reads_commands();
            let question = Question { command: suspect.pid, flow, through_starters, reach };
            self.way(&brief, &suspect.lineage, (fd, sight), question, rules)
        };
        let waits = both && program.is_watched();
        let input = if waits { way(0, stdin, Flow::In, Reach::Everybody) } else { None };
        let anybody = input.is_none() && both && program.reads_commands() && self.is_open_to_all(&suspect);
        let mut hears = false;
        let outward = match output {
            Some((fd, sight)) if input.is_some() || anybody => way(fd, sight, Flow::Out, Reach::Everybody),
            // Without an input the output alone matters for a single command only.
            Some((fd, sight)) if command => way(fd, sight, Flow::Out, Reach::Above).or_else(|| {
                let beside = way(fd, sight, Flow::Out, Reach::Beside)?;
                hears = self.converses(&suspect, brief.parent, &beside);
                hears.then_some(beside)
            }),
            _ => None,
        };
        // Whoever it answers is taken for who sends the commands.
        let input = input.or_else(|| outward.clone().filter(|_| anybody));
        if outward.is_none() {
            if command && pidfd::has_ended(&suspect.process) {
                // Whoever took its output may be found no more.
                self.stats.lose(Loss::SuspectVanished, 1);
            }
            self.found_nothing(&suspect, asked_ns);
            return if patient { Judged::LeadsNowhere(suspect) } else { Judged::Harmless };
        }
        let reach = if input.is_some() { Reach::Everybody } else { Reach::Above };
        let leads = |sight: &Sight| {
            let channel = sight.channel().map(|(channel, _)| channel);
            outward.as_ref().is_some_and(|way| channel == Some(way.first))
        };
        let errors =
            leads(stderr) || (stderr.channel().is_some() && way(2, stderr, Flow::Out, reach).is_some());
        let fds = [input.is_some(), leads(stdout), errors];
        self.tied(suspect, dir.as_ref(), brief, Relayed { input, output: outward, fds, hears })
    }

    /// Whether somebody above a command talks with the relay beside it: reads what that prints, or has the socket that the
    /// relay was given as its stdin or stdout. `coproc nc`, `cmd | cat >&5`.
    fn converses(&self, suspect: &Suspect, parent: Pid, way: &Way) -> bool {
        let Some(relay) = self.host.files(way.relay.process.key.pid) else { return false };
        let given = way.hops.last().is_some_and(|hop| hop.fds.iter().any(|fd| *fd < 3));
        let mut printed: Vec<Channel> =
            suspect.sights.iter().filter_map(|sight| Some(sight.channel()?.0)).collect();
        resolve::line(parent, &suspect.lineage.line, &self.host).into_iter().any(|pid| {
            let Some(files) = self.host.files(pid) else { return false };
            let has = |(_, socket, _): (u32, &Arc<Socket>, _)| socket.inode == way.socket.inode;
            let talks = (given && files.networks().any(has)) || hears(&files, &relay, &printed, &self.host);
            printed.extend(files.list.iter().filter_map(|file| match file.kind {
                FileKind::Channel(channel, _) if file.fd < 3 => Some(channel),
                _ => None,
            }));
            talks
        })
    }

    /// Whether its stdin is a UNIX socket without a peer: a datagram socket, to which everybody can send who knows its
    /// address. Who sends holds nothing of it.
    fn is_open_to_all(&self, suspect: &Suspect) -> bool {
        let [Sight::Unix(inode), ..] = &suspect.sights else { return false };
        self.host.unix_peer(suspect.pid, *inode).is_none() && !pidfd::has_ended(&suspect.process)
    }

    /// Where many harmless processes come on the same descriptors, finding out once that those lead nowhere spares the
    /// sensor handing on the next ones.
    fn settle(&self, suspect: &Suspect) {
        let [_, stdout, stderr] = &suspect.sights;
        let output =
            [(1, stdout), (2, stderr)].into_iter().find_map(|(fd, sight)| Some((fd, sight.channel()?.0)));
        let Some((fd, channel)) = output else { return };
        let asked_ns = clock::now().mono_ns;
        let question = Question {
            command: suspect.pid,
            flow: Flow::Out,
            through_starters: true,
            reach: Reach::Everybody,
        };
        self.stats.count(Count::Searches);
        if resolve(question, (fd, channel), None, &|relay| self.trade(relay), &self.host).is_none() {
            self.found_nothing(suspect, asked_ns);
        }
    }

    /// Remembers that these descriptors lead nowhere, unless whoever had them is gone: then nobody was asked.
    fn found_nothing(&self, suspect: &Suspect, asked_ns: u64) {
        if !pidfd::has_ended(&suspect.process) {
            self.settled.settle(&suspect.sights, asked_ns);
        }
    }

    /// Reads the rest of a process that leads to a network.
    fn tied(&self, suspect: Suspect, dir: Option<&ProcDir>, brief: Look, relayed: Relayed) -> Judged {
        self.stats.count(Count::Ways);
        let stdio = self.reader.stdio_after(dir, &suspect.sights);
        let read = |dir| self.reader.rest(dir, stdio.clone(), suspect.at, suspect.seen, brief.cause);
        let whole =
            dir.map(read).filter(|look| look.key.start == brief.key.start && !look.exe.path.is_empty());
        let mut look = match whole {
            Some(mut look) => {
                // It may have executed another program meanwhile: that has a look of its own.
                if look.exe.path != brief.exe.path || look.args != brief.args {
                    (look.exe, look.args, look.comm) = (brief.exe, brief.args, brief.comm);
                }
                look
            }
            // It ended during the search; what it was had been read before.
            None => self.reader.rest_without_it(brief, stdio.clone(), &suspect.lineage),
        };
        // The shell in between may have ended first.
        let first = suspect.lineage.line.first().map(|noted| noted.key);
        if first.is_some() && look.ancestors.first().map(|ancestor| ancestor.key) != first {
            look.ancestors = self.reader.ancestors_noted(look.parent, &suspect.lineage);
        }
        look.relayed = Some(Box::new(relayed));
        Judged::Tied(Box::new(look), pidfd::has_ended(&suspect.process))
    }

    /// Where one descriptor leads, unless whoever holds the socket is excused for all that it relays.
    fn way(
        &self,
        brief: &Look,
        lineage: &Lineage,
        (fd, sight): (u32, &Sight),
        question: Question,
        rules: &RuleSet,
    ) -> Option<Way> {
        let (channel, _) = sight.channel()?;
        self.stats.count(Count::Searches);
        let known = Arc::new(Files {
            key: brief.key,
            comm: brief.comm.clone(),
            parent: brief.parent,
            list: Vec::new(),
            complete: false,
        });
        let known = Known { command: &known, lineage };
        let way = resolve(question, (fd, channel), Some(known), &|relay| self.trade(relay), &self.host)?;
        if question.reach == Reach::Above && self.is_pipeline(&way, lineage) {
            return None;
        }
        let excused = rules.excuse_relay(&way.relay, self.mount_namespace, clock::now().wall_ns).is_some();
        (!excused).then_some(way)
    }

    /// What a program is that others reach over UNIX sockets.
    pub fn trade(&self, relay: &Relay) -> Trade {
        let process = &relay.process;
        let program = self.catalog.get().identify(&process.exe, &process.comm, &process.args.list);
        match program.group {
            Some(Group::NetworkTool) => Trade::NetworkTool,
            _ if program.shell.is_some() || AWKS.contains(&program.name.as_str()) => Trade::Runner,
            None if is_installed(relay, self.mount_namespace) => Trade::Hub,
            _ => Trade::Other,
        }
    }

    /// Whether the relay is a shell that only made the pipe of a pipeline: it has both ends until it has started the
    /// commands at them. To know what a command prints it reads from one, and keeps that.
    fn is_pipeline(&self, way: &Way, lineage: &Lineage) -> bool {
        let relay = &way.relay.process;
        if self.catalog.get().identify(&relay.exe, &relay.comm, &relay.args.list).shell.is_none() {
            return false;
        }
        let Some(undertaker) = self.host.undertaker() else { return true };
        let reads = || lineage::reads(relay.key.pid, Some(way.first), undertaker).is_some();
        let parent = lineage.line.first().is_some_and(|noted| noted.key == relay.key);
        if (parent && lineage.reads.is_some()) || reads() {
            return false;
        }
        let own =
            |file: &OpenFile| matches!(file.kind, FileKind::Channel(channel, _) if channel == way.first);
        let keeps = || self.host.files(relay.key.pid).is_some_and(|files| files.list.iter().any(own));
        let mut left = if way.closed { 0 } else { PIPELINE_STEPS };
        while left > 0 {
            std::thread::sleep(PIPELINE_STEP);
            if reads() {
                return false;
            }
            self.host.not_before(clock::now().mono_ns);
            if !keeps() {
                return true;
            }
            left -= 1;
        }
        way.closed
    }
}
