//! `tetherd show`.
//!
//! Owns: finding one record by the first digits of its id. Must not own: the drawing (`draw`).

use crate::cli::args::Show;
use crate::cli::draw::draw;
use crate::cli::failure::Failure;
use crate::cli::{out, shown, spool, unicode};
use crate::model::exit::Exit;
use crate::model::text::{escape, escape_json};
use crate::spool::reader::latest_by_name;

/// Prints one finding.
pub fn show(show: &Show) -> Result<Exit, Failure> {
    let directory = spool(&show.common)?;
    let wanted = show.id.to_ascii_lowercase();
    let mut found = latest_by_name(&directory)?;
    found.retain(|record| !wanted.is_empty() && record.id().starts_with(&wanted));
    let shown_id = escape(show.id.as_bytes());
    let record = match found.as_slice() {
        [record] => record,
        [] => {
            return Err(Failure::NotFound(format!(
                "no finding in {} has an id that begins with {shown_id}; `tetherd list` names them",
                shown(&directory)
            )));
        }
        several => {
            let ids: Vec<String> =
                several.iter().take(10).map(|record| escape(record.id().as_bytes())).collect();
            return Err(Failure::Usage(format!(
                "{} findings begin with {shown_id}: {}; give more digits",
                several.len(),
                ids.join(", ")
            )));
        }
    };
    let text = if show.json {
        format!("{}\n", escape_json(serde_json::to_string_pretty(record).unwrap_or_default()))
    } else {
        draw(record, unicode() && !show.ascii)
    };
    out::print(&text)?;
    Ok(Exit::Ok)
}
