//! The filter that the kernel runs on connector messages before it wakes us.
//!
//! Owns: the classic BPF program (SO_ATTACH_FILTER, socket(7); Linux `Documentation/networking/filter.rst`) that lets
//! through every exec, and forks and exits only of processes that matter. Wake-ups are what listening costs, so what
//! is not needed must not wake. Must not own: the list of processes (`sensor`).

use libc::sock_filter;

use super::cn_proc::{WHAT_EXEC, WHAT_EXIT, WHAT_FORK};
use crate::model::ids::Pid;

/// The most processes a filter lists. A program of so many takes 1,810 instructions, of at most 4,096 (BPF_MAXINSNS), and
/// 16 KB as the kernel translates it, of the 20 KB that a socket may have (net.core.optmem_max, net/core/sock.c) before
/// Linux 6.7.
pub const LISTED_MAX: usize = 1536;
/// Processes compared one after another at the end of a search.
const LEAF: usize = 24;

// Places in the datagram: 16 bytes nlmsghdr, 20 bytes cn_msg, then proc_event.
const AT_WHAT: u32 = 36;
const AT_DATA: u32 = 52;

// Classic BPF opcodes (include/uapi/linux/bpf_common.h).
const LD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JEQ: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JEQ_X: u16 = 0x1d; // BPF_JMP | BPF_JEQ | BPF_X
const JGE: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RSH: u16 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const TAX: u16 = 0x07; // BPF_MISC | BPF_TAX
const RET: u16 = 0x06; // BPF_RET | BPF_K
const JA: u16 = 0x05; // BPF_JMP | BPF_JA
const ACCEPT: u32 = u32::MAX;
const DROP: u32 = 0;

/// Whose forks and exits are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Nobody's: execs only.
    Nobody,
    /// Those of the processes listed, at most [`LISTED_MAX`].
    Listed(&'a [Pid]),
    /// Everybody's (processes, not threads).
    Everybody,
}

/// The program for a scope.
pub fn program(scope: Scope<'_>) -> Vec<sock_filter> {
    let listed: &[Pid] = match scope {
        Scope::Listed(pids) => pids.get(..LISTED_MAX).unwrap_or(pids),
        Scope::Nobody | Scope::Everybody => &[],
    };
    let mut code = vec![load(AT_WHAT), jump(JEQ, on_wire(WHAT_EXEC), 0, 1), ret(ACCEPT)];
    if scope == Scope::Nobody || (listed.is_empty() && scope != Scope::Everybody) {
        code.push(ret(DROP));
        return code;
    }
    // fork: a process if child_pid (word 2) is child_tgid (word 3); whose: parent_tgid (word 1).
    // exit: a process if process_pid (word 0) is process_tgid (word 1), which is also whose.
    code.extend([
        jump(JEQ, on_wire(WHAT_FORK), 0, 6),
        load(AT_DATA + 8),
        op(TAX, 0),
        load(AT_DATA + 12),
        jump(JEQ_X, 0, 1, 0),
        ret(DROP),
        op(JA, 7),
        jump(JEQ, on_wire(WHAT_EXIT), 1, 0),
        ret(DROP),
        load(AT_DATA),
        op(TAX, 0),
        load(AT_DATA + 4),
        jump(JEQ_X, 0, 1, 0),
    ]);
    // An exit of a thread falls on this; an exit of a process and every fork jump over it.
    code.push(ret(DROP));
    code.push(load(AT_DATA + 4));
    if scope == Scope::Everybody {
        code.push(ret(ACCEPT));
        return code;
    }
    code.push(op(RSH, ABSENT_BITS));
    let mut keys: Vec<u32> = listed.iter().map(|pid| on_wire(pid.0) >> ABSENT_BITS).collect();
    keys.sort_unstable();
    search(&mut code, &keys);
    code
}

/// Accepts what is in the sorted list: halves it down to [`LEAF`] and compares with those, so that a message costs the same
/// whoever is listed.
fn search(code: &mut Vec<sock_filter>, keys: &[u32]) {
    if keys.len() <= LEAF {
        // From the last one on: one instruction to DROP, and behind it ACCEPT.
        for (before, key) in (1..=keys.len()).rev().zip(keys) {
            code.push(jump(JEQ, *key, u8::try_from(before).unwrap_or(u8::MAX), 0));
        }
        code.extend([ret(DROP), ret(ACCEPT)]);
        return;
    }
    let (low, high) = keys.split_at(keys.len() / 2);
    let Some(pivot) = high.first() else { return };
    code.push(jump(JGE, *pivot, 0, 1));
    // A conditional jump reaches 255 instructions; this one has 32 bits.
    let over = code.len();
    code.push(op(JA, 0));
    search(code, low);
    let length = code.len() - over - 1;
    if let Some(jump) = code.get_mut(over) {
        jump.k = u32::try_from(length).unwrap_or(u32::MAX);
    }
    search(code, high);
}

