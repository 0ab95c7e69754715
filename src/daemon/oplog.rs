//! The operator's log: stderr, which is the journal under systemd.
//!
//! Owns: one line a message, control characters escaped, the priority as `<N>` where a journal reads it
//! (sd-daemon(3)). Must not own: findings, which are never log lines.

use std::io::Write;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::model::text::escape;

struct Stderr {
    journal: bool,
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let priority = match record.level() {
            Level::Error => "<3>",
            Level::Warn => "<4>",
            _ => "<6>",
        };
        let priority = if self.journal { priority } else { "" };
        let line = format!("{priority}tetherd: {}\n", escape(record.args().to_string().as_bytes()));
        // There is nowhere to say that stderr is gone.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// Makes stderr the sink of the `log` crate. A second call changes nothing.
pub fn init() {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    if log::set_boxed_logger(Box::new(Stderr { journal })).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}
