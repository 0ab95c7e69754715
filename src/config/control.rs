//! The daemon's own part of the configuration.
//!
//! Owns: the keys of `[rules]` and `[control]` and their defaults. Must not own: reading them from a file.

use std::path::PathBuf;

/// What becomes of system calls that the daemon has no need of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SystemCalls {
    /// They fail, and the kernel logs them.
    #[default]
    Refuse,
    /// The kernel logs them.
    Log,
    /// Nothing.
    Off,
}

impl SystemCalls {
    /// All of them.
    pub const ALL: [SystemCalls; 3] = [SystemCalls::Refuse, SystemCalls::Log, SystemCalls::Off];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Log => "log",
            Self::Off => "off",
        }
    }
}

/// `[rules]` and `[control]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlSettings {
    /// Where allow rules are: every `*.toml` in it, in the order of names.
    pub rules_directory: PathBuf,
    /// The socket for `tetherd status`.
    pub socket: PathBuf,
    /// A file for node_exporter's textfile collector, rewritten every 15 s; empty: none.
    pub metrics_file: PathBuf,
    /// What becomes of system calls that the daemon has no need of.
    pub system_calls: SystemCalls,
}

impl Default for ControlSettings {
    fn default() -> Self {
        Self {
            rules_directory: PathBuf::from("/etc/tetherd/rules.d"),
            socket: PathBuf::from("/run/tetherd/control.sock"),
            metrics_file: PathBuf::new(),
            system_calls: SystemCalls::Off,
        }
    }
}
