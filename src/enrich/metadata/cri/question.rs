//! Asking a runtime's socket for one container.
//!
//! Owns: which calls are made, what an answer has to be of to be believed, and what is taken of it. Must not own: making
//! calls (`client`), what fits into a record (`facts`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::{self, Client, Failure};
use super::{MALFORMED, OTHER_CONTAINER, UNKNOWN_CALL, answers, native};
use crate::enrich::container::is_long_id;
use crate::enrich::metadata::Outcome;
use crate::enrich::metadata::facts::{Metadata, annotations, image, labels, name};
use crate::enrich::metadata::key::Key;
use crate::host::background::Job;
use crate::model::clock::rfc3339;

/// How long one conversation may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// One container to ask for.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) key: Key,
    pub(super) sockets: Vec<PathBuf>,
    pub(super) labels_max: usize,
    pub(super) annotations: Vec<String>,
}

impl Job for Question {
    type Id = Key;
    type Output = Outcome;

    fn id(&self) -> Key {
        self.key.clone()
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
    pub(super) fn ask_at(&self, socket: &Path, until: Instant) -> Result<Option<Metadata>, &'static str> {
        client::converse(socket, until, |client| async move {
            match self.talk(&client).await {
                Ok(metadata) => Ok(Some(metadata)),
                Err(Failure::NotFound) => Ok(None),
                Err(Failure::Unimplemented) => Err(UNKNOWN_CALL),
                Err(Failure::Other(why)) => Err(why),
            }
        })
    }

    async fn talk(&self, client: &Client) -> Result<Metadata, Failure> {
        const ANOTHER: Failure = Failure::Other(OTHER_CONTAINER);
        let id = self.key.id.as_str();
        if let Some(namespace) = &self.key.namespace {
            return native::ask(client, namespace, id).await;
        }
        let status = match client.call("ContainerStatus", &answers::by_id(id)).await {
            Ok(status) => status,
            // A pod's own, which holds its namespaces, is no container to the interface.
            Err(Failure::NotFound) => return self.sandbox(client, id).await,
            Err(failed) => return Err(failed),
        };
        let container = answers::container(&status).map_err(|_| Failure::Other(MALFORMED))?;
        if container.id != id {
            return Err(ANOTHER);
        }
        let own = of_container(&container, &self.annotations);
        let list = client.call("ListContainers", &answers::listed(id)).await?;
        let sandbox = answers::sandbox_of(&list, id).map_err(|_| Failure::Other(MALFORMED))?;
        match sandbox.filter(|id| is_long_id(id)) {
            Some(sandbox) => Ok(own.or(&self.sandbox(client, sandbox).await?)),
            None => Err(ANOTHER),
        }
    }

    /// What it says of a pod.
    async fn sandbox(&self, client: &Client, id: &str) -> Result<Metadata, Failure> {
        let status = client.call("PodSandboxStatus", &answers::by_id(id)).await?;
        let sandbox = answers::sandbox(&status).map_err(|_| Failure::Other(MALFORMED))?;
        if sandbox.id != id || self.key.pod.as_ref().is_some_and(|uid| uid != sandbox.uid) {
            return Err(Failure::Other("the runtime's answer is of another pod"));
        }
        Ok(of_pod(sandbox, self.labels_max, &self.annotations))
    }
}

/// What is taken of a container's answer.
fn of_container(container: &answers::Container<'_>, wanted: &[String]) -> Metadata {
    Metadata {
        name: name(container.name),
        image: image(container.image),
        image_id: image(container.image_ref),
        created: (container.created_ns > 0).then(|| rfc3339(container.created_ns)),
        attempt: Some(container.attempt),
        annotations: annotations(container.annotations.iter().copied(), wanted),
        ..Metadata::default()
    }
}

/// What is taken of a pod's answer.
fn of_pod(sandbox: answers::Sandbox<'_>, labels_max: usize, wanted: &[String]) -> Metadata {
    Metadata {
        pod_name: name(sandbox.name),
        pod_namespace: name(sandbox.namespace),
        pod_uid: name(sandbox.uid),
        labels: labels(sandbox.labels, labels_max),
        annotations: annotations(sandbox.annotations, wanted),
        ..Metadata::default()
    }
}

/// Every text that a record would have from these bytes, were they a runtime's answer of any kind. For the fuzzer.
#[doc(hidden)]
pub fn texts_of_answer(answer: &[u8], labels_max: usize, annotations: &[String]) -> Vec<String> {
    let container = answers::container(answer).map(|found| of_container(&found, annotations));
    let pod = answers::sandbox(answer).map(|found| of_pod(found, labels_max, annotations));
    let sandbox = answers::sandbox_of(answer, "a").ok().flatten().filter(|id| is_long_id(id));
    let mut texts: Vec<String> = sandbox.map(str::to_owned).into_iter().collect();
    let native = native::container(answer).map(|found| native::taken(&found));
    texts.extend([container, pod, native].into_iter().flatten().flat_map(Metadata::texts));
    texts
}
