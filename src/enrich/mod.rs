//! From what the engine decided to what is reported: adds context, never changes the verdict.
//!
//! Owns: building a [`Record`] from a [`Detection`], and what it takes to know more about a process than one look has:
//! its container, its user's name, the digest of its program, what the living process tells. Must not own: judging, storing. Talks to: `model`; a few
//! worker threads of its own read files that somebody else controls, because such a read can take for ever.
//!
//! A record waits for those threads for `digest_wait_ms` in all. What is not there by then is left out, the record says
//! so in `Enrichment_Status`, and the incident's next record has it.

mod cloud;
mod connection;
pub mod container;
mod containers;
mod digest;
mod evidence;
mod evidence_properties;
mod metadata;
mod namespaces;
pub mod node;
mod owner;
mod privileges;
mod process;
mod properties;
mod record;
mod related;
#[cfg(test)]
mod samples;
pub mod settings;
mod status;
mod tether_path;
mod user;
mod words;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use properties::keys;
pub use settings::EnrichSettings;
#[doc(hidden)]
pub use user::{inner_uid, name_in};

use crate::model::clock::Moment;
use crate::model::detection::Detection;
use crate::model::earlier::Entries;
use crate::model::finding::{Record, Resource};
use crate::model::look::{Look, Namespaces};

use cloud::Cloud;
#[doc(hidden)]
pub use cloud::texts_of_cloud;
use container::ContainerIdentity;
pub use containers::Containers;
use digest::Digests;
use evidence::{Copied, Copies, Evidence, Facts, Known};
pub use evidence::{Environment, EvidenceSettings, shown_environment};
pub use metadata::{Asked, MetadataSettings};
use metadata::{Known as Told, Metadata, Runtimes};
#[doc(hidden)]
pub use metadata::{texts_of_answer, texts_of_file};
use node::Node;
use related::Related;
use status::Status;
use user::Users;

/// Adds context to detections.
#[derive(Debug)]
pub struct Enricher {
    node: Node,
    boot_id: String,
    host: Namespaces,
    wait: Duration,
    hurries: bool,
    awaits: bool,
    digests: Digests,
    users: Users,
    runtimes: Runtimes,
    evidence: Evidence,
    settings: EvidenceSettings,
    copies: Option<Copies>,
    related: Related,
    cloud: Cloud,
    /// The configuration names the resource: the metadata server does not.
    resource_named: bool,
}

/// Everything that was found out about the main process and that a record is made from.
struct Context<'a> {
    detection: &'a Detection,
    earlier: Entries,
    now: Moment,
    node: &'a Node,
    boot_id: &'a str,
    place: Place,
    user_name: Option<String>,
    digests: &'a Digests,
    cloud: &'a Cloud,
    facts: Known<Arc<Facts>>,
    /// `None` where none is wanted.
    copy: Option<Known<Copied>>,
    status: Status,
}

/// Where a process runs.
#[derive(Debug, Default)]
struct Place {
    cgroup_path: Option<String>,
    container: Option<ContainerIdentity>,
    /// What its runtime knows of it, as far as it is known here.
    metadata: Arc<Metadata>,
    /// In a container, even though no form of path named it.
    isolated: bool,
}

impl Enricher {
    /// Reads the host's names and namespaces, and starts no thread before the first record needs one.
    pub fn new(settings: EnrichSettings, boot_id: String) -> Self {
        let host = namespaces::of_host();
        Self {
            boot_id,
            host,
            wait: Duration::from_millis(settings.digest_wait_ms),
            hurries: false,
            awaits: false,
            digests: Digests::new(settings.digest, settings.digest_max_bytes),
            users: Users::new(host.mnt),
            runtimes: Runtimes::new(settings.metadata.clone()),
            evidence: Evidence::new(settings.evidence.clone(), settings.digest_max_bytes, host),
            settings: settings.evidence.clone(),
            copies: None,
            related: Related::new(settings.related_seconds),
            cloud: Cloud::ask(settings.metadata_server),
            resource_named: !settings.resource_name.is_empty(),
            node: Node::new(settings),
        }
    }

    /// Whether there is no time to wait for anything now: what is not known by itself is left out.
    pub fn hurry(&mut self, hurry: bool) {
        self.hurries = hurry;
    }

    /// Copies of executables go below this spool, if they are switched on.
    pub fn keep_copies_in(&mut self, spool: &Path) {
        self.copies = self.settings.copy.then(|| Copies::new(self.settings.clone(), spool));
    }

    /// What allow rules may know of containers: from the same answers as the records, so that each is asked for once.
    pub fn containers(&self) -> Containers {
        Containers::sharing(self.runtimes.clone(), self.wait)
    }

