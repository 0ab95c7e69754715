//! The forms in which a record is sent.
//!
//! Owns: which forms there are, their names in the configuration, the body of a message in each. Must not own: the
//! header before it (`header`), how messages are told apart on a stream, what is sent where. Pure functions: the same
//! record gives the same bytes.

pub mod cef;
pub mod compact;
mod flat;
mod object;
pub mod ocsf;
#[cfg(test)]
mod samples;
pub mod structured;

use crate::model::finding::Record;

/// A form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The line of the spool: a Security Command Center v2 finding, as JSON.
    #[default]
    Scc,
    /// One flat object after `@cee: `, for syslog daemons that cut at 8 KiB.
    Compact,
    /// An event of the Open Cybersecurity Schema Framework, as JSON.
    Ocsf,
    /// Structured data and a sentence, as RFC 5424 has them.
    Structured,
    /// ArcSight's Common Event Format.
    Cef,
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
    pub const ALL: [Self; 5] = [Self::Scc, Self::Compact, Self::Ocsf, Self::Structured, Self::Cef];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scc => "scc",
            Self::Compact => "compact",
            Self::Ocsf => "ocsf",
            Self::Structured => "rfc5424",
            Self::Cef => "cef",
        }
    }

    /// Whether the body begins with structured data. In an RFC 5424 message it follows the MSGID and a space at once; the
    /// other forms need `- ` before them there, and this one makes no sense without that header.
    pub fn has_structured_data(self) -> bool {
        self == Self::Structured
    }

    /// The form of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// The body of a message: one line of UTF-8, at most [`Limits::bytes`] long. What is too long is shortened by fields and
/// says so; the result is always valid in its form. `line` is the spool's line, without its newline, that `record` was
/// read from. It is sent as it is, so that the chain of hashes can be followed at the receiver; where it is too long, the
/// compact form stands in for it. All other forms are free of control characters.
pub fn render(format: Format, line: &str, record: &Record, limits: Limits) -> Vec<u8> {
    let most = limits.bytes;
    match format {
        Format::Scc if line.len() <= most => line.to_owned(),
        Format::Scc | Format::Compact => compact::compact(record, most),
        Format::Ocsf => ocsf::ocsf(record, most),
        Format::Structured => structured::structured(record, most),
        Format::Cef => cef::cef(record, most),
    }
    .into_bytes()
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
