//! Real container runtimes: what people do with them gives no finding, and attacks from inside their containers do.
//!
//! Each runtime runs in directories of its own, on sockets of its own, with the host's network for its containers, and
//! is gone with all that it made when the last test that uses it ends. No image comes from anywhere: all run the one that
//! `image` makes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

#[path = "containers/attack.rs"]
mod attack;
#[path = "containers/containerd.rs"]
mod containerd;
#[path = "containers/containerd_attacks.rs"]
mod containerd_attacks;
#[path = "containers/containerd_sessions.rs"]
mod containerd_sessions;
#[path = "containers/cri.rs"]
mod cri;
#[path = "containers/cri_attacks.rs"]
mod cri_attacks;
#[path = "containers/cri_metadata.rs"]
mod cri_metadata;
#[path = "containers/cri_sessions.rs"]
mod cri_sessions;
#[path = "containers/deployed.rs"]
mod deployed;
#[path = "containers/docker.rs"]
mod docker;
#[path = "containers/docker_attacks.rs"]
mod docker_attacks;
#[path = "containers/docker_sessions.rs"]
mod docker_sessions;
#[path = "containers/held.rs"]
mod held;
#[path = "containers/home.rs"]
mod home;
#[path = "containers/image.rs"]
mod image;
#[path = "containers/impostors.rs"]
mod impostors;
#[path = "containers/names.rs"]
mod names;
#[path = "containers/podman.rs"]
mod podman;
#[path = "containers/podman_attacks.rs"]
mod podman_attacks;
#[path = "containers/podman_sessions.rs"]
mod podman_sessions;
#[path = "containers/process.rs"]
mod process;
#[path = "containers/protobuf.rs"]
mod protobuf;
#[path = "containers/related.rs"]
mod related;
#[path = "containers/respond.rs"]
mod respond;
#[path = "containers/shared.rs"]
mod shared;
#[path = "containers/typing.rs"]
mod typing;
#[path = "containers/websocket.rs"]
mod websocket;
