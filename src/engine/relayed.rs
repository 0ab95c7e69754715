//! Rows 4, 5 and 6: commands whose network socket another process holds.
//!
//! Owns: which of the three a command meets, the memory of one relay's commands, and the sentences about relays. Must
//! not own: finding the way (`resolve`), incidents.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::anchor::Anchor;
use crate::engine::excuse::Excused;
use crate::engine::incident::Judgement;
use crate::engine::program::catalog::Group;
use crate::engine::program::{Catalog, Program};
use crate::host::Host;
use crate::model::clock::{Moment, SECOND};
use crate::model::detection::{Detection, Row};
use crate::model::ids::{FindingId, Inode, ProcessKey};
use crate::model::look::{Args, Look};
use crate::model::loss::Loss;
use crate::model::relay::{Relayed, Way};
use crate::model::stdio::{Backing, Tether, TetherKind};
use crate::model::text;

/// How close together two different commands of one relay have to be.
const TOGETHER_NS: u64 = 60 * SECOND;
/// How long before a command its relay must have heard from the network, in milliseconds.
const TOLD_MS: u32 = 3_000;
/// And where it is a shell, which serves nobody else: it may sleep before it does what it is told.
const SHELL_TOLD_MS: u32 = 60_000;
/// How many different commands of one relay are remembered.
const COMMANDS_MAX: usize = 8;

/// Whose commands are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Master {
    /// Those of one relay.
    Relay(ProcessKey),
    /// Those of all relays that were given one socket as their stdin or stdout: `bash -c 'echo $(...)' >&5`, `| cat >&5`.
    Socket(Inode),
}

impl Master {
    fn of(way: &Way) -> Self {
        match way.hops.last() {
            Some(hop) if hop.fds.iter().any(|fd| *fd < 3) => Self::Socket(way.socket.inode),
            _ => Self::Relay(way.relay.process.key),
        }
    }
}

/// A command that a relay had started.
#[derive(Clone, Debug)]
pub struct Command {
    name: String,
    look: Arc<Look>,
}

