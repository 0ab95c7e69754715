//! `tetherd explain`.
//!
//! Owns: whether a process or a finding is meant, and printing why a process is, or is not, a finding. Must not own: the
//! judgement (`daemon::explain`), the explanation of a finding (`explain_finding`).

use crate::cli::args::Explain;
use crate::cli::facts::{Facts, PID_MAX};
use crate::cli::failure::Failure;
use crate::cli::pick::pick;
use crate::cli::{config, explain_finding, out, spool, unicode};
use crate::daemon;
use crate::host::reader::Missed;
use crate::model::exit::Exit;
use crate::model::ids::Pid;
use crate::model::text::escape_json;

/// Explains one process or one finding.
pub fn explain(explain: &Explain) -> Result<Exit, Failure> {
    let Some(pid) = pid(&explain.what).filter(|_| !explain.finding) else { return finding(explain) };
    let told = match daemon::explain::explain(&config(&explain.common)?, pid)? {
        Ok(told) => told,
        Err(Missed::Vanished) => {
            // The number may be the beginning of an id.
            return match finding(explain) {
                Err(Failure::NotFound(_) | Failure::Spool(_)) => Err(Failure::NotFound(format!(
                    "there is no process {pid}, or it has ended; and no finding's id begins with {pid}"
                ))),
                outcome => outcome,
            };
        }
        Err(Missed::Denied) => {
            return Err(Failure::NotFound(format!("process {pid} may not be read; run as root")));
        }
    };
    let mut text = String::new();
    if explain.json {
        text = escape_json(told.json().to_string());
        text.push('\n');
    } else {
        for (heading, lines) in &told.parts {
            for (at, line) in lines.iter().enumerate() {
                let heading = if at == 0 { heading.as_str() } else { "" };
                text.push_str(&format!("{heading:<8} {line}\n"));
            }
        }
        let also = spool(&explain.common).ok().and_then(|spool| pick(&spool, &explain.what).ok());
        if also.is_some() {
            text.push_str(&format!(
                "\nA finding's id begins with {pid} too: `tetherd explain --finding {pid}` explains that.\n"
            ));
        }
    }
    out::print(&text)?;
    Ok(Exit::Ok)
}

/// A number as Linux writes a process id. With a zero in front it is an id's beginning.
fn pid(text: &str) -> Option<Pid> {
    let number: u32 = text.parse().ok()?;
    ((1..=PID_MAX).contains(&number) && number.to_string() == text).then_some(Pid(number as _))
}

fn finding(explain: &Explain) -> Result<Exit, Failure> {
    let record = pick(&spool(&explain.common)?, &explain.what)?;
    let facts = Facts::new(&record).of_spool(explain.common.spool.as_deref());
    let text = if explain.json {
        format!("{}\n", escape_json(explain_finding::json(&facts).to_string()))
    } else {
        explain_finding::text(&facts, unicode())
    };
    out::print(&text)?;
    Ok(Exit::Ok)
}