    /// How often runtimes were asked.
    pub fn asked(&self) -> Asked {
        self.runtimes.asked()
    }

    /// Takes up a finding of an earlier run that may be related to new ones.
    pub fn remember(&mut self, record: &Record) {
        self.related.remember(record);
    }

    /// Links a record with those of related findings. Returns records of findings that had ended, with their new links.
    pub fn relate(&mut self, record: &mut Record, now: Moment) -> Vec<Record> {
        self.related.link(record, now)
    }

    /// The record of an incident as it stands. Waits at most `digest_wait_ms`. `Sequence` and
    /// `Previous_Record_Sha256` are the spool's to add, and a record too long for a line is the spool's to shorten.
    pub fn record(&mut self, detection: &Detection, now: Moment) -> Record {
        let deadline = Instant::now() + if self.hurries { Duration::ZERO } else { self.wait };
        let subject = &detection.subject;
        let mut status = Status::default();
        match self.cloud.known() {
            Some(Ok(known)) => {
                if let Some(name) = known.resource_name.as_deref().filter(|_| !self.resource_named) {
                    self.node.take_resource_name(name);
                }
            }
            Some(Err(why)) => status.miss("cloud", why),
            None => {}
        }
        let earlier = detection.earlier.entries();
        for look in record::timeline(detection, &earlier) {
            self.digests.ask(look);
        }
        self.evidence.ask(subject, &detection.tether);
        self.users.ask(subject);
        if let Some(copies) = &mut self.copies {
            copies.ask(subject);
        }
        let mut place = self.place(subject);
        if let Some(container) = &place.container {
            self.runtimes.ask(container);
        }
        self.digests.wait(deadline);
        let user_name = match self.users.wait(subject, deadline) {
            Ok(name) => name,
            Err(why) => {
                status.miss("user name", why);
                None
            }
        };
        if let Some(container) = &place.container {
            let told = self.runtimes.wait(container, deadline);
            untold(&mut status, &told, container);
            place.metadata = Arc::new(told.metadata.with_claims());
        }
        let facts = self.evidence.wait(subject, deadline);
        let copy = self.copies.as_mut().map(|copies| copies.wait(subject, deadline));
        let context = Context {
            cloud: &self.cloud,
            facts,
            copy,
            detection,
            earlier,
            now,
            node: &self.node,
            boot_id: &self.boot_id,
            place,
            user_name,
            digests: &self.digests,
            status,
        };
        let (record, awaits) = record::build(context);
        self.awaits = awaits;
        record
    }

    /// Whether the record that was made last lacks something that may be known in a moment.
    pub fn awaits(&self) -> bool {
        self.awaits
    }

    /// The node's name (`VM_Instance_Name`).
    pub fn node_name(&self) -> &str {
        &self.node.name
    }

    /// What the node is, or is part of, as far as the configuration says.
    pub fn resource(&self) -> &Resource {
        &self.node.resource
    }

    fn place(&self, look: &Look) -> Place {
        let cgroup_path = container::cgroup_path(&look.cgroup);
        let service = cgroup_path.as_deref().is_some_and(container::is_service);
        let isolated = namespaces::isolated(&look.namespaces, &self.host, service);
        let container = container::identify(&look.cgroup, isolated);
        let cgroup_path = container.as_ref().map(|c| c.cgroup_path.clone()).or(cgroup_path);
        Place { cgroup_path, container, metadata: Arc::default(), isolated }
    }
}

/// What the runtime and the kubelet do not say of a container.
fn untold(status: &mut Status, told: &Told, container: &ContainerIdentity) {
    let known = &told.metadata;
    let why = match told.files {
        _ if container.is_in_database() => {
            "containerd has it in its database alone, and is asked for it where [enrich] cri is set"
        }
        Ok(()) => "the runtime's files do not say",
        Err(why) => why,
    };
    match (&known.name, &known.image) {
        (None, None) if told.files.is_err() => status.miss("container's name and image", why),
        (name, image) => {
            for (what, there) in [("name", name.is_some()), ("image", image.is_some())] {
                if !there {
                    status.miss(&format!("container's {what}"), why);
                }
            }
        }
    }
    if let Err(why) = told.socket {
        status.miss("what the runtime's socket says", why);
    }
    if told.may_grow {
        status.await_more();
    }
    if let Some(labels) = known.labels.as_ref().filter(|labels| labels.left_out > 0) {
        let why = format!("{} are left out: too many, too long, or with control characters", labels.left_out);
        status.miss("pod's labels", &why);
    }
}
