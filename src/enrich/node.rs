//! The machine that a record comes from.
//!
//! Owns: the node's name, the resource, the boot id. Must not own: anything about processes.

use std::fs;

use crate::model::finding::{Project, Resource};
use crate::model::text;

use super::EnrichSettings;

/// The longest name, in bytes.
const NAME_MAX: usize = 512;

/// The machine and the resource that stands for it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// `VM_Instance_Name`.
    pub(super) name: String,
    /// The cluster or host.
    pub(super) resource: Resource,
}

impl Node {
    /// The configured names; the host name and what follows from it where there are none.
    pub(super) fn new(settings: EnrichSettings) -> Self {
        let chosen = |configured: String, or: String| {
            text::cut(if configured.is_empty() { &or } else { &configured }, NAME_MAX).to_owned()
        };
        let name = chosen(settings.node_name, host_name());
        let resource_name = chosen(settings.resource_name, format!("//tetherd/hosts/{name}"));
        let kind = if resource_name.contains("/clusters/") { "k8s.io/Cluster" } else { "tetherd/Host" };
        let project = Some(settings.project_display_name).filter(|name| !name.is_empty());
        let project = project.map(|project_display_name| Project { project_display_name });
        let display_name = chosen(settings.resource_display_name, name.clone());
        Self { name, resource: Resource { name: resource_name, display_name, kind: kind.into(), project } }
    }

    /// Takes the resource's name from the metadata server, once it is known.
    pub(super) fn take_resource_name(&mut self, name: &str) {
        self.resource.name = text::cut(name, NAME_MAX).to_owned();
        if name.contains("/clusters/") {
            self.resource.kind = "k8s.io/Cluster".into();
        }
    }

    /// The node's full resource name: below its cluster, or the host itself.
    pub(super) fn full_name(&self) -> String {
        if self.resource.kind == "tetherd/Host" {
            self.resource.name.clone()
        } else {
            format!("{}/nodes/{}", self.resource.name, self.name)
        }
    }
}

fn host_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".into())
}

/// The id of this boot (`/proc/sys/kernel/random/boot_id`, random(4)): 36 characters; empty where it cannot be read.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let host = Node::new(EnrichSettings::default());
        assert!(!host.name.is_empty());
        assert_eq!(host.resource.name, format!("//tetherd/hosts/{}", host.name));
        assert_eq!(host.full_name(), host.resource.name);
        let cluster = Node::new(EnrichSettings {
            node_name: "node-7".into(),
            resource_name: "//k8s.local/clusters/prod".into(),
            resource_display_name: "prod".into(),
            ..EnrichSettings::default()
        });
        assert_eq!(cluster.full_name(), "//k8s.local/clusters/prod/nodes/node-7");
        assert_eq!(
            (cluster.resource.kind.as_str(), cluster.resource.display_name.as_str()),
            ("k8s.io/Cluster", "prod")
        );
        assert_eq!(boot_id().len(), 36);
    }
}