/// Bits of a process id, as BPF loads it, that are always zero: ids have 22 bits (PID_MAX_LIMIT, `include/linux/threads.h`),
/// and on a little-endian machine the first byte is loaded as the highest. Without them no constant is negative, of
/// which each would take an instruction more in the kernel's translation.
const ABSENT_BITS: u32 = if cfg!(target_endian = "little") { 8 } else { 0 };

/// BPF loads words as if they were big-endian; the connector writes them in the machine's order.
fn on_wire(word: u32) -> u32 {
    u32::from_be_bytes(word.to_ne_bytes())
}

fn load(at: u32) -> sock_filter {
    op(LD_WORD, at)
}

fn ret(value: u32) -> sock_filter {
    op(RET, value)
}

fn op(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::super::cn_proc::tests::datagram;
    use super::*;

    /// Runs a program as the kernel would; panics where it jumps out of itself.
    fn accepts(code: &[sock_filter], packet: &[u8]) -> bool {
        let (mut a, mut x, mut pc) = (0u32, 0u32, 0usize);
        loop {
            let i = code[pc];
            pc += 1;
            match i.code {
                LD_WORD => {
                    let at = i.k as usize;
                    a = u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
                }
                TAX => x = a,
                JA => pc += i.k as usize,
                RSH => a >>= i.k,
                JGE => pc += usize::from(if a >= i.k { i.jt } else { i.jf }),
                JEQ => pc += usize::from(if a == i.k { i.jt } else { i.jf }),
                JEQ_X => pc += usize::from(if a == x { i.jt } else { i.jf }),
                RET => return i.k != 0,
                other => panic!("opcode {other}"),
            }
        }
    }

    const FORK_OF_2: [u32; 6] = [3, 2, 9, 9, 0, 0];
    const THREAD_OF_2: [u32; 6] = [3, 2, 9, 2, 0, 0];
    const EXIT_OF_2: [u32; 6] = [2, 2, 0, 17, 1, 1];
    const THREAD_EXIT_OF_2: [u32; 6] = [3, 2, 0, 17, 1, 1];

    #[test]
    fn execs_always_the_rest_by_scope() {
        let many: Vec<Pid> = (2..2 + LISTED_MAX as u32).map(Pid).collect();
        for (scope, forks_of_2) in [
            (Scope::Nobody, false),
            (Scope::Listed(&[]), false),
            (Scope::Listed(&[Pid(7)]), false),
            (Scope::Listed(&[Pid(7), Pid(2)]), true),
            (Scope::Listed(&many), true),
            (Scope::Everybody, true),
        ] {
            let code = program(scope);
            let run = |what, data| accepts(&code, &datagram(what, data));
            assert!(run(WHAT_EXEC, [5, 5, 0, 0, 0, 0]), "{scope:?}");
            assert_eq!(run(WHAT_FORK, FORK_OF_2), forks_of_2, "{scope:?}");
            assert_eq!(run(WHAT_EXIT, EXIT_OF_2), forks_of_2, "{scope:?}");
            assert!(!run(WHAT_FORK, THREAD_OF_2), "{scope:?}");
            assert!(!run(WHAT_EXIT, THREAD_EXIT_OF_2), "{scope:?}");
            assert!(!run(0x200, [2, 2, 2, 2, 2, 2]), "comm events, {scope:?}");
        }
    }

    #[test]
    fn the_list_is_bounded() {
        let pids: Vec<Pid> = (0..10_000).map(Pid).collect();
        assert!(program(Scope::Listed(&pids)).len() < 2048);
    }

    #[test]
    fn everyone_listed_and_nobody_else() {
        for step in [1, 7, 255, 256, 2729] {
            for count in [1, 23, 24, 25, 48, 49, 255, 257, LISTED_MAX as u32] {
                let pids: Vec<Pid> = (1..=count).rev().map(|at| Pid(at * step)).collect();
                let code = program(Scope::Listed(&pids));
                for parent in (0..=count).flat_map(|at| [at * step, at * step + 1]) {
                    let heard = accepts(&code, &datagram(WHAT_FORK, [parent, parent, 9, 9, 0, 0]));
                    assert_eq!(heard, pids.contains(&Pid(parent)), "{parent} of {count} by {step}");
                }
            }
        }
    }
}
