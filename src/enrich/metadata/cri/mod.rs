//! What the runtime says of a container on its socket: of a pod's by the container runtime interface, of others containerd
//! by its own.
//!
//! Owns: which socket is asked for which container, and asking on a thread of its own with a deadline. It is off unless it is configured; a runtime that is slow, absent or lies costs what it would have
//! told, and nothing waits for it. Must not own: the files of the runtimes (`super`).

mod answers;
mod client;
#[cfg(test)]
mod false_runtime;
mod native;
mod question;
mod socket;
#[cfg(test)]
mod tests;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;

use super::key::Key;
use super::ledger::Ledger;
use super::{MetadataSettings, Outcome};
use crate::enrich::container::is_long_id;
use crate::host::bell::Bell;
use question::Question;
pub use question::texts_of_answer;

/// Where the sockets are, by runtime. cri-dockerd speaks for docker.
const SOCKETS: [(&str, &[&str]); 4] = [
    (
        "containerd",
        &[
            "/run/containerd/containerd.sock",
            "/run/k3s/containerd/containerd.sock",
            "/var/snap/microk8s/common/run/containerd.sock",
            "/run/k0s/containerd.sock",
        ],
    ),
    ("nerdctl", &["/run/containerd/containerd.sock"]),
    ("cri-o", &["/run/crio/crio.sock"]),
    ("docker", &["/run/cri-dockerd.sock"]),
];

/// Which sockets are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CriSockets {
    /// None.
    #[default]
    Off,
    /// Those that are where each runtime has its own.
    Auto,
    /// This one.
    At(PathBuf),
}

impl CriSockets {
    /// The sockets to be asked for a container, those first that are more likely.
    fn of(&self, key: &Key) -> Vec<PathBuf> {
        let of_pod = key.pod.is_some() || key.runtime == "cri-o";
        if key.namespace.is_none() && (!of_pod || !is_long_id(key.id.as_str())) {
            return Vec::new();
        }
        match self {
            Self::Off => Vec::new(),
            Self::At(path) => vec![path.clone()],
            Self::Auto => {
                let own = SOCKETS.into_iter().filter(|(runtime, _)| *runtime == key.runtime);
                own.flat_map(|(_, paths)| paths).map(PathBuf::from).filter(|path| path.exists()).collect()
            }
        }
    }
}

/// The runtimes' sockets: asked, remembered.
#[derive(Debug)]
pub(super) struct Cri {
    sockets: CriSockets,
    labels_max: usize,
    annotations: Vec<String>,
    ledger: Ledger<Question>,
}

impl Cri {
    pub(super) fn new(settings: &MetadataSettings, bell: Arc<Bell>) -> Self {
        let trouble = ("asking the runtime hung", "asking the runtime is off: it hung too often");
        Self {
            sockets: settings.cri.clone(),
            labels_max: settings.labels_max,
            annotations: settings.annotations.clone(),
            ledger: Ledger::new("tetherd-cri", bell, trouble),
        }
    }

    /// Asks for a container, unless it is known or no socket is to be asked. Never blocks.
    pub(super) fn ask(&mut self, key: &Key) {
        // A name can be another container's in a moment.
        let lasts = |outcome: &Outcome| outcome.is_ok() && is_long_id(key.id.as_str());
        if self.sockets == CriSockets::Off || !self.ledger.lacks(key, lasts) {
            return;
        }
        let sockets = self.sockets.of(key);
        if sockets.is_empty() {
            return;
        }
        self.ledger.ask(Question {
            key: key.clone(),
            sockets,
            labels_max: self.labels_max,
            annotations: self.annotations.clone(),
        });
    }

    /// What it said; `None`: it was not asked.
    pub(super) fn known(&self, key: &Key) -> Option<Outcome> {
        let waiting = self.ledger.is_waiting(key).then_some(Err(LATE));
        self.ledger.known(key).or(waiting)
    }

    /// Takes the answers that have come.
    pub(super) fn take(&mut self) {
        self.ledger.take();
    }

    /// Whether an answer is still to come.
    pub(super) fn is_waiting(&self, key: &Key) -> bool {
        self.ledger.is_waiting(key)
    }

    /// How many containers were asked for.
    pub(super) fn asked(&self) -> u64 {
        self.ledger.asked()
    }
}

const UNKNOWN_CALL: &str = "the runtime does not speak the interface that it was asked by";
const MALFORMED: &str = "the runtime's answer cannot be read";
const OTHER_CONTAINER: &str = "the runtime's answer is of another container";
/// The runtime has been asked and has not answered.
pub(super) const LATE: &str = "the runtime has not answered yet";
