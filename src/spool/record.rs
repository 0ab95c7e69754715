//! Records that tetherd writes about itself.
//!
//! Owns: observations (findings dropped, coverage lost), and the form of every finding's name. Must not own: the
//! findings themselves (`enrich`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::model::clock::Moment;
use crate::model::detection::State;
use crate::model::finding::{Finding, Record, Resource, SCHEMA_VERSION, property};
use crate::model::ids::FindingId;

/// The parent of every finding.
pub const PARENT: &str = "organizations/0/sources/tetherd/locations/global";
/// The same, with the project as the nearest ancestor.
pub const CANONICAL_PARENT: &str = "projects/0/sources/tetherd/locations/global";
/// The parent's name for people.
pub const PARENT_DISPLAY_NAME: &str = "Tetherd";

/// Property of a record of dropped findings: the number of the first one.
pub const FIRST_SEQUENCE: &str = "First_Sequence";
/// Property of a record of dropped findings: the highest number that may have been among them.
pub const LAST_SEQUENCE: &str = "Last_Sequence";
/// Property of a record of dropped findings: how many lines were dropped.
pub const DROPPED_COUNT: &str = "Dropped_Count";
/// Property of an observation: why.
pub const REASON: &str = "Reason";

/// `finding.name`.
pub fn finding_name(id: FindingId) -> String {
    format!("{PARENT}/findings/{id}")
}

/// `finding.canonicalName`.
pub fn canonical_name(id: FindingId) -> String {
    format!("{CANONICAL_PARENT}/findings/{id}")
}

/// A record that is not a finding: class OBSERVATION, no severity, over as soon as it is written, under a name that no
/// other record has. Its resource is the host by its host name; a caller that knows a better one puts it in.
pub fn observation(
    category: &str,
    description: &str,
    properties: BTreeMap<String, Value>,
    now: Moment,
    boot_id: &str,
) -> Record {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut seed = Sha256::new();
    for part in [now.wall_ns, u64::from(std::process::id()), COUNT.fetch_add(1, Ordering::Relaxed)] {
        seed.update(part.to_le_bytes());
    }
    seed.update(boot_id);
    seed.update(category);
    let mut digits = [0; 16];
    digits.iter_mut().zip(seed.finalize()).for_each(|(digit, byte)| *digit = byte);
    let id = FindingId(digits);

    let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
    let resource_name = format!("//tetherd/hosts/{host}");
    let mut source_properties = properties;
    source_properties.insert(property::BOOT_ID.into(), boot_id.into());
    source_properties.insert(property::SCHEMA_VERSION.into(), SCHEMA_VERSION.into());
    source_properties.insert(property::VM_INSTANCE_NAME.into(), host.clone().into());
    Record {
        finding: Finding {
            name: finding_name(id),
            canonical_name: canonical_name(id),
            parent: PARENT.into(),
            parent_display_name: PARENT_DISPLAY_NAME.into(),
            resource_name: resource_name.clone(),
            state: State::Inactive,
            category: category.into(),
            severity: None,
            finding_class: "OBSERVATION".into(),
            mute: "UNDEFINED".into(),
            mute_initiator: None,
            event_time: now.rfc3339(),
            create_time: now.rfc3339(),
            description: description.into(),
            next_steps: String::new(),
            module_name: "tetherd/observation".into(),
            mitre_attack: None,
            indicator: None,
            connections: Vec::new(),
            processes: Vec::new(),
            containers: Vec::new(),
            kubernetes: None,
            source_properties,
        },
        resource: Resource {
            name: resource_name,
            display_name: host,
            kind: "tetherd/Host".into(),
            project: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::CATEGORY_LOSS;

    #[test]
    fn observations_have_names_of_their_own() {
        let now = Moment { mono_ns: 1, wall_ns: 1_795_492_217_000_000_000 };
        let make = || observation(CATEGORY_LOSS, "why", BTreeMap::new(), now, "boot");
        let (one, other) = (make(), make());
        assert_ne!(one.finding.name, other.finding.name);
        assert!(one.id().parse::<FindingId>().is_ok());
        let line = serde_json::to_string(&one).unwrap();
        assert!(line.starts_with(
            r#"{"finding":{"name":"organizations/0/sources/tetherd/locations/global/findings/"#
        ));
        assert!(!line.contains("severity"));
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), one);
    }
}
