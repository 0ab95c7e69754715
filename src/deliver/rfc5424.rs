//! The header of a syslog message for a network.
//!
//! Owns: `<PRI>1 TIMESTAMP HOSTNAME tetherd PROCID MSGID ` (RFC 5424 section 6.2). Must not own: STRUCTURED-DATA and the
//! message, which follow.

use syslog::Facility;

use crate::deliver::header::level;
use crate::model::clock::{parse_rfc3339, rfc3339};
use crate::spool::summary::Summary;

/// The longest HOSTNAME, in bytes (RFC 5424 section 6).
const HOST_MAX: usize = 255;
/// Bytes of a time with six fractional digits, the most that are allowed, without its `Z`.
const MICROSECONDS: usize = 26;

/// What is the same in all headers of one destination.
#[derive(Clone, Debug)]
pub struct Header5424 {
    facility: Facility,
    host: String,
    pid: u32,
}

impl Header5424 {
    /// `host` is this node's name; what must not stand in a header is left out of it.
    pub fn new(facility: Facility, host: &str, pid: u32) -> Self {
        let mut host: String = host.chars().filter(char::is_ascii_graphic).take(HOST_MAX).collect();
        if host.is_empty() {
            host.push('-');
        }
        Self { facility, host, pid }
    }

    /// The header of a record's message: the time is when the record was written, the MSGID its class.
    pub fn of(&self, record: &Summary) -> String {
        let priority = self.facility as u8 | level(record.severity) as u8;
        let time = parse_rfc3339(&record.create_time).map_or_else(
            || "-".to_owned(),
            |at| format!("{}Z", rfc3339(at).get(..MICROSECONDS).unwrap_or_default()),
        );
        let kind = if record.severity.is_some() { "finding" } else { "observation" };
        format!("<{priority}>1 {time} {} tetherd {} {kind} ", self.host, self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn the_shape() {
        let record = Summary { create_time: "2026-11-24T03:50:17.123456789Z".into(), ..Summary::default() };
        let header = Header5424::new(Facility::LOG_LOCAL3, "nö de\n7", 42).of(&record);
        assert_eq!(header, "<157>1 2026-11-24T03:50:17.123456Z nde7 tetherd 42 observation ");
        let mut other = record;
        other.create_time = "yesterday".into();
        assert_eq!(Header5424::new(Facility::LOG_AUTH, "", 1).of(&other), "<37>1 - - tetherd 1 observation ");
    }
}
