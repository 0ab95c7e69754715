//! One finding, by the first digits of its id.
//!
//! Owns: finding it in the spool, and saying that there is none or more than one. Must not own: what is done with it.

use std::path::Path;

use crate::cli::failure::Failure;
use crate::cli::shown;
use crate::model::finding::Record;
use crate::model::text::escape;
use crate::spool::reader::latest_where;

/// The newest record of the one finding whose id begins so.
pub fn pick(directory: &Path, id: &str) -> Result<Record, Failure> {
    let wanted = id.to_ascii_lowercase();
    let mut found = latest_where(directory, |record| !wanted.is_empty() && record.id().starts_with(&wanted))?;
    let shown_id = escape(id.as_bytes());
    match (found.pop(), found.as_slice()) {
        (Some(record), []) => Ok(record),
        (None, _) => Err(Failure::NotFound(format!(
            "no finding in {} has an id that begins with {shown_id}; `tetherd list` names them",
            shown(directory)
        ))),
        (Some(last), _) => {
            found.push(last);
            let ids: Vec<String> =
                found.iter().take(10).map(|record| escape(record.id().as_bytes())).collect();
            Err(Failure::Usage(format!(
                "{} findings begin with {shown_id}: {}; give more digits",
                found.len(),
                ids.join(", ")
            )))
        }
    }
}
