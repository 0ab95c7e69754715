//! Whether a process lives in namespaces other than the host's.
//!
//! Owns: reading the host's namespaces once, and the comparison. Must not own: reading those of other processes (the
//! look has them).

use std::fs;

use crate::model::ids::Inode;
use crate::model::look::Namespaces;

/// The namespaces of pid 1; where those may not be read, our own.
pub(super) fn of_host() -> Namespaces {
    let read = |name| namespace("1", name).or_else(|| namespace("self", name));
    Namespaces { net: read("net"), pid: read("pid"), mnt: read("mnt"), user: read("user") }
}

/// Whether a process is set apart from the host the way a container is: by its PID namespace, or by its mount
/// namespace unless it is in the group of a systemd service, which gets one for as little as `PrivateTmp=`.
pub(super) fn isolated(of: &Namespaces, host: &Namespaces, service: bool) -> bool {
    let differs = |a: Option<Inode>, b: Option<Inode>| matches!((a, b), (Some(a), Some(b)) if a != b);
    differs(of.pid, host.pid) || !service && differs(of.mnt, host.mnt)
}

/// The inode in `/proc/PID/ns/NAME`, a link to `mnt:[4026531841]` (namespaces(7)).
fn namespace(pid: &str, name: &str) -> Option<Inode> {
    let target = fs::read_link(format!("/proc/{pid}/ns/{name}")).ok()?;
    let digits = target.to_str()?.strip_prefix(name)?.strip_prefix(":[")?.strip_suffix(']')?;
    digits.parse().ok().map(Inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_compares() {
        let host = of_host();
        assert!(host.mnt.is_some() && host.pid.is_some());
        assert!(!isolated(&host, &host, false));
        assert!(!isolated(&Namespaces::default(), &host, false));
        let other_mnt = Namespaces { mnt: Some(Inode(1)), ..host };
        assert!(isolated(&other_mnt, &host, false));
        assert!(!isolated(&other_mnt, &host, true));
        assert!(isolated(&Namespaces { pid: Some(Inode(1)), ..host }, &host, true));
    }
}
