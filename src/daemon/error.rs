//! Why the daemon does not run.
//!
//! Owns: joining the stages' errors into one, with its exit code. Must not own: their sentences.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::model::exit::Exit;
use crate::model::problem::Problem;
use crate::sensor::error::SensorError;
use crate::spool::error::SpoolError;

/// What kept the daemon from running, or ended it.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The allow rules.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Rules(Vec<Problem>),
    /// The sensor.
    #[error(transparent)]
    Sensor(#[from] SensorError),
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The control socket.
    #[error(
        "cannot make the control socket {path}: {source}; set [control] socket to a place that can be written"
    )]
    Control {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Privileges.
    #[error("cannot give up privileges: {0}")]
    Confine(#[source] io::Error),
    /// A thread or a signal handler.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

impl DaemonError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(error) => error.exit(),
            Self::Rules(_) => Exit::Config,
            Self::Sensor(error) => error.exit(),
            Self::Spool(error) => error.exit(),
            Self::Control { .. } => Exit::CantCreate,
            Self::Confine(_) | Self::Thread(_) => Exit::Os,
        }
    }
}
