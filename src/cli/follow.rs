//! `tetherd follow`.
//!
//! Owns: waiting for records and printing them. Must not own: the line's form (`list`).

use std::time::Duration;

use crate::cli::args::Follow;
use crate::cli::failure::Failure;
use crate::cli::filter::Filter;
use crate::cli::{list, out, spool};
use crate::model::exit::Exit;
use crate::model::text::escape_json;
use crate::spool::reader::Reader;

/// How often the spool is looked at.
const PERIOD: Duration = Duration::from_millis(200);

/// Prints records until it is stopped.
pub fn follow(follow: &Follow) -> Result<Exit, Failure> {
    let filter = Filter::new(&follow.filters)?;
    let directory = spool(&follow.common)?;
    let mut reader =
        if follow.from_start { Reader::oldest(&directory)? } else { Reader::newest(&directory)? };
    loop {
        while let Some(entry) = reader.next()? {
            if !filter.wants(&entry.record, follow.json) {
                continue;
            }
            if follow.json {
                out::print(&format!("{}\n", escape_json(entry.line)))?;
            } else {
                out::print(&list::row(&entry.record, out::width(), out::colours()))?;
            }
        }
        std::thread::sleep(PERIOD);
    }
}
