//! The enrichment's part of the configuration.
//!
//! Owns: the keys of `[enrich]` and `[node]` and their defaults. Must not own: reading them from a file (`config`).

pub use super::cloud::Provider;
use super::evidence::EvidenceSettings;
use super::metadata::MetadataSettings;
pub use super::metadata::{CriSockets, KEY_MAX};

/// `[enrich]` and `[node]`.
#[derive(Clone, Debug, PartialEq)]
pub struct EnrichSettings {
    /// Whether to take SHA-256 digests of executables.
    pub digest: bool,
    /// The most bytes of one file that are hashed.
    pub digest_max_bytes: u64,
    /// The longest that a record waits for digests, names and what runtimes know, in milliseconds; what comes later is in
    /// the next record.
    pub digest_wait_ms: u64,
    /// Where runtimes keep what they know of their containers.
    pub metadata: MetadataSettings,
    /// What evidence is kept.
    pub evidence: EvidenceSettings,
    /// Findings that have something in common within this many seconds are linked; 0: none are.
    pub related_seconds: u64,
    /// The node's name (`VM_Instance_Name`); empty: the host name.
    pub node_name: String,
    /// Full resource name of the cluster or host; empty: `//tetherd/hosts/NODE`.
    pub resource_name: String,
    /// What people call the resource; empty: the node's name.
    pub resource_display_name: String,
    /// What people call the cloud project; empty: not told.
    pub project_display_name: String,
    /// Whose metadata server is asked, once, at the start.
    pub metadata_server: Provider,
}

impl Default for EnrichSettings {
    fn default() -> Self {
        Self {
            digest: true,
            digest_max_bytes: 64 << 20,
            digest_wait_ms: 5,
            metadata: MetadataSettings::default(),
            evidence: EvidenceSettings::default(),
            related_seconds: 3600,
            node_name: String::new(),
            resource_name: String::new(),
            resource_display_name: String::new(),
            project_display_name: String::new(),
            metadata_server: Provider::Off,
        }
    }
}
