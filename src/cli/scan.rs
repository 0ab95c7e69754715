//! `tetherd scan`.
//!
//! Owns: printing what one look at everything found. Must not own: the look (`daemon::scan`).

use crate::cli::args::Scan;
use crate::cli::draw::draw;
use crate::cli::failure::Failure;
use crate::cli::{config, out, unicode};
use crate::daemon;
use crate::model::exit::Exit;

/// Looks and prints.
pub fn scan(scan: &Scan) -> Result<Exit, Failure> {
    let report = daemon::scan::scan(&config(&scan.common)?)?;
    let mut text = String::new();
    for record in &report.records {
        if scan.json {
            text.push_str(&out::json(record));
        } else {
            text.push_str(&draw(record, unicode() && !scan.ascii));
        }
        text.push('\n');
    }
    if !scan.json {
        let found = match report.records.len() {
            0 => "Nothing is tied to the network".to_owned(),
            1 => "1 tether".to_owned(),
            n => format!("{n} tethers"),
        };
        text.push_str(&format!("{found} among {} processes.\n", report.processes));
    }
    out::print(&text)?;
    if report.refused > 0 {
        eprintln!(
            "tetherd: the descriptors of {} processes of other users could not be seen; run as root to see all",
            report.refused
        );
    }
    Ok(Exit::Ok)
}
