//! Writes the manual pages and the shells' completions, from the same source as `--help` and the table of keys.
//!
//! `cargo run --example pages -- DIR`: DIR/man/*.{1,5,8}, and DIR/completions/{tetherd.bash,_tetherd,tetherd.fish}. The date in
//! the pages is SOURCE_DATE_EPOCH's, or none.

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use tetherd::cli::args::Tetherd;
use tetherd::config::keys::KEYS;
use tetherd::config::{Config, DEFAULT_FILE};
use tetherd::model::clock::{SECOND, rfc3339};
use tetherd::model::exit::Exit;

const MANUAL: &str = "tetherd";
const RULES: &str = include_str!("../conf/rules.d/examples/50-example.toml");
/// Of the daemon, and so for administrators.
const IN_EIGHT: [&str; 1] = ["run"];

fn main() -> Result<(), Box<dyn Error>> {
    let Some(target) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err("name a directory: cargo run --example pages -- DIR".into());
    };
    let (man, completions) = (target.join("man"), target.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let date = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse::<u64>().ok());
    let date = date.map_or_else(String::new, |seconds| rfc3339(seconds * SECOND).chars().take(10).collect());

    commands(&man, &date)?;
    write(&man.join("tetherd.toml.5"), &keys(&date))?;
    write(&man.join("tetherd-rules.5"), &rules(&date))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Tetherd::command(), "tetherd", &completions)?;
    }
    Ok(())
}

fn write(path: &Path, page: &Roff) -> std::io::Result<()> {
    fs::File::create(path)?.write_all(page.render().as_bytes())
}

fn source() -> String {
    format!("tetherd {}", env!("CARGO_PKG_VERSION"))
}

fn section(command: &str) -> &'static str {
    if IN_EIGHT.contains(&command) { "8" } else { "1" }
}

/// One page for all, and one for each command.
fn commands(man: &Path, date: &str) -> Result<(), Box<dyn Error>> {
    let mut all = Tetherd::command().disable_help_subcommand(true);
    all.build();
    let names: Vec<String> = all.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for command in all.get_subcommands() {
        let name = command.get_name().to_owned();
        page(man, spaced(command.clone()), section(&name), date, &seen_from_a_command(&name))?;
    }
    let mut rest = Roff::new();
    exit_codes(&mut rest);
    rest.control("SH", ["FILES"]);
    for (path, what) in [
        (DEFAULT_FILE, "the configuration, tetherd.toml(5)"),
        ("/etc/tetherd/rules.d/*.toml", "allow rules, tetherd-rules(5)"),
        ("/var/lib/tetherd/spool", "findings, in segments of JSON lines"),
        ("/run/tetherd/control.sock", "where the daemon answers `tetherd status`"),
        ("/usr/share/doc/tetherd", "more about each of these, and the JSON Schema of a finding"),
    ] {
        rest.control("TP", []);
        rest.text([italic(path)]);
        rest.text([roman(what)]);
    }
    let mut others: Vec<String> =
        names.iter().map(|name| format!("tetherd-{name}({})", section(name))).collect();
    others.extend(["tetherd.toml(5)".to_owned(), "tetherd-rules(5)".to_owned()]);
    see_also(&mut rest, &others);
    page(man, all, "1", date, &rest)
}

fn seen_from_a_command(name: &str) -> Roff {
    let mut rest = Roff::new();
    if name == "run" {
        rest.control("SH", ["SIGNALS"]);
        for (signal, what) in [
            (
                "SIGHUP",
                "reads the configuration and the rules again; where they are wrong, everything stays as it was",
            ),
            ("SIGUSR1", "sweeps /proc now"),
            ("SIGTERM, SIGINT", "stores what is under way, and ends"),
        ] {
            rest.control("TP", []);
            rest.text([bold(signal)]);
            rest.text([roman(what)]);
        }
        exit_codes(&mut rest);
    }
    see_also(&mut rest, &["tetherd(1)", "tetherd.toml(5)", "tetherd-rules(5)"].map(str::to_owned));
    rest
}

/// Examples begin a paragraph of their own.
fn spaced(command: Command) -> Command {
    match command.get_long_about().map(|text| text.to_string().replace("\nExample:", "\n\nExample:")) {
        Some(text) => command.long_about(text),
        None => command,
    }
}

