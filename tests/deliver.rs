//! Findings on their way to collectors: false receivers that behave badly, the real rsyslog and syslog-ng that are
//! stopped, killed and started again, cursors that are damaged. What arrives is compared record by record with the
//! spool.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

#[path = "deliver/bad.rs"]
mod bad;
#[path = "deliver/certificates.rs"]
mod certificates;
#[path = "deliver/cursors.rs"]
mod cursors;
#[path = "deliver/daemon.rs"]
mod daemon;
#[path = "deliver/ground.rs"]
mod ground;
#[path = "deliver/local.rs"]
mod local;
#[path = "deliver/real.rs"]
mod real;
#[path = "deliver/receiver.rs"]
mod receiver;
#[path = "deliver/tls.rs"]
mod tls;
#[path = "deliver/tls_files.rs"]
mod tls_files;
