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
use crate::spool::reader::Entry;
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

    /// The message, as long as the destination allows.
    pub fn of(&self, entry: &Entry) -> Vec<u8> {
        self.within(entry, self.most)
    }

    /// The same in at most [`MESSAGE_SHORT`] bytes.
    pub fn short(&self, entry: &Entry) -> Vec<u8> {
        self.within(entry, MESSAGE_SHORT)
    }

    fn within(&self, entry: &Entry, most: usize) -> Vec<u8> {
        let record = &entry.record;
        let mut message = Vec::with_capacity(2048);
        match &self.head {
            Head::Local(facility) => {
                let seconds = i64::try_from(clock::now().wall_ns / SECOND).unwrap_or(0);
                let header = Header { facility: *facility, pid: std::process::id(), seconds };
                // Writing to a Vec cannot fail.
                let _ = header.format(&mut message, level(record.finding.severity), "");
            }
            Head::Network(header) => {
                message.extend_from_slice(header.of(record).as_bytes());
                if !self.format.has_structured_data() {
                    message.extend_from_slice(b"- ");
                }
            }
        }
        let limits = Limits { bytes: most.saturating_sub(message.len()).max(BYTES_LEAST) };
        message.extend_from_slice(&render(self.format, &entry.line, record, limits));
        message
    }
}
