//! What allow rules may know of containers.
//!
//! Owns: answering the engine, from the answers that the records have too: what one of both has asked for, the other need
//! not ask for again. Only what cannot have been chosen by anybody in the container, nor by another user, is told: the
//! cgroup's path has to be one that only root makes, for such a path no user's home is read, and what a pod's token claims
//! is left out. Must not own: rules, asking (`metadata`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::EnrichSettings;
use super::container::identify;
use super::metadata::Runtimes;
use crate::host;
use crate::model::contained::{Contained, ContainerFacts};
use crate::model::look::Look;

/// What is known of the machine's containers.
#[derive(Debug)]
pub struct Containers {
    runtimes: Runtimes,
    wait: Duration,
}

impl Containers {
    pub(super) fn sharing(runtimes: Runtimes, wait: Duration) -> Self {
        Self { runtimes, wait }
    }

    /// For somebody who makes no records. Answers wait for `wait` at most.
    pub fn waiting(settings: &EnrichSettings, wait: Duration) -> Self {
        Self::sharing(Runtimes::new(settings.metadata.clone()), wait)
    }
}

impl host::Containers for Containers {
    fn contained(&self, look: &Look, wait: bool) -> Contained {
        // Forms that ordinary groups could have as well prove nothing.
        let Some(container) = identify(&look.cgroup, false).filter(|found| found.is_believed()) else {
            return Contained::Untold;
        };
        self.runtimes.ask(&container);
        let until = Instant::now() + if wait { self.wait } else { Duration::ZERO };
        let told = self.runtimes.wait(&container, until);
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
    use super::super::metadata::MetadataSettings;
    use super::*;
    use crate::host::Containers as _;
    use crate::model::clock::Moment;
    use crate::model::ids::ProcessKey;
    use crate::model::look::{Cause, Observation};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

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

    /// A token is whatever its maker wrote into the pod's volume: it is shown, and no rule rests on it.
    #[test]
    fn what_a_token_claims() {
        let root = tempfile::tempdir().unwrap();
        let path = format!("/kubepods/besteffort/pod{UID}/{ID}");
        let own = root.path().join(format!("pods/{UID}/volumes/kubernetes.io~secret/default-token-x"));
        std::fs::create_dir_all(&own).unwrap();
        let claims = r#"{"kubernetes.io/serviceaccount/namespace":"debug",
            "kubernetes.io/serviceaccount/service-account.name":"front"}"#;
        std::fs::write(own.join("token"), format!("x.{}.x", URL_SAFE_NO_PAD.encode(claims))).unwrap();
        let metadata = MetadataSettings {
            containerd: Vec::new(),
            kubelet: vec![root.path().display().to_string()],
            pod_logs: String::new(),
            ..MetadataSettings::default()
        };
        let settings = EnrichSettings { metadata, ..EnrichSettings::default() };
        let containers = Containers::waiting(&settings, Duration::from_secs(30));
        let Contained::Known(facts) = containers.contained(&look(&path), true) else { panic!("{path}") };
        assert_eq!((&facts.namespace, &facts.image), (&None, &None));
        let container = identify(&look(&path).cgroup, false).unwrap();
        let known = containers.runtimes.wait(&container, Instant::now()).metadata;
        assert_eq!(known.account.as_ref().unwrap().name, "front");
        assert_eq!(known.with_claims().pod_namespace.as_deref(), Some("debug"));
    }
}
