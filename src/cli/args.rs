//! The arguments.
//!
//! Owns: commands, options, help. Must not own: what they do.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::model::detection::Severity;
use crate::sensor::settings::FanotifyMode;

/// Finds commands whose input or output is tied to the network: reverse shells, bind shells, remote command execution.
#[derive(Debug, Parser)]
#[command(
    name = "tetherd",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "First steps:\n  tetherd doctor            does everything work here?\n  tetherd run               listen, until stopped\n  \
                  tetherd scan              what is tied to the network right now\n  tetherd list              what was found\n  \
                  tetherd show ID           one finding, drawn\n  tetherd explain ID        what happened, and what to do\n  tetherd evidence ID -o D  keep what there is of it\n\nExit codes are those of sysexits.h."
)]
pub struct Tetherd {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Listen for processes and record findings until stopped (root)
    ///
    /// Without a configuration file built-in defaults hold: spool in /var/lib/tetherd/spool, syslog through /dev/log
    /// if there is one. SIGHUP reads the configuration again, SIGUSR1 sweeps /proc, SIGTERM stops with nothing lost.
    ///
    /// Example: tetherd run --spool /srv/tetherd
    #[command(verbatim_doc_comment)]
    Run(Run),
    /// Show what is tied to the network right now; needs no daemon
    ///
    /// Example: tetherd scan --json | jq -r .finding.description
    #[command(verbatim_doc_comment)]
    Scan(Scan),
    /// List findings, newest last
    ///
    /// Example: tetherd list --since 24h --severity high
    #[command(verbatim_doc_comment)]
    List(List),
    /// Draw one finding: the tether, the connection, the commands in order
    ///
    /// Example: tetherd show 4f1c9d0e
    #[command(verbatim_doc_comment)]
    Show(Show),
    /// Explain a finding and what to do about it; or why a running process is, or is not, one
    ///
    /// ID: what happened, why it was judged so, how sure, what to check, and a response plan with its commands filled
    /// in. Nothing is run. PID: each descriptor, each hop, the row or the rule; needs no daemon.
    ///
    /// A number that can be a process id (up to 4194304, no zero in front) is one if such a process runs, else the
    /// beginning of a finding's id. --finding: it is an id in any case; so is a longer beginning.
    ///
    /// Exit codes: 0 explained, 64 several findings begin so, 66 there is no such finding or process.
    ///
    /// Example: tetherd explain 4f1c9d0e
    /// Example: tetherd explain 4242
    #[command(verbatim_doc_comment)]
    Explain(Explain),
    /// Write findings as one HTML page that needs nothing else: for a ticket, for printing
    ///
    /// Summary, drawings, timeline, process tree, evidence, response plan and raw records. No script, nothing loaded.
    /// The page holds what the commands' arguments held: it is written readable for its owner only.
    ///
    /// Example: tetherd report 4f1c9d0e -o ticket-17.html
    /// Example: tetherd report --since 24h --severity high -o today.html
    #[command(verbatim_doc_comment)]
    Report(Report),
    /// Collect what a responder keeps of a finding into one new directory or archive (root)
    ///
    /// Its records word for word with the hashes that chain them, related findings, copies of programs, what still
    /// lives of its processes (program, status, maps, descriptors, sockets, environment by the allow list), and a
    /// manifest with the SHA-256 of every file. Nothing is overwritten, nothing on the machine is changed, nothing is
    /// stopped. Memory is not taken.
    ///
    /// Exit codes: 0 collected, 64 several findings begin so, 66 there is none, 73 it cannot be written there.
    ///
    /// Example: tetherd evidence 4f1c9d0e -o /mnt/usb/4f1c9d0e
    /// Example: tetherd evidence 4f1c9d0e -o case-17.tar && sha256sum case-17.tar
    #[command(verbatim_doc_comment)]
    Evidence(Evidence),
    /// Print findings as they come
    ///
    /// Example: tetherd follow --severity high
    #[command(verbatim_doc_comment)]
    Follow(Follow),
    /// Ask the running daemon how it is
    ///
    /// Exit code 69 where no daemon answers.
    /// Example: tetherd status --json | jq .losses
    #[command(verbatim_doc_comment)]
    Status(Json),
    /// Check what this machine gives to tetherd, and say what to do about the rest
    ///
    /// Exit code 1 where a check fails. Example: sudo tetherd doctor
    #[command(verbatim_doc_comment)]
    Doctor(Json),
    /// Tie a harmless `id` to a loopback connection and see that the running daemon records it
    ///
    /// Exit code 1 where it is not recorded within 5 seconds, 69 where no daemon answers.
    #[command(verbatim_doc_comment)]
    SelfTest(Json),
    /// Check the spool's chain of hashes: was a record changed or removed?
    ///
    /// Names the first break and what lies around it, and counts the rest. With the public key of the node's checkpoints
    /// (`tetherd status`, on the node, beforehand) it also says up to which record the chain is vouched for.
    ///
    /// Exit code 1 where the chain is broken, or the key vouches for nothing.
    ///
    /// Example: tetherd verify /srv/copy-of-the-spool
    /// Example: tetherd verify --public-key node-7.pem /srv/node-7/spool
    #[command(verbatim_doc_comment)]
    Verify(Verify),
    /// Name every problem of the configuration and the allow rules
    ///
    /// Exit code 78 where there is one. Example: tetherd check-config ./tetherd.toml
    #[command(verbatim_doc_comment)]
    CheckConfig(CheckConfig),
    /// Print the configuration in force, with where each value comes from
    ///
    /// Example: tetherd print-config --defaults > tetherd.toml
    #[command(verbatim_doc_comment)]
    PrintConfig(PrintConfig),
}

