//! Doing something in another network namespace.
//!
//! Owns: a thread that enters the namespace, acts and ends, so that no other thread ever leaves its own, and the moves
//! for a thread that has nothing else to do. Must not own: what is done there. Needs CAP_SYS_ADMIN (setns(2)).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Moves the calling thread, and no other, to a network namespace.
pub fn enter(namespace: &OwnedFd) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// The calling thread's network namespace.
pub fn own() -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(c"/proc/thread-self/ns/net", flags, Mode::empty())?)
}

/// Runs `act` in the network namespace behind `namespace` (`/proc/PID/ns/net`).
pub fn within<T: Send>(namespace: &OwnedFd, act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, || {
            enter(namespace)?;
            act()
        })?;
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread in the other namespace ended early")))
    })
}
