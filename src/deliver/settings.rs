//! Delivery's part of the configuration.
//!
//! Owns: the keys of `[syslog]` and their defaults. Must not own: reading them from a file (`config`).

use std::path::PathBuf;

/// `[syslog]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SyslogSettings {
    /// Whether findings go to syslog.
    pub enabled: bool,
    /// The syslog socket.
    pub path: PathBuf,
    /// The facility's name as syslog.conf(5) has it.
    pub facility: String,
}

impl Default for SyslogSettings {
    fn default() -> Self {
        Self { enabled: true, path: PathBuf::from("/dev/log"), facility: "authpriv".into() }
    }
}
