//! Looking for one container in the files of its runtime and of the kubelet.
//!
//! Owns: which file is believed where several say something. Must not own: where they are (`places`, `account`, `logs`),
//! what is in them (`forms`), remembering it (`ledger`).

use std::sync::Arc;

use super::facts::{self, Metadata};
use super::key::Key;
use super::places::{Place, Top};
use super::settings::MetadataSettings;
use super::{Outcome, account, logs, reading};
use crate::enrich::container::is_pod_uid;
use crate::host::background::Job;

/// One container to find.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) key: Key,
    pub(super) places: Vec<(Top, Place)>,
    pub(super) settings: Arc<MetadataSettings>,
}

impl Job for Lookup {
    type Id = Key;
    type Output = Outcome;

    fn id(&self) -> Key {
        self.key.clone()
    }

    fn run(self) -> Outcome {
        let of_runtime = self.of_runtime();
        let known = of_runtime.as_ref().ok().and_then(|known| known.pod_uid.clone());
        let uid = self.key.pod.clone().or(known).filter(|uid| is_pod_uid(uid));
        let pod = uid.map(|uid| self.of_kubelet(&uid)).unwrap_or_default();
        match of_runtime {
            Ok(known) => Ok(Arc::new(known.or(&pod))),
            Err(_) if pod != Metadata::default() => Ok(Arc::new(pod)),
            Err(why) => Err(why),
        }
    }
}

impl Lookup {
    /// The first file that tells something.
    fn of_runtime(&self) -> Result<Metadata, &'static str> {
        let mut why = "the runtime's directories have no file of it";
        for (top, place) in &self.places {
            let Some(root) = top.directory() else { continue };
            match reading::read(&root, &place.path) {
                Ok(text) => match (place.form)(&text, self.key.id.as_str()) {
                    Some(found) => {
                        let labels = found.sandbox.zip(place.labels).and_then(|(sandbox, (path, form))| {
                            let text = reading::read(&root, &path(&sandbox)).ok()?;
                            let texts = form(&text, &sandbox)?;
                            let pairs = texts.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                            facts::labels(pairs, self.settings.labels_max)
                        });
                        return Ok(Metadata { labels, ..found.metadata });
                    }
                    None => why = "the runtime's file says nothing of it",
                },
                Err(Some(problem)) => why = problem,
                Err(None) => {}
            }
        }
        Err(why)
    }

    /// What the kubelet has on disk of a pod.
    fn of_kubelet(&self, uid: &str) -> Metadata {
        let logs = &self.settings.pod_logs;
        let named = if logs.is_empty() { None } else { logs::pod(logs, uid) };
        let (pod_namespace, pod_name) = named.unzip();
        let account = account::of_pod(&self.settings.kubelet, uid);
        Metadata { pod_namespace, pod_name, account, ..Metadata::default() }
    }
}
