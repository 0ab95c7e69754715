//! The whole judgement of one process, for a person.
//!
//! Owns: asking the same questions as the daemon does of one process, and keeping every answer, also of what is excused.
//! Must not own: the questions (`judge`, `engine`), printing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::Config;
use crate::daemon::error::DaemonError;
use crate::daemon::judge::Judge;
use crate::daemon::lookout::host_mount_namespace;
use crate::daemon::{load_rules, oplog};
use crate::engine::disguise::program_of;
use crate::engine::policy::RuleSet;
use crate::engine::resolve::resolve;
use crate::engine::search::{Question, Reach};
use crate::engine::{Engine, Place};
use crate::enrich::Containers;
use crate::enrich::node::boot_id;
use crate::host::glance::{Sight, glance};
use crate::host::reader::Missed;
use crate::host::undertaker::Undertaker;
use crate::model::event::Event;
use crate::model::ids::Pid;
use crate::model::look::{Cause, Look, Observation};
use crate::model::relay::{Flow, Relayed, Way};
use crate::model::socket::Socket;
use crate::model::stdio::Backing;
use crate::model::text::{cut, escape};
use crate::stats::Stats;
use crate::sys::clock;

/// The longest line that quotes somebody.
const QUOTE_MAX: usize = 200;

/// How long a runtime may take to tell of a container.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is to be said: a heading and its lines, in order.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// Headings with their lines, all fit to show.
    pub parts: Vec<(String, Vec<String>)>,
    /// Whether it would be a finding.
    pub found: bool,
}

impl Explanation {
    fn say(&mut self, heading: &str, line: String) {
        match self.parts.last_mut() {
            Some((last, lines)) if last == heading => lines.push(line),
            _ => self.parts.push((heading.to_owned(), vec![line])),
        }
    }

    /// The same for a program.
    pub fn json(&self) -> Value {
        let parts: serde_json::Map<String, Value> =
            self.parts.iter().map(|(heading, lines)| (heading.clone(), json!(lines))).collect();
        json!({ "finding": self.found, "parts": parts })
    }
}

/// Explains a process; `Ok(Err(why))`: there is nothing to look at.
pub fn explain(config: &Config, pid: Pid) -> Result<Result<Explanation, Missed>, DaemonError> {
    oplog::init();
    let rules = Arc::new(load_rules(config)?);
    let mut judge = Judge::new(config, Arc::new(Stats::default()));
    judge.host = judge.host.with_containers(Containers::waiting(&config.enrich, PATIENCE));
    let looked = judge.reader.look(pid, clock::now(), Observation::Swept, Cause::Sweep);
    let Ok((mut look, _)) = looked else { return Ok(Err(looked.err().unwrap_or(Missed::Vanished))) };
    let mut told = Explanation::default();
    program(&mut told, &judge, &look);
    let relayed = descriptors(&mut told, &judge, &look, &rules);
    look.relayed = (!relayed.is_none()).then(|| Box::new(relayed));
    verdict(&mut told, config, &judge, look, rules);
    Ok(Ok(told))
}

fn program(told: &mut Explanation, judge: &Judge, look: &Look) {
    let args: Vec<String> = look.args.list.iter().map(|arg| escape(arg)).collect();
    let line = format!("{} (pid {}): {}", escape(&look.exe.path), look.key.pid, args.join(" "));
    told.say("Program", cut(&line, QUOTE_MAX).to_owned());
    let program = program_of(&judge.catalog.get(), look, &judge.host);
    let name = escape(program.name.as_bytes());
    told.say(
        "Program",
        match program.group {
            Some(group) => format!("{name} is watched: it {}", group.reason()),
            None => format!("{name} is not watched"),
        },
    );
    if program.shell.is_some() || program.interpreter_reads_stdin {
        let reads =
            if program.reads_commands() { "reads its commands from" } else { "does not read commands from" };
        told.say("Program", format!("with these arguments it {reads} stdin"));
    }
    for launcher in &program.launchers {
        told.say("Program", format!("started through {}", escape(launcher.as_bytes())));
    }
    for sentence in program.evidence {
        told.say("Program", sentence);
    }
}

