//! Exit codes (sysexits.h).
//!
//! Owns: the numbers and which kind of failure gets which. Must not own: the messages.

/// How a command of tetherd ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done; for `verify`, `doctor` and `self-test`: nothing wrong.
    Ok,
    /// 1: done, and the answer is no: `verify` found a break, `doctor` a failure, `self-test` no record.
    Findings,
    /// 64 EX_USAGE: the command line is wrong.
    Usage,
    /// 65 EX_DATAERR: what was read is damaged.
    Data,
    /// 66 EX_NOINPUT: what was asked for does not exist or cannot be read.
    NoInput,
    /// 69 EX_UNAVAILABLE: the daemon does not run, or the kernel lacks what is needed.
    Unavailable,
    /// 70 EX_SOFTWARE: an error of ours.
    Software,
    /// 71 EX_OSERR: the system refused something that should work.
    Os,
    /// 73 EX_CANTCREAT: the spool or a socket cannot be made.
    CantCreate,
    /// 74 EX_IOERR: reading or writing failed.
    Io,
    /// 75 EX_TEMPFAIL: try again (another instance runs, the sensor stays deaf).
    TempFail,
    /// 77 EX_NOPERM: a capability or a permission is missing.
    NoPermission,
    /// 78 EX_CONFIG: the configuration is wrong.
    Config,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Findings => 1,
            Self::Usage => 64,
            Self::Data => 65,
            Self::NoInput => 66,
            Self::Unavailable => 69,
            Self::Software => 70,
            Self::Os => 71,
            Self::CantCreate => 73,
            Self::Io => 74,
            Self::TempFail => 75,
            Self::NoPermission => 77,
            Self::Config => 78,
        }
    }
}
