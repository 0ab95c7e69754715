//! The packages, made of the program under test: what is in them, that two builds give the same bytes, and what the
//! distributions' own checkers say. What takes a machine to install them on: `tests/vm/package`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

#[path = "packages/built.rs"]
mod built;
#[path = "packages/contents.rs"]
mod contents;
#[path = "packages/installed.rs"]
mod installed;
#[path = "packages/pages.rs"]
mod pages;
