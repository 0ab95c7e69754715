//! Which container a process is in, read from its cgroup path.
//!
//! Owns: the forms of cgroup paths that runtimes write. Must not own: reading `/proc/PID/cgroup` (the look has it), what
//! a runtime knows about a container beyond its id. Talks to: nobody; every function is pure.
//!
//! The forms come from the runtimes' sources (moby `oci_linux.go`, containerd `helpers.go`, cri-o `cgmgr`, podman
//! `container_internal_linux.go`, runc `v2.go`, libvirt `virsystemd.c`) and from other readers of them (Falco's
//! matchers, Datadog's `reader.go`). A path is walked from the leaf to the root, because a container's payload may make
//! groups of its own below the container's.

use crate::model::ids::ContainerId;

/// What is said where a container is seen and its runtime cannot be told.
pub const UNKNOWN: &str = "unknown";
/// The most enclosing containers that are named.
const OUTER_MAX: usize = 8;
/// The most components of a path that are looked at, from the leaf; the kernel allows any depth.
const DEPTH_MAX: usize = 64;

/// The container of a process, as its cgroup path names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerIdentity {
    /// The runtime's id, or the name where the runtime knows containers by name.
    pub id: ContainerId,
    /// The runtime, or [`UNKNOWN`].
    pub runtime: &'static str,
    /// The pod's uid, 36 characters with dashes, or 32 hexadecimal digits for a static pod.
    pub pod_uid: Option<String>,
    /// The containers around it, nearest first.
    pub outer: Vec<ContainerId>,
    /// The path that named it.
    pub cgroup_path: String,
}

impl ContainerIdentity {
    /// Whether the path is one that nobody but root can have made, so that the process is in this container and in no
    /// other. Whoever may make cgroups below a group of their own (a container that may write to its cgroups, a user with a
    /// session, a unit with `Delegate=`) can give them any name, also one that names somebody else's container: nothing
    /// of theirs stands above the container that is believed.
    pub fn is_believed(&self) -> bool {
        let above = |part: &str| {
            let slice = part.ends_with(".slice") && part != "user.slice" && !part.starts_with("user-");
            let pod = part.strip_prefix("pod").is_some_and(is_pod_uid);
            let of_runtimes =
                ["besteffort", "burstable", "docker", "guaranteed", "kubepods", "libpod_parent"];
            slice || pod || of_runtimes.contains(&part)
        };
        let mut parts = self.cgroup_path.split('/').filter(|part| !part.is_empty());
        let own = parts.find(|part| !above(part));
        self.outer.is_empty() && own.is_some_and(|part| part.contains(self.id.as_str()))
    }

    /// Whether nothing but containerd's own database has what is known of it: of `ctr` and nerdctl.
    pub(super) fn is_in_database(&self) -> bool {
        self.runtime == "nerdctl" || self.runtime == "containerd" && !is_long_id(self.id.as_str())
    }
}

/// The container that the bytes of `/proc/PID/cgroup` name. `isolated`: the process's namespaces are not the host's;
/// only then are forms tried that ordinary groups could have as well (`ctr`, runc by hand).
pub fn identify(cgroup: &[u8], isolated: bool) -> Option<ContainerIdentity> {
    let paths = paths(cgroup);
    paths
        .iter()
        .find_map(|path| named(path))
        .or_else(|| isolated.then(|| paths.iter().find_map(|path| by_hand(path))).flatten())
}

/// The cgroup path of a process, in a container or not: of the candidates the most specific one. `None` where the
/// bytes hold no path.
pub fn cgroup_path(cgroup: &[u8]) -> Option<String> {
    let depth = |path: &str| path.split('/').filter(|part| !part.is_empty()).count();
    let mut best: Option<&[u8]> = None;
    for path in paths(cgroup) {
        let more = |best: &[u8]| depth(&show(path)) > depth(&show(best));
        if best.is_none_or(more) {
            best = Some(path);
        }
    }
    best.map(show)
}

/// Whether the innermost group is a systemd service: such a process has a mount namespace of its own as soon as its
/// unit asks for any sandboxing, which makes it no container.
pub fn is_service(cgroup_path: &str) -> bool {
    cgroup_path.rsplit('/').next().is_some_and(|leaf| leaf.ends_with(".service"))
}

