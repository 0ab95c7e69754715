//! The daemon as a service: what the manager is told, the watchdog, and what the daemon gives up once it runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

#[path = "service/confined.rs"]
mod confined;
#[path = "service/manager.rs"]
mod manager;
#[path = "service/profiles.rs"]
mod profiles;
#[path = "service/told.rs"]
mod told;
#[path = "service/unit.rs"]
mod unit;
#[path = "service/watchdog.rs"]
mod watchdog;
