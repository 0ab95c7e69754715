//! Where the runtimes' directories are.
//!
//! Owns: `docker_directories`, `containerd_directories` and `storage_directories` of `[enrich]`, and their defaults.

/// Directories by kind of runtime, tried in this order; none: that kind is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataSettings {
    /// dockerd's data directories (`data-root`).
    pub docker: Vec<String>,
    /// containerd's state directories (`state`).
    pub containerd: Vec<String>,
    /// Storage directories of podman (`graphroot`) and CRI-O (`runroot`).
    pub storage: Vec<String>,
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
        }
    }
}
