//! Writing to stdout.
//!
//! Owns: that a reader who has gone (EPIPE) is no error, and colours where a person watches. Must not own: content.

use std::io::{self, IsTerminal, Write};

use crate::model::detection::Severity;
use crate::model::finding::Record;
use crate::model::text::escape_json;

/// Writes a text; a closed pipe ends quietly, as success.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        outcome => outcome,
    }
}

/// A record as one line of JSON that does no harm on a terminal.
pub fn json(record: &Record) -> String {
    escape_json(serde_json::to_string(record).unwrap_or_default())
}

/// Whether stdout takes colours: a terminal, and NO_COLOR is not set.
pub fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A severity, padded, in its colour.
pub fn severity(severity: Option<Severity>, colours: bool) -> String {
    let Some(severity) = severity else { return format!("{:<8}", "-") };
    let code = match severity {
        Severity::Critical => "1;31",
        Severity::High => "31",
        Severity::Medium => "33",
        Severity::Low => "36",
    };
    if colours { format!("\x1b[{code}m{severity:<8}\x1b[0m") } else { format!("{severity:<8}") }
}

/// Columns of the terminal; 80 where there is none.
pub fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).map(|size| usize::from(size.ws_col)).unwrap_or(0);
    if size >= 40 { size } else { 80 }
}
