//! The system calls that the daemon has a need of.
//!
//! Owns: the list. Must not own: the filter (`sys::seccomp`). The daemon's own children (canary, guard) start under it too,
//! so it holds what a program needs to be loaded.

use crate::sys::seccomp::{Allowed, Is};

/// `clone` flags that make namespaces (`include/uapi/linux/sched.h`).
const NAMESPACES: u32 = libc::CLONE_NEWNS.unsigned_abs()
    | libc::CLONE_NEWCGROUP.unsigned_abs()
    | libc::CLONE_NEWUTS.unsigned_abs()
    | libc::CLONE_NEWIPC.unsigned_abs()
    | libc::CLONE_NEWUSER.unsigned_abs()
    | libc::CLONE_NEWPID.unsigned_abs()
    | libc::CLONE_NEWNET.unsigned_abs();
const WRITE: u32 = libc::PROT_WRITE.unsigned_abs();
const EXECUTE: u32 = libc::PROT_EXEC.unsigned_abs();

/// What a first look is made of.
pub const OFTEN: &[libc::c_long] = &[
    libc::SYS_pidfd_getfd,
    libc::SYS_statx,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_recvmmsg,
    libc::SYS_pidfd_open,
    libc::SYS_read,
    libc::SYS_openat,
    libc::SYS_fstat,
    libc::SYS_readlinkat,
    libc::SYS_ppoll,
    libc::SYS_futex,
    libc::SYS_pread64,
    libc::SYS_kcmp,
    libc::SYS_getsockopt,
    libc::SYS_sched_setscheduler,
];
/// `PR_GET_AUXV` (`include/uapi/linux/prctl.h`, Linux 6.4): the size of a page, and the like.
const GET_AUXV: u32 = 0x4155_5856;

/// Whatever the arguments are.
const ALWAYS: &[libc::c_long] = &[
    // files
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getdents64,
    libc::SYS_getxattr,
    libc::SYS_fgetxattr,
    libc::SYS_getcwd,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fadvise64,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_umask,
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    // sockets that are there, or were made by others
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_shutdown,
    // memory
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mlockall,
    // threads, children, time
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_setsid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_capget,
    libc::SYS_kill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_getparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_getpriority,
    libc::SYS_setpriority,
    libc::SYS_prlimit64,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    // other processes
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_process_vm_readv,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
];

/// Older forms of the same, which the C library and the standard library use where the architecture has them.
#[cfg(target_arch = "x86_64")]
const OLDER: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_chmod,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_vfork,
    libc::SYS_getrlimit,
    libc::SYS_time,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[libc::c_long] = &[];

/// Only with these arguments.
const SOMETIMES: &[Allowed] = &[
    Allowed {
        call: libc::SYS_socket,
        when: &[
            &[(0, Is::Equal(libc::AF_UNIX.unsigned_abs()))],
            &[
                (0, Is::Equal(libc::AF_NETLINK.unsigned_abs())),
                (2, Is::Equal(libc::NETLINK_CONNECTOR.unsigned_abs())),
            ],
            &[
                (0, Is::Equal(libc::AF_NETLINK.unsigned_abs())),
                (2, Is::Equal(libc::NETLINK_SOCK_DIAG.unsigned_abs())),
            ],
        ],
    },
    Allowed { call: libc::SYS_socketpair, when: &[&[(0, Is::Equal(libc::AF_UNIX.unsigned_abs()))]] },
    // Nothing is at the same time written and executed.
    Allowed { call: libc::SYS_mmap, when: &[&[(2, Is::Without(WRITE))], &[(2, Is::Without(EXECUTE))]] },
    Allowed { call: libc::SYS_mprotect, when: &[&[(2, Is::Without(EXECUTE))]] },
    Allowed { call: libc::SYS_clone, when: &[&[(0, Is::Without(NAMESPACES))]] },
    Allowed { call: libc::SYS_setns, when: &[&[(1, Is::Equal(libc::CLONE_NEWNET.unsigned_abs()))]] },
    Allowed {
        call: libc::SYS_prctl,
        when: &[
            &[(0, Is::Equal(libc::PR_SET_NAME.unsigned_abs()))],
            &[(0, Is::Equal(libc::PR_SET_PDEATHSIG.unsigned_abs()))],
            &[(0, Is::Equal(libc::PR_SET_DUMPABLE.unsigned_abs()))],
            &[(0, Is::Equal(libc::PR_GET_DUMPABLE.unsigned_abs()))],
            &[(0, Is::Equal(libc::PR_CAPBSET_READ.unsigned_abs()))],
            &[(0, Is::Equal(libc::PR_SET_VMA.unsigned_abs()))],
            &[(0, Is::Equal(GET_AUXV))],
        ],
    },
    Allowed {
        call: libc::SYS_ioctl,
        when: &[
            // whether stderr is a terminal, and how wide
            &[(1, Is::Equal(libc::TCGETS as u32))],
            &[(1, Is::Equal(libc::TIOCGWINSZ as u32))],
            // which terminal, which network namespace, by a duplicate
            &[(1, Is::Equal(libc::TIOCGPTN as u32))],
            &[(1, Is::Equal(crate::sys::tty::TIOCGDEV as u32))],
            &[(1, Is::Equal(libc::SIOCGSKNS as u32))],
            // what the standard library does with sockets and children
            &[(1, Is::Equal(libc::FIONBIO as u32))],
            &[(1, Is::Equal(libc::FIOCLEX as u32))],
            // what a receiver has not taken yet
            &[(1, Is::Equal(libc::TIOCOUTQ as u32))],
        ],
    },
];

/// Where something is asked or sent over the network: the cloud's metadata server, destinations.
const NETWORK: Allowed = Allowed {
    call: libc::SYS_socket,
    when: &[
        &[(0, Is::Equal(libc::AF_INET.unsigned_abs()))],
        &[(0, Is::Equal(libc::AF_INET6.unsigned_abs()))],
        &[(0, Is::Equal(libc::AF_UNIX.unsigned_abs()))],
        &[(0, Is::Equal(libc::AF_NETLINK.unsigned_abs()))],
    ],
};

/// The list. `network`: the configuration has something asked over the network.
pub fn list(network: bool) -> Vec<Allowed> {
    let always = ALWAYS.iter().chain(OLDER).map(|call| Allowed { call: *call, when: &[] });
    always.chain(SOMETIMES.iter().copied()).chain(network.then_some(NETWORK)).collect()
}