/// Options of most commands.
#[derive(Args, Clone, Debug, Default)]
pub struct Common {
    /// Configuration file [default: /etc/tetherd/tetherd.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Spool directory, in place of the configured one
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,
}

/// `run`.
#[derive(Args, Debug)]
pub struct Run {
    /// Where things are.
    #[command(flatten)]
    pub common: Common,
    /// Watch programs opened for execution, in place of what is configured; hold: they wait in execve until looked at
    #[arg(long, value_name = "off|notify|hold")]
    pub fanotify: Option<FanotifyMode>,
    /// Do not show findings on the terminal
    #[arg(long)]
    pub quiet: bool,
}

/// `scan`.
#[derive(Args, Debug)]
pub struct Scan {
    /// Where things are.
    #[command(flatten)]
    pub common: Common,
    /// One JSON record a line
    #[arg(long)]
    pub json: bool,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub ascii: bool,
}

/// Which findings.
#[derive(Args, Clone, Debug, Default)]
pub struct Filters {
    /// Not before: 30m, 24h, 7d ago, or a time like 2026-11-24T03:50:17Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Not after
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// At least this severe: low, medium, high, critical
    #[arg(long, value_name = "SEVERITY")]
    pub severity: Option<Severity>,
    /// Only of containers whose id or name begins like this
    #[arg(long, value_name = "ID")]
    pub container: Option<String>,
    /// Only of this pod
    #[arg(long, value_name = "NAME")]
    pub pod: Option<String>,
    /// Only of this Kubernetes namespace
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Only active or inactive ones
    #[arg(long, value_name = "STATE", value_parser = ["active", "inactive"])]
    pub state: Option<String>,
}

/// `list`.
#[derive(Args, Debug)]
pub struct List {
    /// Where things are.
    #[command(flatten)]
    pub common: Common,
    /// Which findings.
    #[command(flatten)]
    pub filters: Filters,
    /// One JSON record a line
    #[arg(long)]
    pub json: bool,
    /// The newest N only
    #[arg(short, value_name = "N")]
    pub n: Option<usize>,
    /// What tetherd says of itself, in place of findings: starts, stops, reloads, heartbeats, checkpoints, losses, drops
    #[arg(long)]
    pub journal: bool,
}

/// `show`.
#[derive(Args, Debug)]
pub struct Show {
    /// The finding's id, or the first digits of it
    pub id: String,
    /// Where things are.
    #[command(flatten)]
    pub common: Common,
    /// The record as JSON
    #[arg(long)]
    pub json: bool,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub ascii: bool,
}

/// `explain`.
#[derive(Args, Debug)]
pub struct Explain {
    /// A finding's id, or the first digits of it; or a process id
    #[arg(value_name = "ID|PID")]
    pub what: String,
    /// Where things are.
    #[command(flatten)]
    pub common: Common,
    /// The number is a finding's, also where there is such a process
    #[arg(long)]
    pub finding: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `report`.
#[derive(Args, Debug)]
pub struct Report {
    /// The finding's id, or the first digits of it [default: all that the filters choose]
    pub id: Option<String>,
    /// Where things are.
    #[command(flatten)]
    pub common: Common,
    /// Which findings.
    #[command(flatten)]
    pub filters: Filters,
    /// The page to write; - for stdout
    #[arg(short, long, value_name = "FILE.html")]
    pub output: PathBuf,
    /// The newest N only
    #[arg(short, value_name = "N")]
    pub n: Option<usize>,
}

/// `evidence`.
#[derive(Args, Debug)]
pub struct Evidence {
    /// The finding's id, or the first digits of it
    pub id: String,
    /// Where things are.
    #[command(flatten)]
    pub common: Common,
    /// The directory to make, or the archive where it ends in .tar; not on a disk that the intruder can write to
    #[arg(short, long, value_name = "DIR|FILE.tar")]
    pub output: PathBuf,
    /// Keep the whole environment, also what the allow list leaves out: it may hold passwords
    #[arg(long)]
    pub full: bool,
    /// Say how the memory of what lives can be taken
    #[arg(long)]
    pub memory: bool,
}

/// `follow`.
#[derive(Args, Debug)]
pub struct Follow {
    /// Where things are.
    #[command(flatten)]
    pub common: Common,
    /// Which findings.
    #[command(flatten)]
    pub filters: Filters,
    /// One JSON record a line
    #[arg(long)]
    pub json: bool,
    /// Begin with the oldest record in place of the next one
    #[arg(long)]
    pub from_start: bool,
}

/// A command with common options and --json.
#[derive(Args, Debug)]
pub struct Json {
    /// Where things are.
    #[command(flatten)]
    pub common: Common,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// The spool directory [default: the configured one]
    pub directory: Option<PathBuf>,
    /// A key that signed checkpoints: a PEM file, or base64; may be given several times
    #[arg(long, value_name = "FILE|BASE64")]
    pub public_key: Vec<String>,
    /// Where things are.
    #[command(flatten)]
    pub common: Common,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `check-config`.
#[derive(Args, Debug)]
pub struct CheckConfig {
    /// The file [default: /etc/tetherd/tetherd.toml, if there is one]
    pub file: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `print-config`.
#[derive(Args, Debug)]
pub struct PrintConfig {
    /// Where things are.
    #[command(flatten)]
    pub common: Common,
    /// The defaults, whatever is configured
    #[arg(long)]
    pub defaults: bool,
}
