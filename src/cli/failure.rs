//! Why a command failed.
//!
//! Owns: the last line a person reads, and the exit code. Must not own: the stages' sentences.

use std::io;

use crate::daemon::error::DaemonError;
use crate::model::exit::Exit;
use crate::spool::error::SpoolError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The daemon's own.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// The spool's own.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// `run` without privileges.
    #[error(
        "run needs root, or CAP_NET_ADMIN, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH; `tetherd scan` does what it can without"
    )]
    NotRoot,
    /// An argument that clap could not judge.
    #[error("{0}")]
    Usage(String),
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// No daemon answers.
    #[error("{0}")]
    Unavailable(String),
    /// A file that was asked for cannot be made.
    #[error("{0}")]
    CannotCreate(String),
    /// Writing the output failed.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Daemon(error) => error.exit(),
            Self::Spool(error) => error.exit(),
            Self::NotRoot => Exit::NoPermission,
            Self::Usage(_) => Exit::Usage,
            Self::NotFound(_) => Exit::NoInput,
            Self::Unavailable(_) => Exit::Unavailable,
            Self::CannotCreate(_) => Exit::CantCreate,
            Self::Output(_) => Exit::Io,
        }
    }
}
