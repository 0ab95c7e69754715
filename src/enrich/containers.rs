//! What allow rules may know of containers.
//!
//! Owns: answering the engine, from the same sources as the records, with a cache and threads of its own, which start when
//! the first rule asks. Only what cannot have been chosen by anybody in the container, nor by another user, is told: the
//! cgroup's path has to be one that only root makes, and what is in a user's home is not asked. Must not own: rules.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::EnrichSettings;
use super::container::identify;
use super::metadata::{MetadataSettings, Runtimes};
use crate::host;
use crate::model::contained::{Contained, ContainerFacts};
use crate::model::look::Look;

/// What is known of the machine's containers.
#[derive(Debug)]
pub struct Containers {
    runtimes: RefCell<Runtimes>,
    wait: Duration,
}

impl Containers {
    /// Answers wait as long as a record does.
    pub fn new(settings: &EnrichSettings) -> Self {
        Self::waiting(settings, Duration::from_millis(settings.digest_wait_ms))
    }

    /// Answers wait for `wait` at most.
    pub fn waiting(settings: &EnrichSettings, wait: Duration) -> Self {
        // A token names whatever its maker wrote into the volume: no rule rests on that.
        let metadata = MetadataSettings { rootless: false, kubelet: Vec::new(), ..settings.metadata.clone() };
        Self { runtimes: RefCell::new(Runtimes::new(metadata)), wait }
    }
}

impl host::Containers for Containers {
    fn contained(&self, look: &Look, wait: bool) -> Contained {
        // Forms that ordinary groups could have as well prove nothing.
        let Some(container) = identify(&look.cgroup, false).filter(|found| found.is_believed()) else {
            return Contained::Untold;
        };
        let mut runtimes = self.runtimes.borrow_mut();
        runtimes.ask(&container);
        let until = Instant::now() + if wait { self.wait } else { Duration::ZERO };
        let told = runtimes.wait(&container, until);
        let known = &told.metadata;
        let other_pod = container.pod_uid.as_ref().zip(known.pod_uid.as_ref()).is_some_and(|(a, b)| a != b);
        if other_pod {
            return Contained::Untold;
        }
        let facts = Arc::new(ContainerFacts {
            id: container.id.clone(),
            image: known.image.clone(),
            namespace: known.pod_namespace.clone(),
            labels: known.labels.as_ref().map(|labels| labels.list.clone()),
        });
        if told.is_late() { Contained::Late(facts) } else { Contained::Known(facts) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Containers as _;
    use crate::model::clock::Moment;
    use crate::model::ids::ProcessKey;
    use crate::model::look::{Cause, Observation};

    const ID: &str = "73bfe475650de66df8e2affdc98d440dcbe84f8df83b6f75a68a82eb7026136a";
    const OTHER: &str = "11bfe475650de66df8e2affdc98d440dcbe84f8df83b6f75a68a82eb7026136a";
    const UID: &str = "63b3ebfc-2890-41e9-8154-16bf8ef8d9dc";

    fn look(cgroup: &str) -> Look {
        let mut look = Look::blank(ProcessKey::default(), Moment::default(), Observation::Live, Cause::Exec);
        look.cgroup = format!("0::{cgroup}\n").into_bytes();
        look
    }

    /// A container of a pod, with a file of it.
    fn containers(root: &std::path::Path, uid: &str) -> Containers {
        let bundle = root.join(format!("io.containerd.runtime.v2.task/k8s.io/{ID}"));
        std::fs::create_dir_all(&bundle).unwrap();
        let file = format!(
            r#"{{"annotations":{{"io.kubernetes.cri.sandbox-id":"{OTHER}","io.kubernetes.cri.sandbox-namespace":"debug",
            "io.kubernetes.cri.sandbox-name":"web","io.kubernetes.cri.sandbox-uid":"{uid}",
            "io.kubernetes.cri.image-name":"tools/echo:1"}}}}"#
        );
        std::fs::write(bundle.join("config.json"), file).unwrap();
        let metadata = MetadataSettings {
            containerd: vec![root.display().to_string()],
            kubelet: Vec::new(),
            pod_logs: String::new(),
            ..MetadataSettings::default()
        };
        let settings = EnrichSettings { metadata, ..EnrichSettings::default() };
        Containers::waiting(&settings, Duration::from_secs(30))
    }

    #[test]
    fn a_container_of_a_pod() {
        let root = tempfile::tempdir().unwrap();
        let containers = containers(root.path(), UID);
        let slice = format!("/kubepods.slice/kubepods-pod{}.slice", UID.replace('-', "_"));
        for path in [
            format!("/kubepods/besteffort/pod{UID}/{ID}"),
            format!("{slice}/cri-containerd-{ID}.scope"),
            format!("{slice}/cri-containerd-{ID}.scope/init"),
        ] {
            let Contained::Known(facts) = containers.contained(&look(&path), true) else { panic!("{path}") };
            let said = (facts.id.as_str(), facts.image.as_deref(), facts.namespace.as_deref());
            assert_eq!(said, (ID, Some("tools/echo:1"), Some("debug")));
            assert_eq!(facts.labels, None);
        }
    }

    /// Whoever can make groups of their own can call them anything.
    #[test]
    fn what_is_not_believed() {
        let root = tempfile::tempdir().unwrap();
        let containers = containers(root.path(), UID);
        for path in [
            format!("/user.slice/user-1000.slice/user@1000.service/cri-containerd-{ID}.scope"),
            format!("/user.slice/user-1000.slice/session-1.scope/kubepods/pod{UID}/{ID}"),
            format!("/system.slice/web.service/cri-containerd-{ID}.scope"),
            format!("/kubepods/besteffort/pod{UID}/{OTHER}/{ID}"),
            format!("/docker/{OTHER}/kubepods/pod{UID}/{ID}"),
            format!("/lxc.payload.x/kubepods/pod{UID}/{ID}"),
            format!("/default/box/kubepods/pod{UID}/{ID}"),
            format!("/machine.slice/machine-x.scope/payload/kubepods/pod{UID}/{ID}"),
            "/default/box".to_owned(),
            "/system.slice/ssh.service".to_owned(),
            "/".to_owned(),
        ] {
            assert_eq!(containers.contained(&look(&path), true), Contained::Untold, "{path}");
        }
    }

    #[test]
    fn another_pods_file() {
        let root = tempfile::tempdir().unwrap();
        let containers = containers(root.path(), &UID.replace('6', "7"));
        let path = format!("/kubepods/besteffort/pod{UID}/{ID}");
        assert_eq!(containers.contained(&look(&path), true), Contained::Untold);
    }
}
