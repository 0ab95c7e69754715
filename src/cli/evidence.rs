//! `tetherd evidence`.
//!
//! Owns: the order of collecting, and the manifest. Must not own: the place that files are put into (`bundle`), what is
//! read where (`records`, `programs`, `alive`). Nothing on the machine is changed but the one directory or archive that
//! was asked for.

mod alive;
mod bundle;
mod process;
mod programs;
mod records;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::cli::args::Evidence;
use crate::cli::failure::Failure;
use crate::cli::pick::pick;
use crate::cli::quote::quote;
use crate::cli::{config, out, shown, spool};
use crate::enrich::EvidenceSettings;
use crate::model::clock::rfc3339;
use crate::model::exit::Exit;
use crate::model::finding::Record;
use crate::model::text::escape;

use bundle::Bundle;

/// The version of the manifest.
const FORMAT: &str = "1";
/// Reading one process takes no longer than this: its files can be somebody's who makes them hang.
const PATIENCE: Duration = Duration::from_secs(10);

/// What could not be kept, and why.
#[derive(Debug, Default)]
struct NotKept(Vec<(String, String)>);

impl NotKept {
    fn add(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.0.push((what.into(), why.into()));
    }
}

/// Collects what there is of a finding.
pub fn evidence(arguments: &Evidence) -> Result<Exit, Failure> {
    let directory = spool(&arguments.common)?;
    let record = pick(&directory, &arguments.id)?;
    let begun = now();
    let mut bundle = Bundle::create(&arguments.output)?;
    let mut missing = NotKept::default();
    // What vanishes comes first.
    let mut incident = records::survey(&directory, &record)?;
    // With a spool named, a configuration that cannot be read keeps nobody from collecting.
    let settings = match config(&arguments.common) {
        Ok(config) => config.enrich.evidence,
        Err(error) => {
            missing.add("values of the configuration, the defaults hold", error.to_string());
            EvidenceSettings::default()
        }
    };
    let limits = process::Limits {
        environment: (!arguments.full).then(|| settings.environment_values.clone()),
        program_bytes: settings.copy_max_bytes,
        patience: PATIENCE,
    };
    let processes = alive::keep(&mut bundle, &incident, &limits, &mut missing)?;
    let chain = records::keep(&mut bundle, &directory, &mut incident, &mut missing)?;
    programs::keep(&mut bundle, &directory, &incident, &mut missing)?;
    let checked = crate::spool::verify::verify(&directory)?;
    let broken = checked.breaks.len() as u64 + checked.more_breaks;
    if broken > 0 {
        missing.add("the spool's chain of hashes", format!("{broken} breaks; `tetherd verify` names them"));
    }
    let manifest = json!({
        "format": FORMAT,
        "finding": {
            "id": record.id(), "name": record.finding.name, "category": record.finding.category,
            "severity": record.finding.severity, "resource": record.resource.name,
        },
        "collected": collected(begun, arguments),
        "spool": {
            "directory": std::path::absolute(&directory).unwrap_or(directory).to_string_lossy(),
            "records": checked.records, "first": checked.first, "last": checked.last, "breaks": broken,
        },
        "records": chain,
        "processes": processes.iter().map(alive::Seen::json).collect::<Vec<_>>(),
        "notKept": missing.0.iter().map(|(what, why)| json!({"what": what, "why": why})).collect::<Vec<_>>(),
        "files": bundle.files().iter().map(bundle::Kept::json).collect::<Vec<_>>(),
    });
    let text = serde_json::to_string_pretty(&manifest).unwrap_or_default() + "\n";
    bundle.add("manifest.json", "tetherd evidence", text.as_bytes(), false)?;
    let (files, bytes, sum) = bundle.finish()?;
    let mut text = format!(
        "{files} files, {bytes} bytes of {} in {}\nSHA-256 of its SHA256SUMS: {sum}\n",
        record.id(),
        shown(&arguments.output)
    );
    for (what, why) in &missing.0 {
        text.push_str(&format!("not kept: {}: {}\n", escape(what.as_bytes()), escape(why.as_bytes())));
    }
    if arguments.memory {
        text.push_str(&memory(&record, &processes));
    }
    out::print(&text)?;
    Ok(Exit::Ok)
}

/// By whom, where, when, with what.
fn collected(begun: u64, arguments: &Evidence) -> Value {
    let read = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.trim().chars().take(256).collect::<String>()
    };
    json!({
        "begun": rfc3339(begun), "ended": rfc3339(now()),
        "tetherd": env!("CARGO_PKG_VERSION"),
        "host": read("/proc/sys/kernel/hostname"),
        "machineId": read("/etc/machine-id"),
        "bootId": read("/proc/sys/kernel/random/boot_id"),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "userId": nix::unistd::geteuid().as_raw(),
        "loginUserId": read("/proc/self/loginuid"),
        "environment": if arguments.full { "all" } else { "values by [enrich] environment_values, names of the rest" },
        "memory": "not taken",
    })
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// How the memory of what lives can be taken.
fn memory(record: &Record, processes: &[alive::Seen]) -> String {
    let mut text = String::from(
        "Memory is not taken: it takes as much room as the process has, holds whatever secrets it held, and the process\n\
         stands still meanwhile. Where gdb is installed, as root, for each process that lives:\n",
    );
    let living: Vec<&alive::Seen> = processes.iter().filter(|seen| seen.lives()).collect();
    for seen in &living {
        let name = quote(&format!("core-{}", record.id())).unwrap_or_default();
        text.push_str(&format!("  gcore -a -o {name} {}\n", seen.key.pid));
    }
    if living.is_empty() {
        text.push_str("  (none of its processes lives)\n");
    }
    text.push_str(
        "The whole container, where checkpoints are set up: the plan of `tetherd explain` has the command.\n",
    );
    text
}
