//! The evidence's part of the configuration.
//!
//! Owns: its keys of `[enrich]` and their defaults. Must not own: reading them from a file (`config`).

/// What evidence is kept, and how much of it.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceSettings {
    /// Variables of the environment whose values are shown.
    pub environment_values: Vec<String>,
    /// The most names of other variables that are shown.
    pub environment_names_max: usize,
    /// The most other peers of a container's network namespace, and of a relay, that are shown; 0: none are asked for.
    pub network_peers_max: usize,
    /// Whether executables are copied into the spool's `evidence` directory.
    pub copy: bool,
    /// The largest executable that is copied.
    pub copy_max_bytes: u64,
    /// The most that all copies together may take.
    pub copies_max_bytes: u64,
    /// The most copies.
    pub copies_max: usize,
}

impl Default for EvidenceSettings {
    fn default() -> Self {
        let values = [
            "HOSTNAME",
            "KUBERNETES_SERVICE_HOST",
            "LOGNAME",
            "SSH_CLIENT",
            "SSH_CONNECTION",
            "SSH_TTY",
            "SUDO_UID",
            "SUDO_USER",
            "USER",
            "container",
        ];
        Self {
            environment_values: values.map(String::from).to_vec(),
            environment_names_max: 64,
            network_peers_max: 16,
            copy: false,
            copy_max_bytes: 64 << 20,
            copies_max_bytes: 512 << 20,
            copies_max: 256,
        }
    }
}
