//! Where the runtimes' directories are.
//!
//! Owns: `docker_directories`, `containerd_directories`, `storage_directories` and `rootless` of `[enrich]`, and their
//! defaults.

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
        }
    }
}
