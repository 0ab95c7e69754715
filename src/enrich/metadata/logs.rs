//! Which pod that is, by the directory that the kubelet keeps its logs in.
//!
//! Owns: the form of that name (`pkg/kubelet/kuberuntime/helpers.go`: `NAMESPACE_NAME_UID`). The kubelet makes it before
//! it asks a runtime for anything, so that it is there before the first process of the pod, whatever the runtime is. Must
//! not own: the logs.

use std::path::Path;

use super::facts::name;
use super::reading;

/// The most pods of one node that are looked at; a kubelet has 110 unless it is told otherwise.
const PODS_MAX: usize = 4096;

/// Namespace and name of the pod with this uid.
pub(super) fn pod(directory: &str, uid: &str) -> Option<(String, String)> {
    let root = Path::new(directory);
    reading::names(root, ".", PODS_MAX).ok()?.iter().find_map(|entry| {
        let (pod, of) = entry.rsplit_once('_')?;
        // Neither can have such a character in it.
        let (namespace, pod) = pod.split_once('_').filter(|(_, pod)| of == uid && !pod.contains('_'))?;
        Some((name(namespace)?, name(pod)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let root = tempfile::tempdir().unwrap();
        for entry in ["shop_front-7f9c6d-x2x8k_63b3ebfc", "kube-system_etcd-node_0123", "a_b_c_d", "x_y", "z"]
        {
            std::fs::create_dir(root.path().join(entry)).unwrap();
        }
        let of = |uid| pod(&root.path().display().to_string(), uid);
        assert_eq!(of("63b3ebfc"), Some(("shop".into(), "front-7f9c6d-x2x8k".into())));
        assert_eq!(of("0123"), Some(("kube-system".into(), "etcd-node".into())));
        for uid in ["d", "y", "z", "b_c_d", ""] {
            assert_eq!(of(uid), None, "{uid}");
        }
        assert_eq!(pod("/nonexistent", "0123"), None);
    }
}
