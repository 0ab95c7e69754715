//! What the runtime says of a container on its CRI socket.
//!
//! Owns: which socket is asked for which container, asking on a thread of its own with a deadline, and what is remembered
//! of the answers. It is off unless it is configured; a runtime that is slow, absent or lies costs what it would have
//! told, and nothing waits for it. Must not own: the files of the runtimes (`super`).

mod answers;
mod client;
mod socket;
#[cfg(test)]
mod tests;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::enrich::container::{ContainerIdentity, is_long_id};
use crate::host::background::{Answer, Background, HUNG_MAX, Job, Refusal, STUCK};
use crate::host::lru::Lru;
use crate::model::clock::rfc3339;
use crate::model::ids::ContainerId;

use super::facts::{Metadata, annotations, image, labels, name};
use super::{CACHE, NOTHING, Outcome};
use client::{Client, Failure};

/// How long one conversation may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// Where the sockets are, by runtime. cri-dockerd speaks for docker.
const SOCKETS: [(&str, &[&str]); 3] = [
    (
        "containerd",
        &[
            "/run/containerd/containerd.sock",
            "/run/k3s/containerd/containerd.sock",
            "/var/snap/microk8s/common/run/containerd.sock",
            "/run/k0s/containerd.sock",
        ],
    ),
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
    fn of(&self, container: &ContainerIdentity) -> Vec<PathBuf> {
        let of_pod = container.pod_uid.is_some() || container.runtime == "cri-o";
        if !of_pod || !is_long_id(container.id.as_str()) {
            return Vec::new();
        }
        match self {
            Self::Off => Vec::new(),
            Self::At(path) => vec![path.clone()],
            Self::Auto => {
                let own = SOCKETS.into_iter().filter(|(runtime, _)| *runtime == container.runtime);
                own.flat_map(|(_, paths)| paths).map(PathBuf::from).filter(|path| path.exists()).collect()
            }
        }
    }
}