/// What the relayed descriptors of a command amount to.
enum Met<'a> {
    /// A row, and the way that shows it.
    Row(Row, &'a Way),
    /// One command of a relay: another, different one makes row 6.
    Command(String, &'a Way),
    Nothing,
}

impl Engine {
    /// Judges what a command's descriptors lead to through others; what it joins for that is pushed on `joins`.
    pub(super) fn on_relayed(
        &mut self,
        look: &Arc<Look>,
        program: &Program,
        host: &impl Host,
        joins: &mut Vec<FindingId>,
        out: &mut Vec<Detection>,
    ) {
        let Some(relayed) = look.relayed.as_deref() else { return };
        let (row, way, anchor, earlier) = match met(look, program, relayed, &self.catalog) {
            Met::Nothing => return,
            Met::Row(row, way) => (row, way, Anchor::of_channel(way), Vec::new()),
            Met::Command(name, way) => {
                let anchor = Anchor::of_relay(way);
                match self.incident_at(anchor, &way.socket) {
                    Some(id) => {
                        let met = (Row::RelayedCommands, &way.socket);
                        self.doubt(id, look, met, Some(&way.relay), host);
                        return super::push_new(joins, id);
                    }
                    None => match self.another_command(name, look, way) {
                        Some(earlier) => (Row::RelayedCommands, way, anchor, earlier),
                        None => return,
                    },
                }
            }
        };
        let open = self.incident_at(anchor, &way.socket);
        let excused = if self.is_firm(joins.iter().copied().chain(open)) {
            Excused::No
        } else {
            match self.excused(look, row, &way.socket, Some(&way.relay), host) {
                Excused::Yes => Excused::Yes,
                _ if self.ends_at_another_client(look, way, host) => Excused::Yes,
                no => no,
            }
        };
        if open.is_none() && matches!(excused, Excused::Yes) {
            self.tally.allowed += 1;
            return;
        }
        let judgement = self.relayed_judgement(look, program, row, way, relayed);
        let id = self.open_or_raise(open, judgement, anchor, (program, look), host, out);
        self.note_excuse(id, excused, open.is_none(), look.at);
        super::push_new(joins, id);
        for command in earlier {
            if let Some(incident) = self.incidents.get_mut(&id) {
                incident.join(&command.look);
            }
        }
    }

    /// Remembers a command of a relay. If a different one ran shortly before: all that were remembered.
    fn another_command(&mut self, name: String, look: &Arc<Look>, way: &Way) -> Option<Vec<Command>> {
        let master = Master::of(way);
        let recent = |command: &Command, now: Moment| now.since(command.look.at) <= TOGETHER_NS;
        // Whoever ran its last command longest ago comes first.
        let over = |commands: &Vec<Command>| !commands.iter().any(|command| recent(command, look.at));
        while self.commands.take_first_if(over).is_some() {}
        let mut commands = self.commands.remove(&master).unwrap_or_default();
        commands.retain(|command| recent(command, look.at));
        if commands.iter().any(|command| command.name != name) {
            return Some(commands);
        }
        let mut kept = Look::clone(look);
        kept.exe.handle = None;
        if commands.len() < COMMANDS_MAX {
            commands.push(Command { name, look: Arc::new(kept) });
        }
        if self.commands.insert(master, commands).is_some() {
            self.losses.push((Loss::MemoryEvicted, 1));
        }
        None
    }

    fn relayed_judgement(
        &self,
        look: &Look,
        program: &Program,
        row: Row,
        way: &Way,
        relayed: &Relayed,
    ) -> Judgement {
        let tether = Tether {
            kind: TetherKind::Relayed,
            hops: way.hops.clone(),
            socket: way.socket.clone(),
            fds: relayed.fds,
        };
        let mut judgement = self.judgement(look, program, row, tether);
        let relay = &way.relay.process;
        let name = if relay.comm.is_empty() { &relay.exe } else { &relay.comm };
        judgement.evidence.push(format!("relayed by {} (pid {})", text::escape(name), relay.key.pid));
        if row == Row::RelayedCommands && relayed.input.is_some() {
            judgement.severity = judgement.severity.raised();
            judgement.evidence.push("their input comes from it too".into());
        }
        if way.closed {
            judgement.evidence.push(
                "the command and its channel had gone by then: the relay is its parent, which holds the socket".into(),
            );
        }
        if way.relay.sockets > 1 {
            judgement
                .evidence
                .push(format!("it holds {} network sockets; the newest is shown", way.relay.sockets));
            if row == Row::RelayedShell && !self.is_tool(way) {
                judgement.severity = judgement.severity.lowered();
                judgement.evidence.push(
                    "which of them carries this cannot be told, which lowers the severity by one step; an allow rule \
                     with `relay` can name the program"
                        .into(),
                );
            }
        }
        judgement
    }

    pub(super) fn is_tool(&self, way: &Way) -> bool {
        is_tool(way, &self.catalog)
    }
}

fn is_tool(way: &Way, catalog: &Catalog) -> bool {
    let relay = &way.relay.process;
    let program = catalog.identify(&relay.exe, &relay.comm, &relay.args.list);
    program.group == Some(Group::NetworkTool)
}

/// How long before a command this relay must have heard from the network, in milliseconds.
fn told_ms(way: &Way, catalog: &Catalog) -> u32 {
    let relay = &way.relay.process;
    if catalog.identify(&relay.exe, &relay.comm, &relay.args.list).shell.is_some() {
        SHELL_TOLD_MS
    } else {
        TOLD_MS
    }
}

fn met<'a>(look: &Look, program: &Program, relayed: &'a Relayed, catalog: &Catalog) -> Met<'a> {
    let [stdin, stdout, stderr] = look.stdio.each_ref().map(Backing::network);
    let (input, output) = (relayed.input.as_ref(), relayed.output.as_ref());
    let both = (input.is_some() || stdin.is_some()) && (output.is_some() || stdout.or(stderr).is_some());
    let Some(way) = input.or(output) else { return Met::Nothing };
    if both && program.reads_commands() {
        return Met::Row(Row::RelayedShell, way);
    }
    let tool = [input, output].into_iter().flatten().find(|way| is_tool(way, catalog));
    // A filter between two clients (`ssh a cat | sort | ssh b`) carries bytes from one to the other for whoever started
    // it; what executes commands answers where they came from.
    let one = input.zip(output).is_none_or(|(a, b)| {
        a.relay.process.key == b.relay.process.key && a.session.zip(b.session).is_none_or(|(a, b)| a == b)
    });
    if let Some(way) = tool.filter(|_| both && one && program.is_watched()) {
        return Met::Row(Row::RelayedByTool, way);
    }
    // The relay has to be further up: `id | nc` is a pipeline, and its user's own doing. But where somebody above hears
    // from the network as well (`nc | while read l; do $l; done | nc`, `coproc nc`), it is a conversation.
    let above = |way: &Way| look.ancestors.iter().any(|ancestor| ancestor.key == way.relay.process.key);
    let converses = |way: &&Way| input.is_some() || relayed.hears || above(way);
    // What is done because somebody told it to, was told a moment before. A connection that has been silent has nothing
    // to do with it.
    let told = |way: &Way| way.heard_ms.is_none_or(|ms| ms <= told_ms(way, catalog));
    let told = |way: &&Way| told(way) || input.is_some_and(told);
    match (output.filter(converses).filter(told).filter(|_| relayed.fds[1]), discovery(program, &look.args)) {
        (Some(way), Some(name)) => Met::Command(name, way),
        _ => Met::Nothing,
    }
}

/// The name of the command, if it is one of discovery or transfer: of a shell with `-c`, its first word.
pub fn discovery(program: &Program, args: &Args) -> Option<String> {
    let name = match &program.shell {
        None => program.name.clone(),
        Some(shell) if shell.reads_stdin => return None,
        Some(_) => {
            let mut args = args.list.iter().skip(1);
            args.find(|arg| arg.starts_with(b"-") && !arg.starts_with(b"--") && arg.contains(&b'c'))?;
            let word = args.next()?.split(|b| b.is_ascii_whitespace() || b";|&<>()".contains(b)).next()?;
            String::from_utf8_lossy(crate::model::look::base_name(word)).into_owned()
        }
    };
    Catalog::is_discovery(&name).then_some(name)
}
