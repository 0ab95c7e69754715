//! The daemon's own part of the configuration.
//!
//! Owns: the keys of `[rules]` and `[control]` and their defaults. Must not own: reading them from a file.

use std::path::PathBuf;

/// `[rules]` and `[control]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlSettings {
    /// Where allow rules are: every `*.toml` in it, in the order of names.
    pub rules_directory: PathBuf,
    /// The socket for `tetherd status`.
    pub socket: PathBuf,
    /// A file for node_exporter's textfile collector, rewritten every 15 s; empty: none.
    pub metrics_file: PathBuf,
}

impl Default for ControlSettings {
    fn default() -> Self {
        Self {
            rules_directory: PathBuf::from("/etc/tetherd/rules.d"),
            socket: PathBuf::from("/run/tetherd/control.sock"),
            metrics_file: PathBuf::new(),
        }
    }
}