type Id = (&'static str, ContainerId);

/// The runtimes' sockets: asked, remembered.
#[derive(Debug)]
pub(super) struct Cri {
    sockets: CriSockets,
    labels_max: usize,
    annotations: Vec<String>,
    work: Background<Question>,
    known: Lru<Id, (Instant, Outcome)>,
}

impl Cri {
    pub(super) fn new(sockets: CriSockets, labels_max: usize, annotations: Vec<String>) -> Self {
        let work = Background::new("tetherd-cri", STUCK, HUNG_MAX);
        Self { sockets, labels_max, annotations, work, known: Lru::new(CACHE) }
    }

    /// Asks for a container, unless it is known or no socket is to be asked. Never blocks.
    pub(super) fn ask(&mut self, container: &ContainerIdentity) {
        let id = (container.runtime, container.id.clone());
        let again = |(at, outcome): &(Instant, Outcome)| outcome.is_err() && at.elapsed() > NOTHING;
        if self.sockets == CriSockets::Off
            || self.known.touch(&id) && !self.known.peek(&id).is_some_and(again)
        {
            return;
        }
        let sockets = self.sockets.of(container);
        if sockets.is_empty() {
            return;
        }
        let question = Question {
            id: id.clone(),
            sockets,
            pod: container.pod_uid.clone(),
            labels_max: self.labels_max,
            annotations: self.annotations.clone(),
        };
        if self.work.ask(question) == Err(Refusal::Off) {
            self.known.put(id, (Instant::now(), Err("asking the runtime is off: it hung too often")));
        }
    }

    /// What it said, waiting until `deadline` at most; `None`: it was not asked.
    pub(super) fn wait(&mut self, container: &ContainerIdentity, deadline: Instant) -> Option<Outcome> {
        let id = (container.runtime, container.id.clone());
        while self.work.is_waiting(&id) {
            let (done, outcome) = match self.work.answer(deadline) {
                Some(Answer::Done(done, outcome)) => (done, outcome),
                Some(Answer::Hung(hung)) => (hung, Err("asking the runtime hung")),
                None => break,
            };
            self.known.put(done, (Instant::now(), outcome));
        }
        let waiting = self.work.is_waiting(&id).then_some(Err(LATE));
        self.known.peek(&id).map(|(_, outcome)| outcome.clone()).or(waiting)
    }
}

/// The runtime has been asked and has not answered.
pub(super) const LATE: &str = "the runtime has not answered yet";

/// One container to ask for.
#[derive(Debug)]
struct Question {
    id: Id,
    sockets: Vec<PathBuf>,
    /// The uid of its pod, as its cgroup's path has it.
    pod: Option<String>,
    labels_max: usize,
    annotations: Vec<String>,
}

impl Job for Question {
    type Id = Id;
    type Output = Outcome;

    fn id(&self) -> Id {
        self.id.clone()
    }

    /// The first socket that knows it.
    fn run(self) -> Outcome {
        let until = Instant::now() + DEADLINE;
        let mut why = "the runtime does not know the container";
        for socket in &self.sockets {
            match self.ask_at(socket, until) {
                Ok(Some(metadata)) => return Ok(Arc::new(metadata)),
                Ok(None) => {}
                Err(failed) => why = failed,
            }
        }
        Err(why)
    }
}

impl Question {
    /// What one runtime says; `None` where it knows nothing of it.
    fn ask_at(&self, socket: &Path, until: Instant) -> Result<Option<Metadata>, &'static str> {
        client::converse(socket, until, |client| async move {
            match self.talk(&client).await {
                Ok(metadata) => Ok(Some(metadata)),
                Err(Failure::NotFound) => Ok(None),
                Err(Failure::Other(why)) => Err(why),
            }
        })
    }

    async fn talk(&self, client: &Client) -> Result<Metadata, Failure> {
        const MALFORMED: Failure = Failure::Other("the runtime's answer cannot be read");
        const ANOTHER: Failure = Failure::Other("the runtime's answer is of another container");
        let id = self.id.1.as_str();
        let status = match client.call("ContainerStatus", &answers::by_id(id)).await {
            Ok(status) => status,
            // A pod's own, which holds its namespaces, is no container to the interface.
            Err(Failure::NotFound) => return self.sandbox(client, id).await,
            Err(failed) => return Err(failed),
        };
        let container = answers::container(&status).map_err(|_| MALFORMED)?;
        if container.id != id {
            return Err(ANOTHER);
        }
        let own = Metadata {
            name: name(container.name),
            image: image(container.image),
            image_id: image(container.image_ref),
            created: (container.created_ns > 0).then(|| rfc3339(container.created_ns)),
            attempt: Some(container.attempt),
            annotations: annotations(container.annotations, &self.annotations),
            ..Metadata::default()
        };
        let list = client.call("ListContainers", &answers::listed(id)).await?;
        let sandbox = answers::sandbox_of(&list, id).map_err(|_| MALFORMED)?;
        match sandbox.filter(|id| is_long_id(id)) {
            Some(sandbox) => Ok(own.or(&self.sandbox(client, sandbox).await?)),
            None => Err(ANOTHER),
        }
    }

    /// What it says of a pod.
    async fn sandbox(&self, client: &Client, id: &str) -> Result<Metadata, Failure> {
        let status = client.call("PodSandboxStatus", &answers::by_id(id)).await?;
        let sandbox = answers::sandbox(&status);
        let sandbox = sandbox.map_err(|_| Failure::Other("the runtime's answer cannot be read"))?;
        if sandbox.id != id || self.pod.as_ref().is_some_and(|uid| uid != sandbox.uid) {
            return Err(Failure::Other("the runtime's answer is of another pod"));
        }
        Ok(Metadata {
            pod_name: name(sandbox.name),
            pod_namespace: name(sandbox.namespace),
            pod_uid: name(sandbox.uid),
            labels: labels(sandbox.labels, self.labels_max),
            annotations: annotations(sandbox.annotations, &self.annotations),
            ..Metadata::default()
        })
    }
}
