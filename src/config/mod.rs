//! The configuration.
//!
//! Owns: the table of keys (with the one default of each stage behind it), reading a file, naming every problem, and
//! printing what is in force with where it came from. Must not own: what a setting does. Talks to: the stages'
//! settings.

pub mod certificates;
pub mod control;
pub mod destinations;
pub mod file;
pub mod key;
pub mod keys;
pub mod rules_dir;
pub mod values;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::config::control::ControlSettings;
use crate::config::destinations::Block;
use crate::config::keys::KEYS;
use crate::deliver::settings::{self, Destination, SyslogSettings};
use crate::engine::settings::EngineSettings;
use crate::enrich::settings::EnrichSettings;
use crate::model::exit::Exit;
use crate::model::problem::Problem;
use crate::sensor::settings::{FanotifyMode, SensorSettings};
use crate::spool::settings::SpoolSettings;

/// Where the configuration is looked for.
pub const DEFAULT_FILE: &str = "/etc/tetherd/tetherd.toml";

/// All settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `[sensor]`.
    pub sensor: SensorSettings,
    /// `[watch]` and `[incident]`.
    pub engine: EngineSettings,
    /// `[enrich]` and `[node]`.
    pub enrich: EnrichSettings,
    /// `[spool]`.
    pub spool: SpoolSettings,
    /// `[syslog]`.
    pub syslog: SyslogSettings,
    /// Each `[[deliver]]`.
    pub deliver: Vec<Block>,
    /// `[rules]` and `[control]`.
    pub control: ControlSettings,
    /// Where each key's value was set; keys that are not here have their default.
    pub origins: BTreeMap<&'static str, String>,
}

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What is not wrong but worth saying.
    pub warnings: Vec<Problem>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "cannot read {path}: {source}; name another file with --config, or leave it out for the defaults"
    )]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It was read, and is wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
}

impl ConfigError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unreadable { .. } => Exit::NoInput,
            Self::Problems(_) => Exit::Config,
        }
    }
}

/// The file that was named, or the usual one.
pub fn file_or_default(named: Option<&Path>) -> &Path {
    named.unwrap_or(Path::new(DEFAULT_FILE))
}

impl Config {
    /// What holds without a file.
    pub fn defaults() -> Self {
        Self::default()
    }

    /// Reads a file; without a name, the default one if there is one.
    pub fn load(file: Option<&Path>) -> Result<Loaded, ConfigError> {
        let path = file_or_default(file);
        match file::read(path) {
            Ok(text) => file::parse(path, &text),
            Err(ConfigError::Unreadable { source, .. })
                if file.is_none() && source.kind() == std::io::ErrorKind::NotFound =>
            {
                Ok(Loaded { config: Self::defaults(), warnings: Vec::new() })
            }
            Err(error) => Err(error),
        }
    }

    /// `--spool`.
    pub fn override_spool(&mut self, directory: PathBuf) {
        self.spool.directory = directory;
        self.origins.insert("spool.directory", "command line".into());
    }

    /// `--fanotify`.
    pub fn override_fanotify(&mut self, mode: FanotifyMode) {
        self.sensor.fanotify = mode;
        self.origins.insert("sensor.fanotify", "command line".into());
    }

    /// All destinations, that of `[syslog]` first.
    pub fn destinations(&self) -> Vec<Destination> {
        let others: Vec<Destination> = self.deliver.iter().map(|block| block.destination.clone()).collect();
        settings::destinations(&self.syslog, &others)
    }

    /// Every key's value as TOML, by its path; those of blocks by `deliver.NAME.KEY`.
    pub fn values(&self) -> BTreeMap<String, String> {
        let mut values: BTreeMap<String, String> =
            KEYS.iter().map(|key| (key.path.to_owned(), (key.show)(self))).collect();
        destinations::values(&self.deliver, &mut values);
        values
    }

    /// Everything in force, as TOML, each key with its meaning above and its origin behind.
    pub fn print(&self) -> String {
        let mut text = String::new();
        let mut table = "";
        for key in KEYS {
            let (head, name) = (key.table(), key.name());
            if head != table {
                let gap = if table.is_empty() { "" } else { "\n" };
                let _ = writeln!(text, "{gap}[{head}]");
                table = head;
            }
            let origin = self.origins.get(key.path).map_or("default", String::as_str);
            let _ = write!(text, "# {}\n{name} = {} # {origin}\n", key.doc, (key.show)(self));
        }
        destinations::print(&self.deliver, &mut text);
        text
    }
}
