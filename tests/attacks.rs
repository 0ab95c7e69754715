//! Attacks with the real tools on the real system: each must give a finding that says what happened.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

#[path = "attacks/binds.rs"]
mod binds;
#[path = "attacks/descriptors.rs"]
mod descriptors;
#[path = "attacks/languages.rs"]
mod languages;
#[path = "attacks/lineage.rs"]
mod lineage;
#[path = "attacks/native.rs"]
mod native;
#[path = "attacks/oneshot.rs"]
mod oneshot;
#[path = "attacks/swept.rs"]
mod swept;
#[path = "attacks/tools.rs"]
mod tools;
#[path = "attacks/vsock.rs"]
mod vsock;