/// The paths in `/proc/PID/cgroup` (cgroups(7): `hierarchy:controllers:path`), best first: `memory`, `pids`,
/// `name=systemd`, the v2 line, any other. On a pure v2 system there is only the v2 line.
fn paths(cgroup: &[u8]) -> Vec<&[u8]> {
    let mut ranked: Vec<(u8, &[u8])> = Vec::new();
    for line in cgroup.split(|&b| b == b'\n').take(64) {
        let mut fields = line.splitn(3, |&b| b == b':');
        let (Some(hierarchy), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if !path.starts_with(b"/") {
            continue;
        }
        let has = |name: &[u8]| controllers.split(|&b| b == b',').any(|controller| controller == name);
        let rank = match hierarchy {
            _ if has(b"memory") => 0,
            _ if has(b"pids") => 1,
            _ if has(b"name=systemd") => 2,
            b"0" if controllers.is_empty() => 3,
            _ => 4,
        };
        // The kernel adds this to the path of a group that was removed under a zombie.
        ranked.push((rank, path.strip_suffix(b" (deleted)").unwrap_or(path)));
    }
    ranked.sort_by_key(|&(rank, _)| rank);
    ranked.into_iter().map(|(_, path)| path).collect()
}

fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// A path's components, leaf first; those that are not UTF-8 can be no name of ours and stand as an empty one.
fn leaf_to_root(path: &[u8]) -> Vec<&str> {
    path.rsplit(|&b| b == b'/')
        .filter(|part| !part.is_empty() && *part != b".." && *part != b".")
        .take(DEPTH_MAX)
        .map(|part| std::str::from_utf8(part).unwrap_or(""))
        .collect()
}

/// By the forms that say by themselves that they are a container's.
fn named(path: &[u8]) -> Option<ContainerIdentity> {
    let parts = leaf_to_root(path);
    let at = |i: usize| parts.get(i).copied().unwrap_or("");
    let mut hits = (0..parts.len()).filter_map(|i| {
        let child = i.checked_sub(1).map_or("", at);
        component(at(i), child, &parts[i + 1..]).map(|(id, runtime)| (i, id, runtime))
    });
    let (first, id, runtime) = hits.next()?;
    let mut outer: Vec<ContainerId> = Vec::new();
    for (_, enclosing, _) in hits {
        if enclosing != id && !outer.contains(&enclosing) && outer.len() < OUTER_MAX {
            outer.push(enclosing);
        }
    }
    let pod_uid = parts[first..].iter().find_map(|part| pod_uid(part));
    Some(ContainerIdentity { id, runtime, pod_uid, outer, cgroup_path: show(path) })
}

/// The container that one component names, given the component below it and those above it, nearest first.
fn component(name: &str, child: &str, above: &[&str]) -> Option<(ContainerId, &'static str)> {
    let parent = above.first().copied().unwrap_or("");
    if name.ends_with(".mount") || name.starts_with("crio-conmon-") || name.starts_with("libpod-conmon-") {
        return None;
    }
    let bare = name.strip_suffix(".scope").unwrap_or(name);
    let found = |id: &str, runtime| ContainerId::new(id).map(|id| (id, runtime));

    // containerd with the systemd form of a path under the cgroupfs driver: `<slice>:cri-containerd:<id>`.
    if let Some((_, id)) = bare.rsplit_once(":cri-containerd:").filter(|(_, id)| is_long_id(id)) {
        return found(id, "containerd");
    }
    for (prefix, runtime) in [
        ("cri-containerd-", "containerd"),
        ("crio-", "cri-o"),
        ("docker-", "docker"),
        ("nerdctl-", "nerdctl"),
        ("libpod-payload-", "podman"),
        ("libpod-", "podman"),
    ] {
        if let Some(id) = bare.strip_prefix(prefix).filter(|id| is_long_id(id)) {
            return found(id, runtime);
        }
    }
    if is_long_id(bare) {
        return found(bare, runtime_above(above));
    }
    if is_fargate(bare) {
        return found(bare, "fargate");
    }
    if let Some(lxc) = name.strip_prefix("lxc.payload.") {
        return found(lxc, "lxc");
    }
    if matches!(parent, "lxc" | "lxc.payload") {
        return found(name, "lxc");
    }
    if let Some(rest) = name.strip_prefix("machine-").and_then(|rest| rest.strip_suffix(".scope")) {
        let machine = unescape(rest);
        if let Some(domain) = machine.strip_prefix("lxc-") {
            // libvirt: `lxc-<domain id>-<domain name>`.
            return domain.split_once('-').and_then(|(_, name)| found(name, "libvirt-lxc"));
        }
        // Beside `payload` there is `supervisor`, which is nspawn itself.
        return if child == "payload" { found(&machine, "systemd-nspawn") } else { None };
    }
    if let Some(rest) = name.strip_prefix("systemd-nspawn@").and_then(|rest| rest.strip_suffix(".service")) {
        return if child == "payload" { found(&unescape(rest), "systemd-nspawn") } else { None };
    }
    if let Some(id) = bare.strip_prefix("bpm-") {
        return found(id, "bpm");
    }
    if is_uuid(bare, 12) && parent == "mesos" {
        return found(bare, "mesos");
    }
    // Datadog's reader has seen Garden's ids end in four digits.
    if is_uuid(bare, 4) || is_uuid(bare, 12) {
        return found(bare, "garden");
    }
    None
}

/// Whose a bare id of 64 digits is, by the groups above it.
fn runtime_above(above: &[&str]) -> &'static str {
    let parent = above.first().copied().unwrap_or("");
    if pod_uid(parent).is_some() {
        "containerd"
    } else if parent == "docker" || above.get(1) == Some(&"ecs") {
        "docker"
    } else {
        UNKNOWN
    }
}

