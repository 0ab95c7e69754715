//! Which files may tell of a container.
//!
//! Owns: their paths below the runtimes' directories. An id comes from a cgroup's path, which whoever may make cgroups
//! chooses: only one of 64 hexadecimal digits becomes part of a path. Must not own: reading them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::super::container::{UNKNOWN, is_long_id};
use super::forms::{self, Form, LabelsForm};
use super::homes;
use super::key::Key;
use super::settings::MetadataSettings;
use crate::model::ids::Uid;

/// A directory below which no link is followed.
#[derive(Debug)]
pub(super) enum Top {
    /// A runtime's, by the configuration.
    Directory(PathBuf),
    /// A user's home.
    Home(Uid),
}

impl Top {
    /// Where it is; `None` where the user has no home. Reads a file.
    pub(super) fn directory(&self) -> Option<Cow<'_, Path>> {
        match self {
            Self::Directory(path) => Some(Cow::Borrowed(path)),
            Self::Home(uid) => homes::home_of(*uid).map(Cow::Owned),
        }
    }
}

/// Where the labels of a pod are, by its sandbox's id, and how they are written there.
pub(super) type LabelsPlace = (fn(&str) -> String, LabelsForm);

/// One file.
#[derive(Debug)]
pub(super) struct Place {
    /// Below the runtime's directory.
    pub(super) path: String,
    /// What is in it.
    pub(super) form: Form,
    /// Below the same directory, the file with the labels of a pod, by its sandbox's id.
    pub(super) labels: Option<LabelsPlace>,
}

/// All files that may tell of a container, with the directories that they are below.
pub(super) fn of(key: &Key, settings: &MetadataSettings) -> Vec<(Top, Place)> {
    let id = key.id.as_str();
    if !is_long_id(id) {
        return Vec::new();
    }
    let below = |roots: &[String], path: &str, form: Form| -> Vec<(Top, Place)> {
        let place = || Place { path: path.to_owned(), form, labels: labels(key.runtime) };
        roots.iter().map(|root| (Top::Directory(PathBuf::from(root)), place())).collect()
    };
    // A rootless runtime's own directory comes first.
    let also = |home: &str, roots: &[String], path: &str, form: Form| {
        let place = || Place { path: format!("{home}/{path}"), form, labels: None };
        let own = key.user.map(|uid| (Top::Home(uid), place()));
        own.into_iter().chain(below(roots, path, form)).collect::<Vec<_>>()
    };
    let docker = || also(homes::DOCKER, &settings.docker, &docker_file(id), forms::docker);
    let bundle = format!("io.containerd.runtime.v2.task/k8s.io/{id}/config.json");
    let containerd = || below(&settings.containerd, &bundle, forms::cri);
    match key.runtime {
        "docker" => docker(),
        "containerd" => containerd(),
        "podman" => ["overlay", "vfs"]
            .into_iter()
            .flat_map(|driver| {
                let path = format!("{driver}-containers/containers.json");
                also(homes::STORAGE, &settings.storage, &path, forms::podman)
            })
            .collect(),
        "cri-o" => below(&settings.storage, &cri_o_file(id), forms::cri_o),
        // A group that somebody else chose for it: `docker run --cgroup-parent`.
        UNKNOWN => [docker(), containerd()].into_iter().flatten().collect(),
        _ => Vec::new(),
    }
}

fn docker_file(id: &str) -> String {
    format!("containers/{id}/config.v2.json")
}

fn cri_o_file(id: &str) -> String {
    format!("overlay-containers/{id}/userdata/config.json")
}

/// Where a runtime has the labels of a pod. containerd has them in its database alone.
fn labels(runtime: &str) -> Option<LabelsPlace> {
    match runtime {
        "docker" => Some((docker_file, forms::docker_labels)),
        "cri-o" => Some((cri_o_file, forms::cri_o_labels)),
        _ => None,
    }
}
