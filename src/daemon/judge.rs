//! Judging suspects: processes whose descriptors may lead to somebody else's network socket.
//!
//! Owns: the order of what is asked of one suspect (who runs, does it matter, where does it lead, is whoever holds the
//! socket excused), dearest last. Must not own: the search (`engine::resolve`), the verdict, any thread.

use std::sync::Arc;

use crate::config::Config;
use crate::daemon::lookout::host_mount_namespace;
use crate::engine::disguise::program_of;
use crate::engine::policy::RuleSet;
use crate::engine::program::{Catalog, Program};
use crate::engine::relayed::discovery;
use crate::engine::resolve::{Question, resolve};
use crate::host::glance::{Glance, Sight};
use crate::host::live::LiveHost;
use crate::host::proc_dir::ProcDir;
use crate::host::reader::Reader;
use crate::model::ids::Inode;
use crate::model::look::{Cause, Look, Observation};
use crate::model::loss::Loss;
use crate::model::relay::{Flow, Relayed, Way};
use crate::sensor::suspect::{Settled, Suspect};
use crate::stats::{Count, Stats};
use crate::sys::clock;

/// What became of a suspect.
#[derive(Debug)]
pub enum Judged {
    /// It does not matter.
    Harmless,
    /// A shell that leads nowhere yet: what it hangs on may connect later than it starts.
    LeadsNowhere(Suspect),
    /// It leads to a network.
    Tied(Box<Look>),
}

/// Judges suspects.
#[derive(Debug)]
pub struct Judge {
    /// Reads processes.
    pub reader: Reader,
    /// Answers the search.
    pub host: LiveHost,
    /// The names that are watched.
    pub catalog: Catalog,
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
            catalog: Catalog::new(&watch.commands, &watch.shells, &watch.ignore),
            mount_namespace: host_mount_namespace(),
            settled: Arc::default(),
            stats,
        }
    }

    /// Looks where a suspect leads.
    pub fn judge(&self, suspect: Suspect, rules: &RuleSet) -> Judged {
        let cause = if suspect.seen == Observation::Swept { Cause::Sweep } else { Cause::Exec };
        let Some(dir) = ProcDir::of(suspect.pid, &suspect.process) else { return self.vanished() };
        let [stdin, stdout, stderr] = &suspect.sights;
        let output = [(1, stdout), (2, stderr)].into_iter().find(|(_, sight)| sight.channel().is_some());
        let both = stdin.channel().is_some() && output.is_some();
        // Of an output alone only some commands matter, and the name tells enough at a tenth of the cost.
        if !both {
            let Ok((comm, _)) = dir.read(c"comm", 64) else { return self.vanished() };
            if !self.catalog.may_be_command(comm.trim_ascii_end()) {
                self.settle_if_busy(&suspect, output);
                return Judged::Harmless;
            }
        }
        let Some(brief) = self.reader.who(&dir, suspect.at, suspect.seen, cause) else {
            return self.vanished();
        };
        let program = if both {
            program_of(&self.catalog, &brief, &self.host)
        } else {
            self.catalog.identify(&brief.exe.path, &brief.comm, &brief.args.list)
        };
        let command = output.is_some() && discovery(&brief, &program).is_some();
        if !(command || both && program.is_watched()) {
            return Judged::Harmless;
        }
        let patient = both && program.reads_commands();
        let asked_ns = clock::now().mono_ns;
        let input = match stdin.channel() {
            Some(_) => self.way(&suspect, 0, stdin, Flow::In, &program, rules),
            None => None,
        };
        let outward = match output {
            // Without an input the output alone matters for a single command only.
            Some((fd, sight)) if input.is_some() || command => {
                self.way(&suspect, fd, sight, Flow::Out, &program, rules)
            }
            _ => None,
        };
        if outward.is_none() && (input.is_none() || !patient) {
            self.settled.settle(&suspect.sights, asked_ns);
            return if patient { Judged::LeadsNowhere(suspect) } else { Judged::Harmless };
        }
        self.tied(suspect, &dir, brief, input, outward)
    }

    fn vanished(&self) -> Judged {
        self.stats.lose(Loss::SuspectVanished, 1);
        Judged::Harmless
    }

    /// Where many harmless processes come on the same descriptors, finding out once that those lead nowhere spares the
    /// sensor handing on the next ones.
    fn settle_if_busy(&self, suspect: &Suspect, output: Option<(u32, &Sight)>) {
        let Some((fd, (channel, _))) = output.and_then(|(fd, sight)| Some((fd, sight.channel()?))) else {
            return;
        };
        if !self.settled.is_busy(&suspect.sights) {
            return;
        }
        let asked_ns = clock::now().mono_ns;
        let question = Question { command: suspect.pid, flow: Flow::Out, through_starters: true };
        self.stats.count(Count::Searches);
        if resolve(question, (fd, channel), &self.host).is_none() {
            self.settled.settle(&suspect.sights, asked_ns);
        }
    }

    /// Reads the rest of a process that leads to a network.
    fn tied(
        &self,
        suspect: Suspect,
        dir: &ProcDir,
        brief: Look,
        input: Option<Way>,
        output: Option<Way>,
    ) -> Judged {
        self.stats.count(Count::Ways);
        let leads = |fd: usize, way: &Option<Way>| {
            let channel = suspect.sights.get(fd).and_then(Sight::channel);
            way.as_ref().is_some_and(|way| channel.is_some_and(|(channel, _)| channel == way.first))
        };
        let fds = [leads(0, &input), leads(1, &output), leads(2, &output)];
        let glance = Glance { process: suspect.process, sights: suspect.sights };
        let stdio = self.reader.stdio_after(Some(dir), &glance);
        let mut look = self.reader.rest(dir, stdio.clone(), suspect.at, suspect.seen, brief.cause);
        if look.key.start != brief.key.start || look.exe.path.is_empty() {
            // It ended during the search; what it was had been read before.
            look = self.reader.rest_without_it(brief, stdio);
        }
        look.relayed = Some(Box::new(Relayed { input, output, fds }));
        Judged::Tied(Box::new(look))
    }

    /// Where one descriptor leads, unless whoever holds the socket is excused for all that it relays.
    fn way(
        &self,
        suspect: &Suspect,
        fd: u32,
        sight: &Sight,
        flow: Flow,
        program: &Program,
        rules: &RuleSet,
    ) -> Option<Way> {
        let (channel, _) = sight.channel()?;
        self.stats.count(Count::Searches);
        let question = Question { command: suspect.pid, flow, through_starters: program.reads_commands() };
        let way = resolve(question, (fd, channel), &self.host)?;
        let excused = rules.excuse_relay(&way.relay, self.mount_namespace, clock::now().wall_ns).is_some();
        (!excused).then_some(way)
    }
}
