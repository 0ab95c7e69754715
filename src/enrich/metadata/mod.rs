//! What a container's runtime has on disk about it: names and image.
//!
//! Owns: asking for it on a thread that may hang, and the cache. Must not own: which container that is (`container`).
//! Talks to: the runtimes' directories, which root owns; no socket of any runtime is asked.

mod forms;
mod homes;
mod places;
mod reading;
mod settings;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::host::background::{Answer, Background, HUNG_MAX, Job, Refusal, STUCK};
use crate::host::lru::Lru;
use crate::model::ids::ContainerId;

use super::container::{ContainerIdentity, is_long_id};
use places::{Place, Top};
pub use settings::MetadataSettings;

/// How many containers are remembered.
const CACHE: usize = 4096;
/// How long it is believed that there is nothing: a runtime may write its file a moment after it has started a container.
const NOTHING: Duration = Duration::from_secs(2);

/// What is known of a container beyond its id; nothing of it can be relied on for anything but showing it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Metadata {
    /// Its name: of a pod's container, the one in the pod.
    pub(super) name: Option<String>,
    /// The image, as it was asked for.
    pub(super) image: Option<String>,
    /// The image's id or digest, as the runtime writes it.
    pub(super) image_id: Option<String>,
    /// When it was made (RFC 3339).
    pub(super) created: Option<String>,
    pub(super) pod_name: Option<String>,
    pub(super) pod_namespace: Option<String>,
    pub(super) pod_uid: Option<String>,
}

/// What is known, or why nothing is.
pub(super) type Outcome = Result<Arc<Metadata>, &'static str>;

type Id = (&'static str, ContainerId);

/// What runtimes know: asked for, waited for, remembered.
#[derive(Debug)]
pub(super) struct Runtimes {
    settings: MetadataSettings,
    work: Background<Lookup>,
    known: Lru<Id, (Instant, Outcome)>,
}

impl Runtimes {
    pub(super) fn new(settings: MetadataSettings) -> Self {
        let work = Background::new("tetherd-runtime", STUCK, HUNG_MAX);
        Self { settings, work, known: Lru::new(CACHE) }
    }

    /// Asks for a container, unless it is known. Never blocks.
    pub(super) fn ask(&mut self, container: &ContainerIdentity) {
        let id = (container.runtime, container.id.clone());
        let old = |(at, outcome): &(Instant, Outcome)| outcome.is_err() && at.elapsed() > NOTHING;
        if self.known.peek(&id).is_some_and(old) {
            self.known.remove(&id);
        }
        if self.known.touch(&id) {
            return;
        }
        if let Some(name) = named_by_id(container) {
            return self.put(id, Ok(Arc::new(Metadata { name: Some(name), ..Metadata::default() })));
        }
        let places = places::of(container, &self.settings);
        if places.is_empty() {
            return self.put(id, Err("its runtime keeps none on disk that is read"));
        }
        if self.work.ask(Lookup { id: id.clone(), places }) == Err(Refusal::Off) {
            self.put(id, Err("lookups are off: reading files hung too often"));
        }
    }

    /// What is known of it, waiting until `deadline` at most.
    pub(super) fn wait(&mut self, container: &ContainerIdentity, deadline: Instant) -> Outcome {
        let id = (container.runtime, container.id.clone());
        while self.known.peek(&id).is_none() {
            match self.work.answer(deadline) {
                Some(Answer::Done(done, outcome)) => self.put(done, outcome),
                Some(Answer::Hung(hung)) => self.put(hung, Err("reading the runtime's files hung")),
                None => break,
            }
        }
        self.known.peek(&id).map_or(Err("not ready in time"), |(_, outcome)| outcome.clone())
    }

    fn put(&mut self, id: Id, outcome: Outcome) {
        self.known.put(id, (Instant::now(), outcome));
    }
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
}

impl Job for Lookup {
    type Id = Id;
    type Output = Outcome;

    fn id(&self) -> Id {
        self.id.clone()
    }

    /// The first file that tells something.
    fn run(self) -> Outcome {
        let mut why = "the runtime's directories have no file of it";
        for (top, place) in &self.places {
            let Some(root) = top.directory() else { continue };
            match reading::read(&root, &place.path) {
                Ok(text) => match (place.form)(&text, self.id.1.as_str()) {
                    Some(metadata) => return Ok(Arc::new(metadata)),
                    None => why = "the runtime's file says nothing of it",
                },
                Err(Some(problem)) => why = problem,
                Err(None) => {}
            }
        }
        Err(why)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
