//! Findings through the real rsyslogd and the real syslog-ng, each on a socket of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

#[path = "syslog_real/arrival.rs"]
mod arrival;
#[path = "syslog_real/outage.rs"]
mod outage;
#[path = "syslog_real/receiver.rs"]
mod receiver;
#[path = "syslog_real/shells.rs"]
mod shells;
