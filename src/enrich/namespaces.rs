//! Whether a process lives in namespaces other than the host's.
//!
//! Owns: reading the host's namespaces once, and the comparison. Must not own: reading those of other processes (the
//! look has them).

use std::collections::BTreeMap;
use std::fs;

use crate::host::link::bracketed;
use crate::host::proc_dir::ProcDir;
use crate::model::ids::Inode;
use crate::model::look::Namespaces;

/// The namespaces of pid 1; where those may not be read, our own.
pub(super) fn of_host() -> Namespaces {
    let read = |name| namespace("1", name).or_else(|| namespace("self", name));
    Namespaces { net: read("net"), pid: read("pid"), mnt: read("mnt"), user: read("user") }
}

/// Namespaces by name.
pub(super) type Inodes = BTreeMap<&'static str, Inode>;

/// Every kind there is, with its link below `/proc/PID` and what the link's text begins with.
const KINDS: [(&str, &std::ffi::CStr, &[u8]); 8] = [
    ("cgroup", c"ns/cgroup", b"cgroup:["),
    ("ipc", c"ns/ipc", b"ipc:["),
    ("mnt", c"ns/mnt", b"mnt:["),
    ("net", c"ns/net", b"net:["),
    ("pid", c"ns/pid", b"pid:["),
    ("time", c"ns/time", b"time:["),
    ("user", c"ns/user", b"user:["),
    ("uts", c"ns/uts", b"uts:["),
];

/// All namespaces of pid 1; where those may not be read, our own.
pub(super) fn all_of_host() -> Inodes {
    let read = |name: &str, prefix: &[u8]| {
        ["1", "self"].iter().find_map(|pid| {
            let target = fs::read_link(format!("/proc/{pid}/ns/{name}")).ok()?;
            bracketed(target.as_os_str().as_encoded_bytes(), prefix)
        })
    };
    KINDS.into_iter().filter_map(|(name, _, prefix)| Some((name, read(name, prefix)?))).collect()
}

/// Those of a process that are not the host's.
pub(super) fn apart(dir: &ProcDir, host: &Inodes) -> Inodes {
    let own = KINDS.into_iter().filter_map(|(name, link, prefix)| Some((name, dir.namespace(link, prefix)?)));
    own.filter(differs(host)).collect()
}

fn differs(host: &Inodes) -> impl Fn(&(&'static str, Inode)) -> bool {
    |(name, inode)| host.get(name).is_some_and(|host| host != inode)
}

/// The same of those that a look has; `None` where it has none.
pub(super) fn looked(of: &Namespaces, host: &Inodes) -> Option<Inodes> {
    let known = [("net", of.net), ("pid", of.pid), ("mnt", of.mnt), ("user", of.user)];
    let known: Inodes = known.into_iter().filter_map(|(name, inode)| Some((name, inode?))).collect();
    (!known.is_empty()).then(|| known.into_iter().filter(differs(host)).collect())
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
        let own = ProcDir::open(crate::model::ids::Pid(std::process::id())).unwrap();
        let host = all_of_host();
        assert!(host.len() >= 7, "{host:?}");
        let changed = Inodes::from([("uts", Inode(1)), ("net", Inode(1))]);
        assert_eq!(apart(&own, &changed).keys().copied().collect::<Vec<_>>(), ["net", "uts"]);
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
