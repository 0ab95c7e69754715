//! Where the runtimes' directories are, and what is wanted of them.
//!
//! Owns: the keys of `[enrich]` about containers and pods, and their defaults.

use super::cri::CriSockets;

/// Directories by kind of runtime, tried in this order; none: that kind is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataSettings {
    /// dockerd's data directories (`data-root`).
    pub docker: Vec<String>,
    /// containerd's state directories (`state`).
    pub containerd: Vec<String>,
    /// Storage directories of podman (`graphroot`) and CRI-O (`runroot`).
    pub storage: Vec<String>,
    /// Whether those of rootless docker and podman below their users' homes are read as well.
    pub rootless: bool,
    /// The kubelet's directories (`--root-dir`).
    pub kubelet: Vec<String>,
    /// Where the kubelet keeps pods' logs (`podLogsDir`); empty: it is not read.
    pub pod_logs: String,
    /// Which sockets of the container runtime interface are asked.
    pub cri: CriSockets,
    /// The most labels of a pod.
    pub labels_max: usize,
    /// The annotations of pods and their containers that are shown.
    pub annotations: Vec<String>,
}

impl Default for MetadataSettings {
    fn default() -> Self {
        let list = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        Self {
            docker: list(&["/var/lib/docker"]),
            containerd: list(&[
                "/run/containerd",
                "/run/k3s/containerd",
                "/var/snap/microk8s/common/run/containerd",
                "/run/host-containerd",
            ]),
            storage: list(&["/var/lib/containers/storage", "/run/containers/storage"]),
            rootless: true,
            kubelet: list(&[
                "/var/lib/kubelet",
                "/var/snap/microk8s/common/var/lib/kubelet",
                "/var/lib/k0s/kubelet",
            ]),
            pod_logs: "/var/log/pods".into(),
            cri: CriSockets::Off,
            labels_max: 32,
            annotations: list(&["kubernetes.io/config.source"]),
        }
    }
}
