//! Reading `/proc/PID/stat` and `/proc/PID/status`.
//!
//! Owns: the few fields a look needs (proc_pid_stat(5), proc_pid_status(5)). Must not own: opening the files.
//! The name in `stat` is the process's to choose and may hold spaces, parentheses and newlines: what follows the
//! *last* `)` is the kernel's.

use crate::host::link::number;
use crate::model::ids::{Gid, Pid, StartTime, Uid};
use crate::model::look::{Credentials, Privileges};

/// Fields of `stat`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The name.
    pub comm: Vec<u8>,
    /// The state's letter: `Z` and `X` are dead.
    pub state: u8,
    /// Parent.
    pub parent: Pid,
    /// Process group.
    pub pgrp: Pid,
    /// Session.
    pub session: Pid,
    /// How many threads; 0 or 1 of one that has ended.
    pub threads: u32,
    /// Start time.
    pub start: StartTime,
}

impl Stat {
    /// Reads the text; `None` where it is cut or not what it should be.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|&b| b == b'(')?;
        let close = text.iter().rposition(|&b| b == b')')?;
        let comm = text.get(open + 1..close)?.to_vec();
        let mut fields = text.get(close + 1..)?.split(|&b| b == b' ' || b == b'\n').filter(|f| !f.is_empty());
        let state = *fields.next()?.first()?;
        let mut id = || Some(Pid(small(fields.next()?)));
        let (parent, pgrp, session) = (id()?, id()?, id()?);
        // Fields 20 and 22; 7 is next.
        let threads = small(fields.nth(13)?);
        let start = StartTime(number(fields.nth(1)?)?);
        Some(Self { comm, state, parent, pgrp, session, threads, start })
    }

    /// Whether the process still runs.
    pub fn lives(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Ids outside our PID namespace show as 0 or -1.
fn small(field: &[u8]) -> u32 {
    number(field).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

/// Fields of `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Real and effective ids; the login is elsewhere.
    pub credentials: Credentials,
    /// The process, where the status is of one of its threads.
    pub group: Pid,
    /// The id in the innermost PID namespace.
    pub inner_pid: Option<Pid>,
    /// The parent.
    pub parent: Pid,
}

impl Status {
    /// Reads the text. The kernel escapes newlines in `Name:`, so lines are lines.
    pub fn parse(text: &[u8]) -> Self {
        let mut status = Self::default();
        for line in text.split(|&b| b == b'\n') {
            let mut fields = line.split(|&b| b == b'\t' || b == b' ').filter(|f| !f.is_empty());
            let Some(key) = fields.next() else { continue };
            let mut next = || fields.next().map(small).unwrap_or(0);
            match key {
                b"Tgid:" => status.group = Pid(next()),
                b"PPid:" => status.parent = Pid(next()),
                b"Uid:" => {
                    status.credentials.uid = Uid(next());
                    status.credentials.euid = Uid(next());
                }
                b"Gid:" => {
                    status.credentials.gid = Gid(next());
                    status.credentials.egid = Gid(next());
                }
                b"CapPrm:" => status.privileges().permitted = fields.next().map_or(0, hexadecimal),
                b"CapEff:" => status.privileges().effective = fields.next().map_or(0, hexadecimal),
                b"NoNewPrivs:" => status.privileges().no_new_privs = next() != 0,
                b"Seccomp:" => {
                    status.privileges().seccomp = fields.next().and_then(|f| u8::try_from(small(f)).ok());
                }
                b"NSpid:" => status.inner_pid = fields.next_back().map(|field| Pid(small(field))),
                _ => {}
            }
        }
        status
    }
}

impl Status {
    fn privileges(&mut self) -> &mut Privileges {
        self.credentials.privileges.get_or_insert_default()
    }
}

/// A mask as the kernel writes it: hexadecimal digits and nothing before them; 0 where it is none.
fn hexadecimal(field: &[u8]) -> u64 {
    std::str::from_utf8(field).ok().and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0)
}

/// Reads `loginuid`: 4294967295 stands for nobody.
pub fn parse_login(text: &[u8]) -> Option<Uid> {
    let uid = u32::try_from(number(text.trim_ascii())?).ok()?;
    (uid != u32::MAX).then_some(Uid(uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REST: &str = "S 41 42 43 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 11 22\n";

    #[test]
    fn hostile_names() {
        for comm in ["sh", "a b", ") S 1 1 1", "x)\n(y", ""] {
            let stat = Stat::parse(format!("77 ({comm}) {REST}").as_bytes()).unwrap();
            assert_eq!(stat.comm, comm.as_bytes());
            assert_eq!((stat.parent, stat.pgrp, stat.session), (Pid(41), Pid(42), Pid(43)));
            assert_eq!(stat.start, StartTime(987_654));
        }
    }

    #[test]
    fn our_own() {
        let stat = Stat::parse(&std::fs::read("/proc/self/stat").unwrap()).unwrap();
        assert!(stat.lives() && stat.start.0 > 0);
        let status = Status::parse(&std::fs::read("/proc/self/status").unwrap());
        assert_eq!(status.inner_pid, Some(Pid(std::process::id())));
        assert_eq!(parse_login(b"4294967295"), None);
        assert_eq!(parse_login(b"1000\n"), Some(Uid(1000)));
    }

    #[test]
    fn privileges() {
        let text =
            b"Name:\tsh\nCapPrm:\t00000000a80425fb\nCapEff:\t0000000000000400\nNoNewPrivs:\t1\nSeccomp:\t2\n";
        let known =
            Privileges { effective: 0x400, permitted: 0xa804_25fb, seccomp: Some(2), no_new_privs: true };
        assert_eq!(Status::parse(text).credentials.privileges, Some(known));
        assert_eq!(Status::parse(b"Uid:\t0\t0\t0\t0\n").credentials.privileges, None);
        let odd = Status::parse(b"CapEff:\txyz\nSeccomp:\t999\n").credentials.privileges;
        assert_eq!(odd, Some(Privileges::default()));
        let own = Status::parse(&std::fs::read("/proc/self/status").unwrap()).credentials.privileges;
        assert!(own.is_some_and(|own| own.permitted & own.effective == own.effective));
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Stat::parse(&bytes);
            let _ = Status::parse(&bytes);
            let _ = parse_login(&bytes);
        }
    }
}
