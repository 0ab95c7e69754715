//! The command line.
//!
//! Owns: arguments, what each command prints, its exit code. Must not own: any work that the daemon does too. Talks to:
//! `daemon`, `spool` (reading), `config`.

pub mod account;
pub mod args;
pub mod chain;
pub mod columns;
pub mod command;
pub mod config;
pub mod doctor;
pub mod draw;
pub mod evidence;
pub mod explain;
pub mod explain_finding;
pub mod facts;
pub mod failure;
pub mod filter;
pub mod follow;
pub mod list;
pub mod out;
pub mod pick;
pub mod properties;
pub mod quote;
pub mod report;
pub mod respond;
pub mod scan;
pub mod self_test;
pub mod sheet;
pub mod show;
pub mod status;
pub mod timeline;
pub mod verify;

use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::args::{Command, Common, Tetherd};
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::daemon::{self, RunOptions};
use crate::model::exit::Exit;
use crate::sensor::{canary, guard};

/// Parses the arguments and does what they say.
pub fn main() -> Result<Exit, Failure> {
    let mut args = std::env::args_os().skip(1);
    let first = args.next();
    if first.as_ref().is_some_and(|first| first == guard::ARGUMENT) {
        let daemon = args.next().and_then(|pid| pid.to_str()?.parse().ok());
        let outcome = guard::run(daemon);
        return outcome
            .map(|()| Exit::Ok)
            .map_err(|error| Failure::Unavailable(format!("the guard: {error}")));
    }
    if first.is_some_and(|first| first == canary::ARGUMENT) {
        // A process of our own, started to be heard of; with another argument it lives long enough to be looked at.
        if args.next().is_some() {
            std::thread::sleep(std::time::Duration::from_secs(5));
        }
        return Ok(Exit::Ok);
    }
    let arguments = match Tetherd::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap has the sentences; only the exit code is ours.
            let _ = error.print();
            return Ok(match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok,
                _ => Exit::Usage,
            });
        }
    };
    match arguments.command {
        Command::Run(run) => {
            let options = RunOptions {
                config_file: run.common.config,
                spool_override: run.common.spool,
                fanotify_override: run.fanotify,
                quiet: run.quiet,
            };
            if !nix::unistd::geteuid().is_root() && !can_listen() {
                return Err(Failure::NotRoot);
            }
            daemon::run(daemon::load(&options)?, options)?;
            Ok(Exit::Ok)
        }
        Command::Scan(scan) => scan::scan(&scan),
        Command::List(list) => list::list(&list),
        Command::Show(show) => show::show(&show),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Report(report) => report::report(&report),
        Command::Evidence(arguments) => evidence::evidence(&arguments),
        Command::Follow(follow) => follow::follow(&follow),
        Command::Status(status) => status::status(&status),
        Command::Doctor(doctor) => doctor::doctor(&doctor),
        Command::SelfTest(test) => self_test::self_test(&test),
        Command::Verify(verify) => verify::verify(&verify),
        Command::CheckConfig(check) => config::check(&check),
        Command::PrintConfig(print) => config::print(&print),
    }
}

/// The configuration that the common options name.
fn config(common: &Common) -> Result<Config, Failure> {
    let options = RunOptions {
        config_file: common.config.clone(),
        spool_override: common.spool.clone(),
        fanotify_override: None,
        quiet: true,
    };
    Ok(daemon::load(&options)?)
}

/// The spool that the common options name.
fn spool(common: &Common) -> Result<PathBuf, Failure> {
    match &common.spool {
        Some(directory) => Ok(directory.clone()),
        None => Ok(config(common)?.spool.directory),
    }
}

/// Whether CAP_NET_ADMIN and CAP_SYS_PTRACE are effective.
fn can_listen() -> bool {
    const NEEDED: u64 = 1 << 12 | 1 << 19;
    doctor::capabilities().is_some_and(|effective| effective & NEEDED == NEEDED)
}

/// Whether text on this terminal may hold more than ASCII.
fn unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// A path for people.
fn shown(path: &Path) -> String {
    crate::model::text::escape(path.as_os_str().as_encoded_bytes())
}
