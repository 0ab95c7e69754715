//! `tetherd explain`.
//!
//! Owns: printing why a process is, or is not, a finding. Must not own: the judgement (`daemon::explain`).

use crate::cli::args::Explain;
use crate::cli::failure::Failure;
use crate::cli::{config, out};
use crate::daemon;
use crate::host::reader::Missed;
use crate::model::exit::Exit;
use crate::model::ids::Pid;

/// Explains one process.
pub fn explain(explain: &Explain) -> Result<Exit, Failure> {
    let Some(pid) = explain.pid.parse().ok().filter(|pid| (1..=4_194_304).contains(pid)).map(Pid) else {
        return Err(Failure::Usage(format!(
            "{} is no process id; `tetherd show ID` draws a finding",
            crate::model::text::escape(explain.pid.as_bytes())
        )));
    };
    let told = match daemon::explain::explain(&config(&explain.common)?, pid)? {
        Ok(told) => told,
        Err(Missed::Vanished) => {
            return Err(Failure::NotFound(format!("there is no process {pid}, or it has ended")));
        }
        Err(Missed::Denied) => {
            return Err(Failure::NotFound(format!("process {pid} may not be read; run as root")));
        }
    };
    let mut text = String::new();
    if explain.json {
        text = crate::model::text::escape_json(told.json().to_string());
        text.push('\n');
    } else {
        for (heading, lines) in &told.parts {
            for (at, line) in lines.iter().enumerate() {
                let heading = if at == 0 { heading.as_str() } else { "" };
                text.push_str(&format!("{heading:<8} {line}\n"));
            }
        }
    }
    out::print(&text)?;
    Ok(Exit::Ok)
}
