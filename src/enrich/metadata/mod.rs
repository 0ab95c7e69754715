//! What a container's runtime knows of it: names, image, pod.
//!
//! Owns: asking for it on threads that may hang, and the caches. Must not own: which container that is (`container`).
//! Talks to: the directories of the runtimes and of the kubelet, which root owns; their sockets where that is configured
//! (`cri`).

mod account;
mod cri;
mod facts;
mod forms;
mod homes;
mod logs;
mod places;
mod reading;
mod settings;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::host::background::{Answer, Background, HUNG_MAX, Job, Refusal, STUCK};
use crate::host::lru::Lru;
use crate::model::ids::ContainerId;

use super::container::{ContainerIdentity, is_long_id, is_pod_uid};
use cri::Cri;
pub use cri::CriSockets;
pub use facts::KEY_MAX;
pub(super) use facts::Metadata;
use places::{Place, Top};
pub use settings::MetadataSettings;

/// How many containers are remembered.
const CACHE: usize = 4096;
/// How long it is believed that there is nothing: a runtime may write its file a moment after it has started a container.
const NOTHING: Duration = Duration::from_secs(2);

/// What one source says, or why it says nothing.
type Outcome = Result<Arc<Metadata>, &'static str>;

type Id = (&'static str, ContainerId);

/// What is known of a container.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// From all sources.
    pub(super) metadata: Arc<Metadata>,
    /// Why nothing is known from files.
    pub(super) files: Result<(), &'static str>,
    /// Why nothing is known from the runtime's socket, where that is asked.
    pub(super) socket: Result<(), &'static str>,
}

impl Known {
    /// Whether more may come within a moment.
    pub(super) fn is_late(&self) -> bool {
        self.files == Err(LATE) || self.socket == Err(cri::LATE)
    }
}

const LATE: &str = "not ready in time";

/// What runtimes know: asked for, waited for, remembered.
#[derive(Debug)]
pub(super) struct Runtimes {
    settings: MetadataSettings,
    work: Background<Lookup>,
    known: Lru<Id, (Instant, Outcome)>,
    cri: Cri,
}

impl Runtimes {
    pub(super) fn new(settings: MetadataSettings) -> Self {
        let work = Background::new("tetherd-runtime", STUCK, HUNG_MAX);
        let cri = Cri::new(settings.cri.clone(), settings.labels_max, settings.annotations.clone());
        Self { settings, work, known: Lru::new(CACHE), cri }
    }

    /// Asks for a container, unless it is known. Never blocks.
    pub(super) fn ask(&mut self, container: &ContainerIdentity) {
        self.cri.ask(container);
        let id = (container.runtime, container.id.clone());
        let again = |(at, outcome): &(Instant, Outcome)| !is_whole(outcome) && at.elapsed() > NOTHING;
        if self.known.touch(&id) && !self.known.peek(&id).is_some_and(again) {
            return;
        }
        if let Some(name) = named_by_id(container) {
            return self.put(id, Ok(Arc::new(Metadata { name: Some(name), ..Metadata::default() })));
        }
        let places = places::of(container, &self.settings);
        if places.is_empty() && container.pod_uid.is_none() {
            return self.put(id, Err("its runtime keeps none on disk that is read"));
        }
        let lookup = Lookup {
            id: id.clone(),
            places,
            pod: container.pod_uid.clone(),
            settings: self.settings.clone(),
        };
        if self.work.ask(lookup) == Err(Refusal::Off) {
            self.put(id, Err("lookups are off: reading files hung too often"));
        }
    }

    /// What is known of it, waiting until `deadline` at most. What was known before stays known.
    pub(super) fn wait(&mut self, container: &ContainerIdentity, deadline: Instant) -> Known {
        let id = (container.runtime, container.id.clone());
        while self.work.is_waiting(&id) {
            match self.work.answer(deadline) {
                Some(Answer::Done(done, outcome)) => self.put(done, outcome),
                Some(Answer::Hung(hung)) => self.put(hung, Err("reading the runtime's files hung")),
                None => break,
            }
        }
        let files = self.known.peek(&id).map_or(Err(LATE), |(_, outcome)| outcome.clone());
        let said = self.cri.wait(container, deadline).unwrap_or_else(|| Ok(Arc::default()));
        let why = |outcome: &Outcome| outcome.as_ref().map(|_| ()).map_err(|why| *why);
        let (no_files, no_socket) = (why(&files), why(&said));
        let metadata = match (files, said) {
            (Ok(files), Ok(said)) if *said == Metadata::default() => files,
            (Ok(files), Ok(said)) => Arc::new(files.or(&said)),
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => one,
            (Err(_), Err(_)) => Arc::default(),
        };
        Known { metadata, files: no_files, socket: no_socket }
    }

    fn put(&mut self, id: Id, outcome: Outcome) {
        // What hung or came to nothing later takes nothing away.
        if outcome.is_err() && self.known.peek(&id).is_some_and(|(_, known)| known.is_ok()) {
            return;
        }
        self.known.put(id, (Instant::now(), outcome));
    }
}

/// Whether asking again could add anything.
fn is_whole(outcome: &Outcome) -> bool {
    outcome
        .as_ref()
        .is_ok_and(|known| known.image.is_some() && (known.pod_uid.is_none() || known.pod_name.is_some()))
}

/// The name of a container that its runtime knows by its id: of `ctr`, of runc and crun by hand. Their image, if there is
/// one, is in no file of its own.
fn named_by_id(container: &ContainerIdentity) -> Option<String> {
    let id = container.id.as_str();
    let by_id = match container.runtime {
        "runc" | "crun" | "lxc" | "libvirt-lxc" | "systemd-nspawn" => true,
        "containerd" => !is_long_id(id),
        _ => false,
    };
    by_id.then(|| id.to_owned())
}

/// One container to find.
#[derive(Debug)]
struct Lookup {
    id: Id,
    places: Vec<(Top, Place)>,
    /// The uid of its pod, as its cgroup's path has it.
    pod: Option<String>,
    settings: MetadataSettings,
}

impl Job for Lookup {
    type Id = Id;
    type Output = Outcome;

    fn id(&self) -> Id {
        self.id.clone()
    }

    fn run(self) -> Outcome {
        let of_runtime = self.of_runtime();
        let known = of_runtime.as_ref().ok().and_then(|known| known.pod_uid.clone());
        let uid = self.pod.clone().or(known).filter(|uid| is_pod_uid(uid));
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
                Ok(text) => match (place.form)(&text, self.id.1.as_str()) {
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
        let told = account::of_pod(&self.settings.kubelet, uid);
        let logs = &self.settings.pod_logs;
        let named = if logs.is_empty() { None } else { logs::pod(logs, uid) };
        let (namespace, name) = match (named, &told) {
            (Some((namespace, name)), _) => (Some(namespace), Some(name)),
            (None, Some(told)) => (Some(told.account.namespace.clone()), told.pod.clone()),
            (None, None) => (None, None),
        };
        Metadata {
            pod_namespace: namespace,
            pod_name: name,
            pod_uid: Some(uid.to_owned()).filter(|_| told.is_some()),
            account: told.map(|told| told.account),
            ..Metadata::default()
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
