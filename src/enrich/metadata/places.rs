//! Which files may tell of a container.
//!
//! Owns: their paths below the runtimes' directories. An id comes from a cgroup's path, which whoever may make cgroups
//! chooses: only one of 64 hexadecimal digits becomes part of a path. Must not own: reading them.

use std::path::PathBuf;

use super::super::container::{ContainerIdentity, UNKNOWN, is_long_id};
use super::forms::{self, Form};
use super::settings::MetadataSettings;

/// One file.
#[derive(Debug)]
pub(super) struct Place {
    /// Below the runtime's directory.
    pub(super) path: String,
    /// What is in it.
    pub(super) form: Form,
}

/// All files that may tell of a container, with the directories that they are below.
pub(super) fn of(container: &ContainerIdentity, settings: &MetadataSettings) -> Vec<(PathBuf, Place)> {
    let id = container.id.as_str();
    if !is_long_id(id) {
        return Vec::new();
    }
    let below = |roots: &[String], path: &str, form: Form| {
        roots.iter().map(|root| (PathBuf::from(root), Place { path: path.to_owned(), form })).collect()
    };
    let docker = || below(&settings.docker, &format!("containers/{id}/config.v2.json"), forms::docker);
    let bundle = format!("io.containerd.runtime.v2.task/k8s.io/{id}/config.json");
    let containerd = || below(&settings.containerd, &bundle, forms::cri);
    match container.runtime {
        "docker" => docker(),
        "containerd" => containerd(),
        "podman" => below(&settings.storage, "overlay-containers/containers.json", forms::podman),
        "cri-o" => {
            let path = format!("overlay-containers/{id}/userdata/config.json");
            below(&settings.storage, &path, forms::cri_o)
        }
        // A group that somebody else chose for it: `docker run --cgroup-parent`.
        UNKNOWN => [docker(), containerd()].into_iter().flatten().collect(),
        _ => Vec::new(),
    }
}
