//! A record as one message.
//!
//! Owns: putting header and body together, within the length that a destination takes. Must not own: either of them
//! (`header`, `rfc5424`, `format`), how messages are told apart on a stream (`link`).

use syslog::{Facility, LogFormat};

use crate::deliver::format::{BYTES_LEAST, Format, Limits, render};
use crate::deliver::header::{Header, level};
use crate::deliver::rfc5424::Header5424;
use crate::deliver::settings::{Destination, HEADER_MAX, Transport};
use crate::model::clock::SECOND;
use crate::spool::reader::{Entry, whole};
use crate::spool::summary::Summary;
use crate::sys::clock;

/// The longest message where a longer one was refused.
pub const MESSAGE_SHORT: usize = BYTES_LEAST + HEADER_MAX;

/// Which header.
#[derive(Debug)]
enum Head {
    /// RFC 3164, with the time of sending.
    Local(Facility),
    /// RFC 5424, with the time of the record.
    Network(Header5424),
}

/// Makes the messages of one destination.
#[derive(Debug)]
pub struct Messages {
    head: Head,
    format: Format,
    most: usize,
}

impl Messages {
    /// For `destination`; `host` is this node's name.
    pub fn new(destination: &Destination, host: &str) -> Self {
        let facility = destination.facility.parse().unwrap_or(Facility::LOG_AUTHPRIV);
        let head = match destination.transport() {
            Transport::DevLog => Head::Local(facility),
            _ => Head::Network(Header5424::new(facility, host, std::process::id())),
        };
        Self { head, format: destination.format(), most: destination.message_bytes() }
    }

    /// The message, as long as the destination allows; `None` where the line is no record in all respects and the form
    /// takes one.
    pub fn of(&self, entry: &Entry<Summary>) -> Option<Vec<u8>> {
        self.within(entry, self.most)
    }

    /// The same in at most [`MESSAGE_SHORT`] bytes.
    pub fn short(&self, entry: &Entry<Summary>) -> Option<Vec<u8>> {
        self.within(entry, MESSAGE_SHORT)
    }

    fn within(&self, entry: &Entry<Summary>, most: usize) -> Option<Vec<u8>> {
        let record = &entry.record;
        let mut message = Vec::with_capacity(HEADER_MAX + entry.line.len().min(most));
        match &self.head {
            Head::Local(facility) => {
                let seconds = i64::try_from(clock::now().wall_ns / SECOND).unwrap_or(0);
                let header = Header { facility: *facility, pid: std::process::id(), seconds };
                // Writing to a Vec cannot fail.
                let _ = header.format(&mut message, level(record.severity), "");
            }
            Head::Network(header) => {
                message.extend_from_slice(header.of(record).as_bytes());
                if !self.format.has_structured_data() {
                    message.extend_from_slice(b"- ");
                }
            }
        }
        let limits = Limits { bytes: most.saturating_sub(message.len()).max(BYTES_LEAST) };
        match self.format {
            // As it stands, and not taken apart for that.
            Format::Scc if entry.line.len() <= limits.bytes => {
                message.extend_from_slice(entry.line.as_bytes())
            }
            format => message.extend_from_slice(&render(format, &entry.line, &whole(&entry.line)?, limits)),
        }
        Some(message)
    }
}
