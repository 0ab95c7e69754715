//! A filter of system calls for this thread and all that come of it (seccomp(2)).
//!
//! Owns: making the filter's program of a list, and putting it in place. Must not own: the list (`daemon::calls`). What the
//! filter refuses is in the kernel's log as well (audit record 1326), so that a list which is too short is seen.
#![allow(unsafe_code)] // seccomp(2) takes a raw pointer

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

/// `AUDIT_ARCH_*` (`include/uapi/linux/audit.h`): numbers of system calls are those of an architecture.
const ARCHITECTURE: u32 = if cfg!(target_arch = "aarch64") { 0xc000_00b7 } else { 0xc000_003e };

/// What an argument must be, as its lower 32 bits.
#[derive(Clone, Copy, Debug)]
pub enum Is {
    /// This very number.
    Equal(u32),
    /// None of these bits.
    Without(u32),
}

/// A system call that is let through.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Its number.
    pub call: libc::c_long,
    /// Where this is not empty: only with arguments (counted from 0) of which all of one group are as they must be.
    pub when: &'static [&'static [(u8, Is)]],
}

/// What becomes of a system call that is not on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// It fails with EPERM.
    Refuse,
    /// It is done, and is in the kernel's log.
    Log,
}

/// Puts a filter in place for the calling thread and all threads and children that it will have. It needs no_new_privs, or
/// CAP_SYS_ADMIN. It cannot be taken away again. Calls in `often` are let through before the list is gone through: kernels
/// before 5.11 go through it at each call.
pub fn confine(often: &[libc::c_long], list: &[Allowed], otherwise: Otherwise) -> io::Result<()> {
    let action = match otherwise {
        Otherwise::Refuse => SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        Otherwise::Log => SeccompAction::Log,
    };
    // The arguments of clone3 are in memory, where no filter sees them. "Not there" has the C library use clone. Of two filters
    // the stricter one counts, and of equal ones the later.
    let gone = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let clone3 = || (libc::SYS_clone3, Vec::new());
    install(&compile(BTreeMap::from([clone3()]), SeccompAction::Allow, gone)?, 0)?;
    let mut rules = rules(list)?;
    rules.extend([clone3()]);
    let mut program = shortcut(often)?;
    program.extend(compile(rules, action, SeccompAction::Allow)?);
    install(&program, libc::SECCOMP_FILTER_FLAG_LOG)
}

/// The beginning of a program: lets these calls through; whatever follows decides about the others.
fn shortcut(often: &[libc::c_long]) -> io::Result<BpfProgram> {
    let count = u8::try_from(often.len()).ok().filter(|count| *count < 200);
    let count = count.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let instruction =
        |code: u32, yes, no, value| sock_filter { code: code as u16, jt: yes, jf: no, k: value };
    // `struct seccomp_data`: the call's number at 0, the architecture at 4.
    let load = |at| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, at);
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let mut program = vec![load(4), instruction(equal, 0, count + 3, ARCHITECTURE), load(0)];
    for (left, call) in (1..=count).rev().zip(often) {
        let number = u32::try_from(*call).map_err(io::Error::other)?;
        program.push(instruction(equal, left, 0, number));
    }
    program.push(instruction(libc::BPF_JMP | libc::BPF_JA, 0, 0, 1));
    program.push(instruction(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ALLOW));
    Ok(program)
}

fn rules(list: &[Allowed]) -> io::Result<BTreeMap<i64, Vec<SeccompRule>>> {
    let mut rules = BTreeMap::new();
    for allowed in list {
        let groups: Result<Vec<_>, _> = allowed
            .when
            .iter()
            .map(|group| SeccompRule::new(group.iter().map(condition).collect::<Result<_, _>>()?))
            .collect();
        rules.insert(allowed.call, groups.map_err(io::Error::other)?);
    }
    Ok(rules)
}

fn condition(&(index, is): &(u8, Is)) -> Result<SeccompCondition, seccompiler::BackendError> {
    let (operator, value) = match is {
        Is::Equal(value) => (SeccompCmpOp::Eq, value),
        Is::Without(bits) => (SeccompCmpOp::MaskedEq(bits.into()), 0),
    };
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value.into())
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> io::Result<BpfProgram> {
    let architecture = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, otherwise, matched, architecture).map_err(io::Error::other)?;
    filter.try_into().map_err(io::Error::other)
}

fn install(program: &BpfProgram, flags: libc::c_ulong) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let filter = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the kernel reads `len` instructions at `filter`, which `program` holds through the call, in the form of
    // `struct sock_filter`.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a thread of its own: the filter stays with the thread.
    fn confined<T: Send>(list: &[Allowed], act: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                rustix::thread::set_no_new_privs(true).unwrap();
                confine(&[libc::SYS_futex, libc::SYS_getppid], list, Otherwise::Refuse).unwrap();
                act()
            });
            thread.join().unwrap()
        })
    }

    fn always(call: libc::c_long) -> Allowed {
        Allowed { call, when: &[] }
    }

    /// What a thread needs to end, and the test to allocate.
    fn basics() -> Vec<Allowed> {
        [
            libc::SYS_futex,
            libc::SYS_munmap,
            libc::SYS_mmap,
            libc::SYS_madvise,
            libc::SYS_mprotect,
            libc::SYS_brk,
            libc::SYS_sigaltstack,
            libc::SYS_rt_sigprocmask,
            libc::SYS_exit,
            libc::SYS_close,
            libc::SYS_rseq,
            libc::SYS_set_robust_list,
        ]
        .map(always)
        .to_vec()
    }

    #[test]
    fn what_is_not_listed_is_refused() {
        let (listed, unlisted) = confined(&[basics(), vec![always(libc::SYS_getpid)]].concat(), || {
            // One of the list, one of those that are let through before it.
            let listed = (rustix::process::getpid(), rustix::process::getppid());
            (listed, rustix::fs::statfs("/").map(drop))
        });
        assert_eq!(listed, (rustix::process::getpid(), rustix::process::getppid()));
        assert_eq!(unlisted, Err(rustix::io::Errno::PERM));
        assert!(rustix::fs::statfs("/").is_ok(), "other threads are as before");
    }

    #[test]
    fn arguments_count() {
        use rustix::net::{AddressFamily, SocketType, socket};
        let only_unix = Allowed {
            call: libc::SYS_socket,
            when: &[&[(0, Is::Equal(libc::AF_UNIX as u32)), (1, Is::Without(libc::SOCK_SEQPACKET as u32))]],
        };
        let list = [basics(), vec![only_unix]].concat();
        let (unix, stream, inet) = confined(&list, || {
            let open = |family, kind| socket(family, kind, None).map(drop);
            (
                // SOCK_DGRAM is 2, SOCK_STREAM 1, SOCK_SEQPACKET 5: the last shares a bit with the second.
                open(AddressFamily::UNIX, SocketType::DGRAM),
                open(AddressFamily::UNIX, SocketType::STREAM),
                open(AddressFamily::INET, SocketType::DGRAM),
            )
        });
        assert_eq!(unix, Ok(()));
        assert_eq!((stream, inet), (Err(rustix::io::Errno::PERM), Err(rustix::io::Errno::PERM)));
    }
}
