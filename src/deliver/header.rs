//! The header of a syslog message on `/dev/log`.
//!
//! Owns: `<PRI>Mmm dd hh:mm:ss tetherd[PID]: ` (RFC 3164 section 4.1 without the host name, which local receivers add).
//! Must not own: the message. The `syslog` crate gives facility, severity and the trait; its own formatter writes UTC
//! where the format wants local time, and a zero where it wants a space.

use std::io::Write;

use syslog::{Facility, LogFormat, Severity as Level};

use crate::model::detection::Severity;
use crate::sys::localtime::local_time;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Writes whole messages.
#[derive(Clone, Debug)]
pub struct Header {
    /// The facility.
    pub facility: Facility,
    /// Our process id.
    pub pid: u32,
    /// Seconds after 1970.
    pub seconds: i64,
}

impl<T: AsRef<str>> LogFormat<T> for Header {
    fn format<W: Write>(&self, w: &mut W, severity: Level, message: T) -> syslog::Result<()> {
        let priority = self.facility as u8 | severity as u8;
        let stamp = local_time(self.seconds).map_or_else(String::new, |time| {
            let month = MONTHS.get(usize::from(time.month)).unwrap_or(&"Jan");
            format!("{month} {:2} {:02}:{:02}:{:02} ", time.day, time.hour, time.minute, time.second)
        });
        write!(w, "<{priority}>{stamp}tetherd[{}]: {}", self.pid, message.as_ref())
            .map_err(syslog::Error::Write)
    }
}

/// The syslog severity of a finding; records that are none are notices.
pub fn level(severity: Option<Severity>) -> Level {
    match severity {
        Some(Severity::Critical) => Level::LOG_CRIT,
        Some(Severity::High) => Level::LOG_ERR,
        Some(Severity::Medium) => Level::LOG_WARNING,
        Some(Severity::Low) | None => Level::LOG_NOTICE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape() {
        let header = Header { facility: Facility::LOG_AUTHPRIV, pid: 7, seconds: 1_795_492_217 };
        let mut out = Vec::new();
        header.format(&mut out, Level::LOG_CRIT, "@cee: {}").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("<82>Nov 2") && text.ends_with(" tetherd[7]: @cee: {}"), "{text}");
        assert_eq!(text.len(), "<82>Nov 24 03:50:17 tetherd[7]: @cee: {}".len());
    }
}
