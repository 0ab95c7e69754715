//! Findings for somebody who watches.
//!
//! Owns: one line on stdout for each record, when stdout is a terminal. Must not own: the record.

use std::io::{IsTerminal, Write};

use crate::model::finding::{CATEGORY, Record, property};
use crate::model::text::{cut, escape};

/// The screen, or nothing.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    on: bool,
}

impl Screen {
    /// On where stdout is a terminal and `quiet` is not asked.
    pub fn new(quiet: bool) -> Self {
        Self { on: !quiet && std::io::stdout().is_terminal() }
    }

    /// Shows a record.
    pub fn show(&self, record: &Record) {
        if !self.on || record.finding.category != CATEGORY {
            return;
        }
        let finding = &record.finding;
        let severity = finding.severity.map_or("", |severity| severity.name());
        let state = match finding.state {
            crate::model::detection::State::Active => "",
            crate::model::detection::State::Inactive => " (ended)",
        };
        let count = record.number(property::PROCESS_COUNT).unwrap_or(0);
        let line = format!(
            "{} {severity}{state} {} [{count} commands] tetherd show {}\n",
            cut(&finding.create_time, 19),
            escape(finding.description.as_bytes()),
            cut(record.id(), 12),
        );
        // The terminal may have gone; the finding is in the spool.
        let _ = std::io::stdout().write_all(line.as_bytes());
    }
}
