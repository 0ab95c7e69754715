//! Identities: of processes, users, files, sockets, findings.
//!
//! Owns: the newtypes for what the kernel calls an integer, and their text forms. Must not own: how they are read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $int:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map(Self)
            }
        }
    };
}

number!(
    /// A process id (thread group id) in the initial PID namespace; 1 to 4,194,304 (`PID_MAX_LIMIT`).
    Pid,
    u32
);
number!(
    /// When a process started, in clock ticks after boot (field 22 of `/proc/PID/stat`, proc_pid_stat(5)).
    /// 0 where it is not known.
    StartTime,
    u64
);
number!(
    /// A user id in the initial user namespace.
    Uid,
    u32
);
number!(
    /// A group id in the initial user namespace.
    Gid,
    u32
);
number!(
    /// An inode number: of a file, a socket (sockfs), a pipe (pipefs) or a namespace (nsfs).
    Inode,
    u64
);
number!(
    /// A socket's cookie (`SO_COOKIE`, socket(7)): unique among all sockets of one boot.
    SocketCookie,
    u64
);

impl Pid {
    /// The first process of the initial PID namespace.
    pub const INIT: Pid = Pid(1);
}

/// One life of a process. Process ids are used again; together with the start time they are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessKey {
    /// The process id.
    pub pid: Pid,
    /// When that life began; 0 if the process was gone before it could be read.
    pub start: StartTime,
}

impl fmt::Display for ProcessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.pid, self.start)
    }
}

/// The name of a finding: 128 bits, written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FindingId(pub [u8; 16]);

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FindingId({self})")
    }
}

/// What [`FindingId::from_str`] says of a text that is not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a finding's id is 32 hexadecimal digits")]
pub struct BadFindingId;

impl FromStr for FindingId {
    type Err = BadFindingId;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let digits = s.as_bytes();
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(BadFindingId);
        }
        let value = u128::from_str_radix(s, 16).map_err(|_| BadFindingId)?;
        Ok(Self(value.to_be_bytes()))
    }
}

/// A container's id as its runtime writes it: 1 to 255 characters of `[A-Za-z0-9._-]`, not beginning with a dot.
/// Safe as one component of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ContainerId(String);

impl ContainerId {
    /// Checks `text`; `None` where it could not be one component of a path.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=255).contains(&text.len())
            && !text.starts_with('.')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        fits.then(|| Self(text.to_owned()))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finding_id_round_trips() {
        let id = FindingId([0x0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xf0]);
        assert_eq!(id.to_string().len(), 32);
        assert_eq!(id.to_string().parse::<FindingId>(), Ok(id));
        assert!("+f1c9d0e6b7a4c5f8a2e1d3c5b7a9f01".parse::<FindingId>().is_err());
        assert!("4f".parse::<FindingId>().is_err());
    }

    #[test]
    fn container_id_is_one_path_component() {
        for bad in ["", ".", "..", "a/b", "a\0b", "../x", ".hidden", "a b", "é"] {
            assert!(ContainerId::new(bad).is_none(), "{bad:?}");
        }
        assert!(ContainerId::new(&"a".repeat(256)).is_none());
        assert!(ContainerId::new("web-1_x.y").is_some());
    }
}
