//! Children of a daemon that others wait for.
//!
//! Owns: what a child closes between fork and exec. Must not own: starting it.
#![allow(unsafe_code)] // code between fork and exec, and close_range(2)

use std::os::unix::process::CommandExt;
use std::process::Command;

/// The child closes everything but its standard streams before it executes. A fanotify group lives as long as anybody
/// has it open: a child that waits in its own execve with a copy would keep everybody waiting if this process were
/// killed at that moment.
pub fn keep_only_stdio(command: &mut Command) -> &mut Command {
    // SAFETY: the closure makes one system call and neither allocates nor locks.
    unsafe {
        command.pre_exec(|| {
            libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0);
            Ok(())
        })
    }
}