/// Says what each descriptor is and where it leads; gives back the ways that are not excused.
fn descriptors(told: &mut Explanation, judge: &Judge, look: &Look, rules: &RuleSet) -> Relayed {
    let mut relayed = Relayed::default();
    let sights = Undertaker::start().ok().and_then(|undertaker| glance(look.key.pid, &undertaker).ok());
    let patient = program_of(&judge.catalog.get(), look, &judge.host).reads_commands();
    for (fd, backing) in (0u32..).zip(&look.stdio) {
        let heading = format!("fd {fd}");
        told.say(
            &heading,
            match backing {
                Backing::Network(socket) => format!("{} {}", backing.describe(), connection(socket)),
                Backing::Listener(_) => format!("{}, which only accepts connections", backing.describe()),
                other => other.describe(),
            },
        );
        let sight = sights.as_ref().and_then(|glance| glance.sights.get(fd as usize));
        let Some((channel, _)) = sight.and_then(Sight::channel) else { continue };
        let flow = if fd == 0 { Flow::In } else { Flow::Out };
        let question =
            Question { command: look.key.pid, flow, through_starters: patient, reach: Reach::Everybody };
        let Some(way) = resolve(question, (fd, channel), None, &|relay| judge.trade(relay), &judge.host)
        else {
            told.say(&heading, "leads to no network socket".into());
            continue;
        };
        hops(told, &heading, &way);
        if let Some(rule) = rules.excuse_relay(&way.relay, judge.mount_namespace, look.at.wall_ns) {
            told.say(&heading, format!("excused by the rule {}: {}", rule.name, rule.reason));
            continue;
        }
        if let Some(leads) = relayed.fds.get_mut(fd as usize) {
            *leads = true;
        }
        match fd {
            0 => relayed.input = Some(way),
            _ if relayed.output.is_none() => relayed.output = Some(way),
            _ => {}
        }
    }
    relayed
}

fn hops(told: &mut Explanation, heading: &str, way: &Way) {
    for hop in way.hops.iter().skip(1) {
        let fds: Vec<String> = hop.fds.iter().map(u32::to_string).collect();
        let what = match &hop.backing {
            Backing::Network(socket) => format!("{} {}", hop.backing.describe(), connection(socket)),
            other => other.describe(),
        };
        let line = format!("-> {} (pid {}) fd {}: {what}", escape(&hop.comm), hop.process.pid, fds.join(","));
        told.say(heading, line);
    }
    if way.relay.sockets > 1 {
        told.say(heading, format!("it holds {} network sockets", way.relay.sockets));
    }
}

fn connection(socket: &Socket) -> String {
    let local = socket.local.map_or_else(|| "?".into(), |local| local.to_string());
    let peer = socket.peer.address().map_or_else(|| socket.scope().name().into(), |peer| peer.to_string());
    format!("{} {local} -> {peer}", socket.protocol_name())
}

fn verdict(told: &mut Explanation, config: &Config, judge: &Judge, look: Look, rules: Arc<RuleSet>) {
    let place = Place { boot_id: boot_id(), mount_namespace: host_mount_namespace() };
    let before: Vec<u64> = rules.hits().map(|(_, hits)| hits).collect();
    let mut engine = Engine::new(config.engine.clone(), place, rules.clone(), Vec::new());
    let relays_one = look.relayed.as_ref().is_some_and(|relayed| relayed.output.is_some());
    let one_way = look.is_direct();
    let detections = engine.handle(Event::Look(Box::new(look)), &judge.host);
    if let Some(found) = detections.first() {
        told.found = true;
        told.say("Verdict", format!("a finding of severity {}", found.severity));
        for sentence in &found.evidence {
            told.say("Verdict", sentence.clone());
        }
        return;
    }
    let hit = rules.hits().zip(before).find(|((_, now), before)| now > before).map(|((name, _), _)| name);
    let sentence = match hit.and_then(|name| rules.named(name)) {
        Some(rule) => format!("excused by the rule {}: {}", rule.name, rule.reason),
        None if one_way => {
            "no finding: one descriptor alone is on the network; another command on the same socket would make row 8"
                .into()
        }
        None if relays_one => {
            "no finding: its output alone is relayed; another command of discovery or transfer within a minute would \
             make row 6"
                .into()
        }
        None => "no finding: fds 0-2 meet no row".into(),
    };
    told.say("Verdict", sentence);
}
