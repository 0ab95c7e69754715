//! Which container a process is in, as far as a rule may rely on it.
//!
//! Owns: the answer to "in what container is this?". Must not own: finding it out (`enrich`), what follows from it
//! (`engine`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ids::ContainerId;

/// What is known of a container beyond doubt: nobody in it, and no other user of the machine, can have chosen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerFacts {
    /// Its id.
    pub id: ContainerId,
    /// The image, as it was asked for.
    pub image: Option<String>,
    /// Its pod's namespace.
    pub namespace: Option<String>,
    /// Its pod's labels.
    pub labels: Option<BTreeMap<String, String>>,
}

/// The container of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contained {
    /// In none, or in none that is known beyond doubt.
    Untold,
    /// In this one; no more will be known.
    Known(Arc<ContainerFacts>),
    /// In this one; what is not known yet may be known when it is asked again.
    Late(Arc<ContainerFacts>),
}
