//! Ordinary work in which one process holds a socket and another a pipe or a terminal that leads to it: no finding.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

#[path = "benign_relays/clients.rs"]
mod clients;
#[path = "benign_relays/local.rs"]
mod local;
#[path = "benign_relays/pipelines.rs"]
mod pipelines;
#[path = "benign_relays/policy.rs"]
mod policy;
#[path = "benign_relays/services.rs"]
mod services;
#[path = "benign_relays/sshd.rs"]
mod sshd;
