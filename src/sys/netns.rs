//! Doing something in another network namespace.
//!
//! Owns: a thread that enters the namespace, acts and ends, so that no other thread ever leaves its own. Must not
//! own: what is done there. Needs CAP_SYS_ADMIN (setns(2)).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs `act` in the network namespace behind `namespace` (`/proc/PID/ns/net`).
pub fn within<T: Send>(namespace: &OwnedFd, act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            act()
        })?;
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread in the other namespace ended early")))
    })
}
