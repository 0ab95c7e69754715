//! `tetherd verify`.
//!
//! Owns: the report in words. Must not own: the check.

use serde_json::json;

use crate::cli::args::Verify;
use crate::cli::failure::Failure;
use crate::cli::{out, spool};
use crate::model::exit::Exit;
use crate::model::text::escape;

/// Breaks that are printed.
const BREAKS_SHOWN: usize = 20;

/// Checks the chain; exit code 1 where it is broken.
pub fn verify(arguments: &Verify) -> Result<Exit, Failure> {
    let directory = match &arguments.directory {
        Some(directory) => directory.clone(),
        None => spool(&arguments.common)?,
    };
    let report = crate::spool::verify::verify(&directory)?;
    let broken = report.breaks.len() as u64 + report.more_breaks;
    let mut text = String::new();
    if arguments.json {
        let breaks: Vec<_> = report
            .breaks
            .iter()
            .map(|b| json!({"segment": b.position.segment, "offset": b.position.offset, "sequence": b.sequence, "what": b.what}))
            .collect();
        let whole = json!({
            "records": report.records, "segments": report.segments, "first": report.first, "last": report.last,
            "torn": report.torn, "broken": broken, "breaks": breaks,
        });
        text.push_str(&format!("{whole}\n"));
    } else {
        text.push_str(&format!(
            "{} records in {} segments, numbers {} to {}, {} torn lines\n",
            report.records, report.segments, report.first, report.last, report.torn
        ));
        for found in report.breaks.iter().take(BREAKS_SHOWN) {
            text.push_str(&format!(
                "BROKEN at record {}, findings-{:012}.jsonl byte {}: {}\n",
                found.sequence,
                found.position.segment,
                found.position.offset,
                escape(found.what.as_bytes())
            ));
        }
        if broken > BREAKS_SHOWN as u64 {
            text.push_str(&format!("... and {} more\n", broken - BREAKS_SHOWN as u64));
        }
        if broken == 0 {
            text.push_str("The chain is whole: no record was changed or removed.\n");
        }
    }
    out::print(&text)?;
    Ok(if broken == 0 { Exit::Ok } else { Exit::Findings })
}
