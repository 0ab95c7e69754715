//! Shells under another name (row 9).
//!
//! Owns: when the machine is asked what a program's file is, what its answer makes of the program, an `argv[0]` that
//! lies, and answers that come late. Must not own: recognising files (`host`), rows.
//!
//! Names rank, they do not gate: a program that its name makes a shell is one, and is not asked about.

use std::sync::Arc;

use crate::engine::anchor::Anchor;
use crate::engine::classify::{Verdict, direct_tether, judge};
use crate::engine::excuse::Excused;
use crate::engine::incident::Incident;
use crate::engine::program::{self, Catalog, Program};
use crate::engine::{Engine, push_new};
use crate::host::Host;
use crate::model::clock::{Moment, SECOND};
use crate::model::detection::{Detection, Row};
use crate::model::look::{Look, base_name};
use crate::model::loss::Loss;
use crate::model::recognised::{Behind, How, Recognised};
use crate::model::text::escape;

/// How many late answers are waited for at one time.
const LATE_MAX: usize = 64;
/// How long one is waited for.
const LATE_NS: u64 = 30 * SECOND;

/// Whether it is known what the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Yes,
    Later,
    Never,
}

impl Engine {
    /// What a process runs, by its name and, where that is no shell's and it hangs on a network socket, by its file.
    pub(super) fn identify(&mut self, look: &Look, host: &impl Host) -> (Program, bool) {
        if !look.is_direct() && look.relayed.is_none() {
            return (self.catalog.identify(&look.exe.path, &look.comm, &look.args.list), false);
        }
        let (program, known) = identify(&self.catalog, look, host, !self.hurried);
        if known != Known::Yes {
            self.losses.push((Loss::ShellUnsettled, 1));
        }
        (program, known == Known::Later)
    }

    /// Remembers a process whose program is not known yet.
    pub(super) fn ask_again(&mut self, look: &Arc<Look>) {
        if self.late.len() >= LATE_MAX {
            self.late.pop_front();
        }
        self.late.push_back(look.clone());
    }

    /// Asks again. What turns out to be a shell is judged as one.
    pub(super) fn settle(&mut self, now: Moment, host: &impl Host, out: &mut Vec<Detection>) {
        for look in std::mem::take(&mut self.late) {
            let (program, known) = identify(&self.catalog, &look, host, false);
            if known == Known::Later && now.since(look.at) < LATE_NS {
                self.late.push_back(look);
            } else if program.recognised
                && let Verdict::Met(row, socket) = judge(&look, &program)
            {
                let judgement = self.judgement(&look, &program, row, direct_tether(&look, &socket));
                match self.incident_at(Anchor::of_socket(&socket), &socket) {
                    Some(id) => {
                        self.doubt(id, &look, (row, &socket), None, host);
                        self.raise(id, judgement, &program, &look);
                        self.touch(id, now);
                    }
                    None => self.open_late(&look, &program, row, host, out),
                }
            }
        }
    }

    /// One way only, it was remembered at most (row 8); as a shell it meets a row.
    fn open_late(
        &mut self,
        look: &Arc<Look>,
        program: &Program,
        row: Row,
        host: &impl Host,
        out: &mut Vec<Detection>,
    ) {
        let Some(mut own) = self.table.take_same(look.key) else {
            return self.on_look(Look::clone(look), host, out);
        };
        // It is on the timeline of another incident: it must not be counted there again.
        let excused = match judge(look, program) {
            Verdict::Met(_, socket) => Some((self.excused(look, row, &socket, None, host), socket)),
            _ => None,
        };
        if let Some((excused, socket)) = excused.filter(|(excused, _)| !matches!(excused, Excused::Yes)) {
            let judgement = self.judgement(look, program, row, direct_tether(look, &socket));
            let id = self.open(judgement, Anchor::of_socket(&socket), look, host, out);
            self.note_excuse(id, excused, true, look.at);
            if let Some(incident) = self.incidents.get_mut(&id) {
                incident.join(look);
            }
            self.left(&own, look.at);
            push_new(&mut own.incidents, id);
        } else {
            self.left(&own, look.at);
        }
        self.keep(own, look.at);
    }
}

/// Adds what there is to say of a program's name to its incident, whichever process gave the severity.
pub(super) fn explain(incident: &mut Incident, program: &Program, look: &Look) {
    for sentence in &program.evidence {
        let whose = if incident.is_about(look) { String::new() } else { format!("pid {}: ", look.key.pid) };
        incident.explain(format!("{whose}{sentence}"));
    }
}

/// The same for a look that has not come to the engine yet. An answer that is not there in time is none.
pub fn program_of(catalog: &Catalog, look: &Look, host: &impl Host) -> Program {
    identify(catalog, look, host, true).0
}

fn identify(catalog: &Catalog, look: &Look, host: &impl Host, wait: bool) -> (Program, Known) {
    let mut program = catalog.identify(&look.exe.path, &look.comm, &look.args.list);
    let mut known = Known::Yes;
    if look.exe.handle.is_some() && may_be_disguised(look, &program) {
        let operand = program::loader_operand(&look.exe.path, &look.args.list);
        let name = base_name(operand.unwrap_or(&look.exe.path));
        match host.shell_behind(look, operand, wait) {
            Behind::Shell(found) if found.name.as_bytes() != name => {
                program = catalog.identify_as(&found.name, &look.exe.path, &look.args.list);
                program.evidence.push(sentence(&found));
                program.recognised = true;
            }
            Behind::Shell(_) | Behind::NoShell => {}
            Behind::Late => {
                known = Known::Later;
                program
                    .evidence
                    .push("whether the program is a shell under another name was not known in time".into());
            }
            Behind::Unreadable(why) => {
                known = Known::Never;
                program
                    .evidence
                    .push(format!("whether the program is a shell under another name is not known: {why}"));
            }
        }
    }
    program.evidence.extend(false_name(catalog, look, &program));
    (program, known)
}

/// Whether its name could hide a shell. What calls itself many programs in one is taken at its word: its applets are
/// told apart already.
fn may_be_disguised(look: &Look, program: &Program) -> bool {
    program.shell.is_none() && !program::is_multicall(&String::from_utf8_lossy(look.exe.name()))
}

fn sentence(found: &Recognised) -> String {
    let name = escape(found.name.as_bytes());
    let how = match &found.how {
        How::SameFile(path) => format!("it is the same file as {}", escape(path)),
        How::SameContent(path) => format!("it has the same content as {}", escape(path)),
        How::Characteristic => format!("its file has in it what only {name} has"),
    };
    format!("the program is {name} under another name: {how}")
}

/// An `argv[0]` that is not what runs. Programs are called by many names, so it is said only where it matters: of a
/// shell that calls itself something that no shell is called, and of what dresses up as a thread of the kernel.
fn false_name(catalog: &Catalog, look: &Look, program: &Program) -> Option<String> {
    let arg0 = look.args.list.first()?;
    let kernel_thread = arg0.starts_with(b"[");
    let name = arg0.strip_prefix(b"-").unwrap_or(arg0);
    let name = if kernel_thread { name } else { base_name(name) };
    let own = look.exe.name();
    if program.multicall.is_some() || !program.launchers.is_empty() || own.is_empty() || name == own {
        return None;
    }
    let lies = program.shell.is_some() && !catalog.is_shell(&String::from_utf8_lossy(name));
    (lies || kernel_thread).then(|| {
        let (own, arg0) = (escape(own), escape(arg0.get(..128).unwrap_or(arg0)));
        format!("argv[0] says {arg0}, the program is {own}")
    })
}
