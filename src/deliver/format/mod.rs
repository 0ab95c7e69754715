//! The forms in which a record is sent.
//!
//! Owns: which forms there are, their names in the configuration, the body of a message in each. Must not own: the
//! header before it (`header`), how messages are told apart on a stream, what is sent where. Pure functions: the same
//! record gives the same bytes.

pub mod compact;

use crate::model::finding::Record;

/// A form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The line of the spool: a Security Command Center v2 finding, as JSON.
    #[default]
    Scc,
    /// One flat object after `@cee: `, for syslog daemons that cut at 8 KiB.
    Compact,
}

/// How long a body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes; at least [`BYTES_LEAST`].
    pub bytes: usize,
}

/// The least that [`Limits::bytes`] may be: every form fits into it.
pub const BYTES_LEAST: usize = 600;

impl Format {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Scc, Self::Compact];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scc => "scc",
            Self::Compact => "compact",
        }
    }

    /// The form of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// The body of a message: one line of text, no control characters, at most [`Limits::bytes`] long. What is too long is
/// shortened by fields and says so; the result is always valid in its form. `line` is the spool's line, without its
/// newline, that `record` was read from.
pub fn render(format: Format, line: &str, record: &Record, limits: Limits) -> Vec<u8> {
    match format {
        Format::Scc if line.len() <= limits.bytes => line.as_bytes().to_vec(),
        Format::Scc | Format::Compact => compact::compact(record, limits.bytes).into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for format in Format::ALL {
            assert_eq!(Format::of(format.name()), Some(format));
        }
        assert_eq!(Format::of("xml"), None);
    }
}
