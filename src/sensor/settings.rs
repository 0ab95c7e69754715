//! The sensors' part of the configuration.
//!
//! Owns: the keys of `[sensor]` and their defaults. Must not own: reading them from a file (`config`).

use crate::model::socket::SocketLookup;

/// Whether fanotify(7) tells of programs opened for execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FanotifyMode {
    /// It is not used.
    #[default]
    Off,
    /// It tells, and nobody waits.
    Notify,
    /// The process waits in execve(2) until it has been looked at.
    Hold,
}

impl FanotifyMode {
    /// All of them.
    pub const ALL: [FanotifyMode; 3] = [FanotifyMode::Off, FanotifyMode::Notify, FanotifyMode::Hold];

    /// The word in the configuration and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Notify => "notify",
            Self::Hold => "hold",
        }
    }
}

impl std::str::FromStr for FanotifyMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| "it is none of off, notify, hold".to_owned())
    }
}

/// `[sensor]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorSettings {
    /// Whether fanotify is used.
    pub fanotify: FanotifyMode,
    /// Whether to ask for SCHED_FIFO.
    pub realtime: bool,
    /// Receive buffer asked for, in bytes, before the kernel doubles it; 832 bytes of the doubled size hold one event.
    pub receive_buffer_bytes: usize,
    /// Seconds between canaries.
    pub canary_seconds: u64,
    /// Ways of finding out about a socket, tried in this order.
    pub socket_lookup: Vec<SocketLookup>,
    /// Seconds between sweeps, each of which looks closer only at what has changed.
    pub sweep_seconds: u64,
    /// Processes a sweep may look at in one second.
    pub sweep_per_second: u32,
}

impl Default for SensorSettings {
    fn default() -> Self {
        Self {
            fanotify: FanotifyMode::Off,
            realtime: true,
            receive_buffer_bytes: 16 << 20,
            canary_seconds: 30,
            socket_lookup: vec![SocketLookup::Getfd, SocketLookup::Diag, SocketLookup::Proc],
            sweep_seconds: 15,
            sweep_per_second: 50_000,
        }
    }
}
