//! What a container's runtime knows of it: names, image, pod.
//!
//! Owns: who waits for an answer, and which sources are asked about which container. There is one of it in a daemon: the
//! records and the allow rules ask the same, and one container is asked for once, whoever wants to know. Must not own: which
//! container that is (`container`). Talks to: the directories of the runtimes and of the kubelet, which root owns; their
//! sockets where that is configured (`cri`).

mod account;
mod cri;
mod facts;
mod forms;
mod homes;
mod key;
mod ledger;
mod logs;
mod lookup;
mod places;
mod reading;
mod settings;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::host::bell::Bell;

use super::container::{ContainerIdentity, is_long_id};
use super::status::LATE;
use cri::Cri;
pub use cri::{CriSockets, texts_of_answer};
pub use facts::KEY_MAX;
pub(super) use facts::Metadata;
pub use forms::texts_of_file;
use key::Key;
use ledger::Ledger;
use lookup::Lookup;
pub use settings::MetadataSettings;

/// What one source says, or why it says nothing.
type Outcome = Result<Arc<Metadata>, &'static str>;

/// What is known of a container.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// From all sources.
    pub(super) metadata: Arc<Metadata>,
    /// Why nothing is known from files.
    pub(super) files: Result<(), &'static str>,
    /// Why nothing is known from the runtime's socket, where that is asked.
    pub(super) socket: Result<(), &'static str>,
    /// Asking again later may add something.
    pub(super) may_grow: bool,
}

impl Known {
    /// Whether more may come within a moment.
    pub(super) fn is_late(&self) -> bool {
        self.files == Err(LATE) || self.socket == Err(cri::LATE)
    }
}

/// How often runtimes were asked since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Containers whose files were looked for.
    pub files: u64,
    /// Containers that a runtime's socket was asked for.
    pub sockets: u64,
}

/// What runtimes know: asked for, waited for, remembered, by all who have this.
#[derive(Clone, Debug)]
pub(super) struct Runtimes {
    settings: Arc<MetadataSettings>,
    sources: Arc<Mutex<Sources>>,
    /// Rung when one of them has answered.
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Sources {
    files: Ledger<Lookup>,
    cri: Cri,
}

impl Runtimes {
    pub(super) fn new(settings: MetadataSettings) -> Self {
        let bell = Arc::<Bell>::default();
        let trouble = ("reading the runtime's files hung", "lookups are off: reading files hung too often");
        let files = Ledger::new("tetherd-runtime", Arc::clone(&bell), trouble);
        let cri = Cri::new(&settings, Arc::clone(&bell));
        Self { settings: Arc::new(settings), sources: Arc::new(Mutex::new(Sources { files, cri })), bell }
    }

    /// Asks for a container, unless it is known. Never blocks.
    pub(super) fn ask(&self, container: &ContainerIdentity) {
        let key = self.key(container);
        let mut sources = self.sources();
        sources.take();
        sources.cri.ask(&key);
        if !sources.files.lacks(&key, |outcome| outcome.as_ref().is_ok_and(|known| has_all(&key, known))) {
            return;
        }
        if let Some(name) = named_by_id(container) {
            let known = Metadata { name: Some(name), ..Metadata::default() };
            return sources.files.put(key, Ok(Arc::new(known)));
        }
        let places = places::of(&key, &self.settings);
        if places.is_empty() && key.pod.is_none() {
            return sources.files.put(key, Err("its runtime keeps none on disk that is read"));
        }
        sources.files.ask(Lookup { key, places, settings: Arc::clone(&self.settings) });
    }

    /// What is known of it, waiting until `deadline` at most. What was known before stays known.
    pub(super) fn wait(&self, container: &ContainerIdentity, deadline: Instant) -> Known {
        let key = self.key(container);
        loop {
            let rung = self.bell.count();
            let mut sources = self.sources();
            sources.take();
            if !sources.are_waiting(&key) || Instant::now() >= deadline {
                return sources.known(&key);
            }
            drop(sources);
            self.bell.wait(rung, deadline);
        }
    }

    /// How often they were asked.
    pub(super) fn asked(&self) -> Asked {
        let sources = self.sources();
        Asked { files: sources.files.asked(), sockets: sources.cri.asked() }
    }

    fn key(&self, container: &ContainerIdentity) -> Key {
        Key::of(container, self.settings.rootless)
    }

    /// Held for a moment only: nobody reads a file or waits meanwhile.
    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sources {
    fn take(&mut self) {
        self.files.take();
        self.cri.take();
    }

    fn are_waiting(&self, key: &Key) -> bool {
        self.files.is_waiting(key) || self.cri.is_waiting(key)
    }

    fn known(&self, key: &Key) -> Known {
        let files = self.files.known(key).unwrap_or(Err(LATE));
        let said = self.cri.known(key).unwrap_or_else(|| Ok(Arc::default()));
        let why = |outcome: &Outcome| outcome.as_ref().map(|_| ()).map_err(|why| *why);
        let (no_files, no_socket) = (why(&files), why(&said));
        let metadata = match (files, said) {
            (Ok(files), Ok(said)) if *said == Metadata::default() => files,
            (Ok(files), Ok(said)) => Arc::new(files.or(&said)),
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => one,
            (Err(_), Err(_)) => Arc::default(),
        };
        let late = no_files == Err(LATE) || no_socket == Err(cri::LATE);
        // A runtime writes the files of a container with such an id by itself.
        let may_grow = late || is_long_id(key.id.as_str()) && !has_all(key, &metadata);
        Known { metadata, files: no_files, socket: no_socket, may_grow }
    }
}

/// Whether there is nothing that files could still add.
fn has_all(key: &Key, known: &Metadata) -> bool {
    let in_pod = key.pod.is_some() || known.pod_uid.is_some();
    known.image.is_some() && (!in_pod || known.pod_name.is_some())
}

/// The name of a container that its runtime knows by its id: of `ctr`, of runc and crun by hand. Their image, if there is
/// one, is in no file of its own.
fn named_by_id(container: &ContainerIdentity) -> Option<String> {
    let id = container.id.as_str();
    let by_id = match container.runtime {
        "runc" | "crun" | "lxc" | "libvirt-lxc" | "systemd-nspawn" => true,
        "containerd" => container.is_in_database(),
        _ => false,
    };
    by_id.then(|| id.to_owned())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
