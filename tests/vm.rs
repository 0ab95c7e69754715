//! Debian 12 with systemd and cgroup v2, booted in a virtual machine: tetherd as a service, its findings in the journal,
//! and a reverse shell in a container of each runtime that runs there. `tests/vm/run` and `tests/run` run this: it takes minutes, so that
//! without TETHERD_TESTS_VM=1 nothing is started and that is said.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

#[path = "vm/container.rs"]
mod container;
#[path = "vm/host.rs"]
mod host;
#[path = "containers/image.rs"]
mod image;
#[path = "vm/machine.rs"]
mod machine;