/// By forms that ordinary groups could have as well: runc or crun run by hand, `ctr` (`/<namespace>/<id>`). The
/// innermost group that is not a systemd unit's is taken for the container.
fn by_hand(path: &[u8]) -> Option<ContainerIdentity> {
    let parts = leaf_to_root(path);
    let found = |id: &str, runtime| {
        let (id, outer) = (ContainerId::new(id)?, Vec::new());
        Some(ContainerIdentity { id, runtime, pod_uid: None, outer, cgroup_path: show(path) })
    };
    for (i, &name) in parts.iter().enumerate() {
        let scope = name.strip_suffix(".scope");
        for (prefix, runtime) in [("runc-", "runc"), ("crun-", "crun")] {
            if let Some(id) = scope.and_then(|scope| scope.strip_prefix(prefix)) {
                return found(id, runtime);
            }
        }
        // crun makes a group of this name below its own scope.
        let of_crun = name == "container" && parts.get(i + 1).is_some_and(|above| above.starts_with("crun-"));
        if is_unit(name) || of_crun {
            continue;
        }
        let namespace_above = parts.len() == i + 2 && parts.last().is_some_and(|top| !is_unit(top));
        return found(name, if namespace_above { "containerd" } else { UNKNOWN });
    }
    None
}

/// A name that systemd gives groups.
fn is_unit(name: &str) -> bool {
    [".slice", ".service", ".scope", ".mount", ".socket", ".swap"].iter().any(|suffix| name.ends_with(suffix))
        || name.is_empty()
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// 64 hexadecimal digits, as most runtimes make ids.
pub(super) fn is_long_id(text: &str) -> bool {
    text.len() == 64 && is_hex(text)
}

/// `[0-9a-f]{32}-[0-9]+` (Datadog's reader).
fn is_fargate(text: &str) -> bool {
    text.split_once('-').is_some_and(|(task, number)| {
        task.len() == 32
            && is_hex(task)
            && (1..=20).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// 8-4-4-4-`last` hexadecimal digits.
fn is_uuid(text: &str, last: usize) -> bool {
    let mut groups = text.split('-');
    [8, 4, 4, 4, last].into_iter().all(|len| groups.next().is_some_and(|g| g.len() == len && is_hex(g)))
        && groups.next().is_none()
}

/// Whether this is a pod's uid as the API server or, of a static pod, the kubelet makes it.
pub(super) fn is_pod_uid(text: &str) -> bool {
    is_uuid(text, 12) || text.len() == 32 && is_hex(text)
}

/// The uid after `pod` in one component, dashes in place of the underscores that systemd needs.
fn pod_uid(component: &str) -> Option<String> {
    component.match_indices("pod").find_map(|(i, _)| {
        let rest = component.get(i + 3..)?;
        let end = rest.find(['.', ':', '/']).unwrap_or(rest.len());
        let uid = rest.get(..end)?.replace('_', "-");
        is_pod_uid(&uid).then_some(uid)
    })
}

/// Undoes the `\xNN` of systemd.unit(5) for ASCII; anything else stays and then is no id.
fn unescape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("\\x") {
        out.push_str(before);
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(u8::is_ascii) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = after.get(2..).unwrap_or("");
            }
            None => {
                out.push_str("\\x");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
