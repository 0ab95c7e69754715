//! The kernel outside `/proc`.
//!
//! Owns: every system call that no safe library wraps, one a function, and the wire formats of netlink messages. The
//! only place for `unsafe`. Must not own: any decision. Talks to: the kernel.

pub mod child;
pub mod clock;
pub mod close;
pub mod cn_filter;
pub mod cn_proc;
pub mod fanotify;
pub mod heap;
pub mod kcmp;
pub mod limits;
pub mod localtime;
pub mod netns;
pub mod notify;
pub mod pidfd;
pub mod recv;
pub mod sched;
pub mod seccomp;
pub mod small_file;
pub mod sock_diag;
pub mod sockopt;
pub mod tty;
pub mod vm;
