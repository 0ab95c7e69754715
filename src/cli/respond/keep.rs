//! Commands that keep what is gone when the process ends.
//!
//! Owns: copies of the program, its descriptors, maps, environment and memory, and of the container's files. Must not
//! own: logs (`respond`), the runtime's commands (`runtime`).

use crate::cli::command::{Command, Word};
use crate::cli::facts::Facts;
use crate::cli::respond::{Step, runtime, tetherd};

/// The step.
pub fn step(facts: &Facts<'_>) -> Step {
    let directory = Word::Asked("EVIDENCE_DIRECTORY");
    let (pid, id) = (&facts.pid, &facts.id);
    let file = |name: &str| format!("/{}-{name}", id.known().unwrap_or("finding"));
    let of = |about, start: &str, what: &str| Command::node(about, start).within("/proc/", pid, what);
    let into = |command: Command, name: &str| command.then(">").within("", &directory, &file(name));
    let mut commands = vec![
        tetherd(
            "all of it at once: records, programs, what lives, a manifest with digests",
            "evidence",
            facts,
        )
        .word(id)
        .then("-o")
        .within("", &directory, &file("evidence")),
        of("the program that runs, also if its file is gone", "cp", "/exe").within(
            "",
            &directory,
            &file("exe"),
        ),
        Command::node("its digest, to compare", "sha256sum").within("", &directory, &file("exe")),
        into(of("what it has open", "ls -l --time-style=full-iso", "/fd"), "fd"),
        into(of("what is mapped", "cat", "/maps"), "maps"),
        into(of("its status", "cat", "/status"), "status"),
        into(of("its environment: may hold secrets", "cat", "/environ"), "environ"),
        into(of("its arguments", "cat", "/cmdline"), "cmdline"),
        Command::node("its memory, where gdb is installed, it stands still meanwhile", "gcore -o")
            .within("", &directory, &file("core"))
            .word(pid)
            .changing(),
    ];
    for (relay, _) in &facts.relays {
        commands.push(Command::node("the program that relays", "cp").within("/proc/", relay, "/exe").within(
            "",
            &directory,
            &file(&format!("relay-{}", relay.plain())),
        ));
    }
    commands.extend(runtime::keep(facts, &directory));
    let mut about = vec![
        "Before you stop anything: a program that was deleted or never had a file is there only while it runs.".to_owned(),
    ];
    match facts.sha256.known() {
        Some(sum) => about.push(format!("SHA-256 of the main program by the record: {sum}")),
        None => about.push("The record has no SHA-256 of the main program.".into()),
    }
    if !facts.active {
        about.push("The tether has ended. Most of these work only while the process lives.".into());
    }
    Step { title: "Keep the binary", about, commands }
}
