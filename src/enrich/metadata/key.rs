//! What an answer about a container depends on.
//!
//! Owns: telling apart what must not be taken for one another. An id alone is not enough: whoever may make cgroups can call
//! one by the id of somebody else's container, below a user's slice or a pod of another uid, and for such a path other
//! files are read. An answer to that question must never become the answer about the real one, on which rules rest. Must
//! not own: what is known (`ledger`).

use super::homes;
use crate::enrich::container::ContainerIdentity;
use crate::model::ids::{ContainerId, Uid};

/// One question: two containers with the same key have the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) runtime: &'static str,
    pub(super) id: ContainerId,
    /// The uid of its pod, as its cgroup's path has it.
    pub(super) pod: Option<String>,
    /// Whose home is looked into first.
    pub(super) user: Option<Uid>,
    /// Which of containerd's namespaces it is in, where it is no pod's.
    pub(super) namespace: Option<String>,
}

/// The longest name of a namespace or a container of containerd's (its `identifiers.Validate`).
const IDENTIFIER_MAX: usize = 76;
/// Where nerdctl's containers are, unless its user says otherwise.
const NERDCTL_NAMESPACE: &str = "default";

impl Key {
    /// `rootless`: whether users' homes are read.
    pub(super) fn of(container: &ContainerIdentity, rootless: bool) -> Self {
        Self {
            runtime: container.runtime,
            id: container.id.clone(),
            pod: container.pod_uid.clone(),
            user: homes::user_of(container).filter(|_| rootless),
            namespace: namespace(container),
        }
    }
}

/// By the form of the cgroup's path: `ctr` makes `/NAMESPACE/ID`.
fn namespace(container: &ContainerIdentity) -> Option<String> {
    let found = match container.runtime {
        _ if !container.is_in_database() => return None,
        "nerdctl" => NERDCTL_NAMESPACE,
        _ => container.cgroup_path.strip_prefix('/')?.split('/').next()?,
    };
    (is_identifier(found) && is_identifier(container.id.as_str())).then(|| found.to_owned())
}

fn is_identifier(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=IDENTIFIER_MAX).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::container::identify;

    #[test]
    fn namespaces_of_containerd() {
        let id = "0123456789abcdef".repeat(4);
        let of = |path: &str| {
            let cgroup = format!("0::{path}\n").replace("ID", &id);
            identify(cgroup.as_bytes(), true).and_then(|container| Key::of(&container, true).namespace)
        };
        assert_eq!(of("/default/web").as_deref(), Some("default"));
        assert_eq!(of("/build.x-1/web").as_deref(), Some("build.x-1"));
        assert_eq!(of("/system.slice/nerdctl-ID.scope").as_deref(), Some("default"));
        let long = "n".repeat(IDENTIFIER_MAX + 1);
        for path in
            ["/kubepods/besteffort/ID", "/docker/ID", "/a b/web", "/default/we b", &format!("/{long}/web")]
        {
            assert_eq!(of(path), None, "{path}");
        }
    }
}
