//! The sensors' part of the configuration.
//!
//! Owns: the keys of `[sensor]` and their defaults. Must not own: reading them from a file (`config`).

use crate::model::socket::SocketLookup;

/// `[sensor]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorSettings {
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
            realtime: true,
            receive_buffer_bytes: 16 << 20,
            canary_seconds: 30,
            socket_lookup: vec![SocketLookup::Getfd, SocketLookup::Diag, SocketLookup::Proc],
            sweep_seconds: 15,
            sweep_per_second: 50_000,
        }
    }
}
