//! The command line, on the real binary: exit codes, what is said where, and what hostile text can do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

#[path = "cli/evidence.rs"]
mod evidence;
#[path = "cli/exits.rs"]
mod exits;
#[path = "cli/follow.rs"]
mod follow;
#[path = "cli/hostile.rs"]
mod hostile;
#[path = "cli/json.rs"]
mod json;
#[path = "cli/kubectl.rs"]
mod kubectl;
#[path = "cli/pipes.rs"]
mod pipes;
#[path = "cli/quote.rs"]
mod quote;
#[path = "cli/report.rs"]
mod report;
#[path = "cli/respond.rs"]
mod respond;
#[path = "cli/spools.rs"]
mod spools;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/unprivileged.rs"]
mod unprivileged;
