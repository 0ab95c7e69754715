//! Attacks whose shell has no network socket itself: another process holds it. Each must give one finding that names
//! the relay and every hop.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

#[path = "relays/beside.rs"]
mod beside;
#[path = "relays/chains.rs"]
mod chains;
#[path = "relays/popen.rs"]
mod popen;
#[path = "relays/programs.rs"]
mod programs;
#[path = "relays/spaces.rs"]
mod spaces;
#[path = "relays/terminals.rs"]
mod terminals;
#[path = "relays/tools.rs"]
mod tools;
