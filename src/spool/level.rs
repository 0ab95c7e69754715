//! How hard pressed the spool is.
//!
//! Owns: the levels, and what each means. Must not own: measuring (`room`, `reserve`), what gives way (`daemon`).

/// From nothing to do to nothing left. Each holds what the ones before it say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// There is room.
    #[default]
    Ok,
    /// The filesystem has less than twice `min_free_bytes` left, or hardly any inodes.
    Warn,
    /// There was no room, and nothing left to drop: the reserve was given up for what matters most.
    Emergency,
    /// Nothing can be written at all: records wait in memory.
    Full,
}

impl Level {
    /// All of them, least first.
    pub const ALL: [Level; 4] = [Level::Ok, Level::Warn, Level::Emergency, Level::Full];

    /// Its name in status and records; its number in metrics is its place in [`Level::ALL`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Emergency => "emergency",
            Self::Full => "full",
        }
    }

    /// What it means, in one sentence for the operator.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "there is room for records",
            Self::Warn => "room is short on the spool's filesystem; the oldest records go first",
            Self::Emergency => {
                "there was no room and nothing left to drop; the reserve was given up, and repeated records of one finding wait"
            }
            Self::Full => {
                "nothing can be written to the spool; records wait in memory, and there is a bound to that"
            }
        }
    }
}
