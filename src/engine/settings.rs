//! The engine's part of the configuration.
//!
//! Owns: the keys of `[watch]` and `[incident]` and their defaults. Must not own: reading them from a file (`config`).

use crate::engine::program::Catalog;

/// `[watch]` and `[incident]`.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineSettings {
    /// Commands watched besides the shipped list, by base name.
    pub commands: Vec<String>,
    /// Shells besides the shipped list, by base name; read like a POSIX shell's options.
    pub shells: Vec<String>,
    /// Shipped names that are not to be watched.
    pub ignore: Vec<String>,
    /// A peer on loopback lowers the severity by one step.
    pub loopback_lowers: bool,
    /// Seconds that must lie between two records of one incident.
    pub reissue_seconds: u64,
    /// The most processes listed in one record; counts go on beyond it.
    pub processes_max: usize,
    /// The most open incidents.
    pub incidents_max: usize,
    /// The most processes followed at one time.
    pub table_max: usize,
    /// The most one-way sockets remembered (row 8).
    pub one_way_max: usize,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            commands: Vec::new(),
            shells: Vec::new(),
            ignore: Vec::new(),
            loopback_lowers: true,
            reissue_seconds: 1,
            processes_max: 32,
            incidents_max: 4096,
            table_max: 65_536,
            one_way_max: 16_384,
        }
    }
}

impl EngineSettings {
    /// The names that these settings make watched.
    pub fn catalog(&self) -> Catalog {
        Catalog::new(&self.commands, &self.shells, &self.ignore)
    }

    /// Whether these settings make other names watched than those.
    pub fn watches_as(&self, other: &Self) -> bool {
        (&self.commands, &self.shells, &self.ignore) == (&other.commands, &other.shells, &other.ignore)
    }
}