fn page(man: &Path, command: Command, section: &str, date: &str, rest: &Roff) -> Result<(), Box<dyn Error>> {
    let page = Man::new(command).section(section).date(date).source(source()).manual(MANUAL);
    let mut text = Vec::new();
    page.render(&mut text)?;
    let mut text = String::from_utf8(text)?;
    for name in IN_EIGHT {
        text = text.replace(&format!("tetherd\\-{name}(1)"), &format!("tetherd\\-{name}(8)"));
    }
    // Each page says its version at its foot.
    if let Some(at) = text.find(".SH VERSION") {
        text.truncate(at);
    }
    text.push_str(&rest.to_roff());
    fs::write(man.join(page.get_filename()), text)?;
    Ok(())
}

fn exit_codes(rest: &mut Roff) {
    rest.control("SH", ["EXIT STATUS"]);
    for (exit, what) in [
        (Exit::Ok, "done, and nothing is wrong"),
        (
            Exit::Findings,
            "done, and the answer is no: verify found a break, doctor a failure, self-test no record",
        ),
        (Exit::Usage, "the command line is wrong"),
        (Exit::Data, "what was read is damaged"),
        (Exit::NoInput, "what was asked for is not there, or cannot be read"),
        (Exit::Unavailable, "no daemon answers, or the kernel lacks what is needed"),
        (Exit::Os, "the system refused something that should work"),
        (Exit::CantCreate, "the spool, a socket or a file cannot be made"),
        (Exit::Io, "reading or writing failed"),
        (Exit::TempFail, "try again: another instance runs, or no event came from the kernel"),
        (Exit::NoPermission, "a capability or a permission is missing"),
        (Exit::Config, "the configuration or a rule is wrong"),
    ] {
        rest.control("TP", []);
        rest.text([bold(exit.code().to_string())]);
        rest.text([roman(what)]);
    }
}

fn see_also(rest: &mut Roff, pages: &[String]) {
    rest.control("SH", ["SEE ALSO"]);
    rest.text([roman(pages.join(", "))]);
}

fn titled(name: &str, section: &str, date: &str, what: &str) -> Roff {
    let mut page = Roff::new();
    page.control("TH", [name, section, date, source().as_str(), MANUAL]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{name} - {what}"))]);
    page
}

/// The page of the configuration file, of the table of keys.
fn keys(date: &str) -> Roff {
    let mut page = titled("tetherd.toml", "5", date, "configuration of tetherd");
    page.control("SH", ["SYNOPSIS"]);
    page.text([italic(DEFAULT_FILE)]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "A TOML file. Every key is optional, and a key that is not known is refused. Nobody but root may be able to write it. \
         `tetherd check-config` names every problem with its place and its remedy; `tetherd print-config` shows what is in force \
         and where each value comes from. SIGHUP (systemctl reload tetherd) has the file and the rules read again, all or nothing: \
         [watch], [incident] and the rules take effect, the other tables need a restart.",
    )]);
    page.control("PP", []);
    page.text([roman("Sizes are numbers of bytes, or texts like \"16MiB\".")]);
    let defaults = Config::defaults();
    let mut table = "";
    for key in KEYS {
        if key.table() != table {
            table = key.table();
            page.control("SH", [format!("[{table}]").to_uppercase().as_str()]);
        }
        page.control("TP", []);
        page.text([bold(key.name()), roman(format!(" ({})", key.wants))]);
        page.text([roman(format!("{}.", capitalised(key.doc)))]);
        page.control("br", []);
        page.text([roman(format!("Default: {}", (key.show)(&defaults)))]);
    }
    see_also(&mut page, &["tetherd(1)", "tetherd-run(8)", "tetherd-rules(5)"].map(str::to_owned));
    page
}

fn capitalised(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

/// The page of the rules: the shipped example, which explains itself.
fn rules(date: &str) -> Roff {
    let mut page = titled("tetherd-rules", "5", date, "what is no finding for tetherd");
    page.control("SH", ["SYNOPSIS"]);
    page.text([italic("/etc/tetherd/rules.d/*.toml")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "TOML files with [[allow]] tables, read in the order of their names. They are taken as a whole or not at all: while one of \
         them is wrong, the set of before stays in force. The shipped rules are built in.",
    )]);
    page.control("SH", ["EXAMPLE"]);
    page.control("EX", []);
    for line in RULES.lines() {
        page.text([roman(line)]);
    }
    page.control("EE", []);
    see_also(&mut page, &["tetherd(1)", "tetherd.toml(5)", "tetherd-check-config(1)"].map(str::to_owned));
    page
}
