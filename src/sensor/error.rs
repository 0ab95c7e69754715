//! Why the sensor cannot work.
//!
//! Owns: the sentences and the exit codes. Must not own: finding out (`connector`, `probe`).

use std::io;

use crate::model::exit::Exit;

/// What kept the sensor from listening.
#[derive(Debug, thiserror::Error)]
pub enum SensorError {
    /// socket(2) or bind(2) was refused.
    #[error("the kernel refused the proc connector ({0}); run tetherd as root or with CAP_NET_ADMIN")]
    Refused(#[source] io::Error),
    /// There is nobody behind the connector.
    #[error(
        "the kernel does not answer on the proc connector ({0}); it needs CONFIG_PROC_EVENTS, and tetherd must run in \
         the host's network namespace (in Kubernetes: hostNetwork: true)"
    )]
    Unanswered(#[source] io::Error),
    /// A namespace that the connector does not serve.
    #[error(
        "tetherd runs in its own {0} namespace, where the proc connector is silent; start it in the host's (in \
         Kubernetes: hostPID: true, hostNetwork: true, hostUsers: true)"
    )]
    Namespace(&'static str),
    /// Nothing came.
    #[error("the proc connector sent no event for a process of our own within 2 s; run `tetherd doctor`")]
    Deaf,
    /// Another system call failed.
    #[error("the sensor could not be set up: {0}")]
    Setup(#[source] io::Error),
}

impl SensorError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Refused(_) => Exit::NoPermission,
            Self::Unanswered(_) | Self::Namespace(_) => Exit::Unavailable,
            Self::Deaf => Exit::TempFail,
            Self::Setup(_) => Exit::Os,
        }
    }
}
