//! `tetherd show`.
//!
//! Owns: which form is printed. Must not own: finding the record (`pick`), the drawing (`draw`).

use crate::cli::args::Show;
use crate::cli::draw::draw;
use crate::cli::failure::Failure;
use crate::cli::pick::pick;
use crate::cli::{out, spool, unicode};
use crate::model::exit::Exit;
use crate::model::text::escape_json;

/// Prints one finding.
pub fn show(show: &Show) -> Result<Exit, Failure> {
    let record = pick(&spool(&show.common)?, &show.id)?;
    let text = if show.json {
        format!("{}\n", escape_json(serde_json::to_string_pretty(&record).unwrap_or_default()))
    } else {
        draw(&record, unicode() && !show.ascii)
    };
    out::print(&text)?;
    Ok(Exit::Ok)
}
