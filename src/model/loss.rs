//! Every way of missing something.
//!
//! Owns: the enum, its names (metrics, records) and what each means for the person who reads it. Must not own:
//! counting (`stats`), reporting (`daemon`).

/// Anything that may have been missed, one value for each cause (DESIGN 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Loss {
    /// The kernel dropped connector events because our receive buffer was full (`SO_MEMINFO`, drops).
    KernelOverflow,
    /// The per-CPU sequence of connector messages had a gap that the drop counter does not explain.
    SequenceGap,
    /// The connector fell silent: the canary's exec was not heard.
    SensorDeaf,
    /// The sensor hung and was replaced.
    SensorStalled,
    /// Nobody listened between the daemon before and this one.
    NotListening,
    /// The channel from the sensor to the engine was full.
    ChannelFull,
    /// The queue of what waits to be read was full.
    ReaderFull,
    /// An exec was announced, and the process was gone before its descriptors could be read.
    Vanished,
    /// `/proc/PID` of a living process refused us.
    AccessDenied,
    /// A socket on fd 0-2 of which no lookup could say what it is.
    SocketUnresolved,
    /// Processes with pipes, UNIX sockets or terminals on fds 0-2 came faster than the relay thread took them.
    SuspectDropped,
    /// Such a process was gone before it could be told who holds the other end.
    SuspectVanished,
    /// A search for whoever holds the other end left something out: a process with more open files than are asked, more
    /// holders than are asked, more channels than are followed.
    SearchCut,
    /// A process was not looked at a second time: too many waited for that.
    SecondLookDropped,
    /// A program on a tether could not be read in time to tell whether it is a shell under another name.
    ShellUnsettled,
    /// A process known to matter was dropped from the table because the table was full.
    ProcessEvicted,
    /// A socket remembered for row 8 was dropped because the table was full.
    MemoryEvicted,
    /// An incident was closed early because there were too many.
    IncidentEvicted,
    /// More processes were followed than the kernel filter can list: all forks are heard instead.
    FilterWidened,
    /// A sweep did not get through all of /proc.
    SweepIncomplete,
    /// The kernel's queue of programs opened for execution was full: some were let through unseen.
    OpensOverflow,
    /// The kernel could not open a program for us, and refused its exec.
    OpenRefused,
    /// A process was let go by the deadline, unread.
    DeadlineMissed,
    /// There was no room for another process that waits in execve, or for its look.
    HoldFull,
    /// A filesystem could not be marked: its programs are seen by the connector alone.
    MarkRefused,
    /// A record could not be written to the spool.
    SpoolWrite,
    /// Records were dropped from the spool to make room.
    SpoolDropped,
    /// A segment of the spool was removed by somebody else while the daemon ran.
    SpoolRemoved,
    /// A torn or damaged line was found in the spool.
    SpoolTorn,
    /// A record was larger than a line may be, and was shortened.
    RecordShortened,
    /// A record was gone from the spool before a destination had taken it, or was refused as too long.
    DeliverySkipped,
}

impl Loss {
    /// All of them, in the order of the counters.
    pub const ALL: [Loss; 31] = [
        Loss::KernelOverflow,
        Loss::SequenceGap,
        Loss::SensorDeaf,
        Loss::SensorStalled,
        Loss::NotListening,
        Loss::ChannelFull,
        Loss::ReaderFull,
        Loss::Vanished,
        Loss::AccessDenied,
        Loss::SocketUnresolved,
        Loss::SuspectDropped,
        Loss::SuspectVanished,
        Loss::SearchCut,
        Loss::SecondLookDropped,
        Loss::ShellUnsettled,
        Loss::ProcessEvicted,
        Loss::MemoryEvicted,
        Loss::IncidentEvicted,
        Loss::FilterWidened,
        Loss::SweepIncomplete,
        Loss::OpensOverflow,
        Loss::OpenRefused,
        Loss::DeadlineMissed,
        Loss::HoldFull,
        Loss::MarkRefused,
        Loss::SpoolWrite,
        Loss::SpoolDropped,
        Loss::SpoolRemoved,
        Loss::SpoolTorn,
        Loss::RecordShortened,
        Loss::DeliverySkipped,
    ];

    /// Its place in [`Loss::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its name in metrics, status and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::KernelOverflow => "kernel_overflow",
            Self::SequenceGap => "sequence_gap",
            Self::SensorDeaf => "sensor_deaf",
            Self::SensorStalled => "sensor_stalled",
            Self::NotListening => "not_listening",
            Self::ChannelFull => "channel_full",
            Self::ReaderFull => "reader_full",
            Self::Vanished => "vanished",
            Self::AccessDenied => "access_denied",
            Self::SocketUnresolved => "socket_unresolved",
            Self::SuspectDropped => "suspect_dropped",
            Self::SuspectVanished => "suspect_vanished",
            Self::SearchCut => "search_cut",
            Self::SecondLookDropped => "second_look_dropped",
            Self::ShellUnsettled => "shell_unsettled",
            Self::ProcessEvicted => "process_evicted",
            Self::MemoryEvicted => "memory_evicted",
            Self::IncidentEvicted => "incident_evicted",
            Self::FilterWidened => "filter_widened",
            Self::SweepIncomplete => "sweep_incomplete",
            Self::OpensOverflow => "opens_overflow",
            Self::OpenRefused => "open_refused",
            Self::DeadlineMissed => "deadline_missed",
            Self::HoldFull => "hold_full",
            Self::MarkRefused => "mark_refused",
            Self::SpoolWrite => "spool_write",
            Self::SpoolDropped => "spool_dropped",
            Self::SpoolRemoved => "spool_removed",
            Self::SpoolTorn => "spool_torn",
            Self::RecordShortened => "record_shortened",
            Self::DeliverySkipped => "delivery_skipped",
        }
    }

    /// What it means, in one sentence for the operator.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::KernelOverflow => "the kernel dropped events because they came faster than they were read",
            Self::SequenceGap => "event numbers of one CPU jumped without a counted drop",
            Self::SensorDeaf => {
                "the kernel sent no event for our own test process; the socket was opened anew"
            }
            Self::SensorStalled => "the sensor hung and was replaced",
            Self::NotListening => {
                "nobody listened between the end of the daemon before and the start of this one"
            }
            Self::ChannelFull => "the engine did not keep up with the sensor",
            Self::ReaderFull => "processes came faster than they could be read",
            Self::Vanished => "a process ended before its file descriptors could be read",
            Self::AccessDenied => "a process's files in /proc could not be read (capabilities, LSM)",
            Self::SocketUnresolved => "a socket's kind could not be found out by any means",
            Self::SuspectDropped => {
                "processes on pipes, UNIX sockets or terminals came faster than their other ends could be found"
            }
            Self::SuspectVanished => {
                "a process on a pipe, UNIX socket or terminal ended before its other end was found"
            }
            Self::SearchCut => {
                "a search for the other end of a pipe, UNIX socket or terminal left out some of what it had to ask"
            }
            Self::SecondLookDropped => {
                "a process was not looked at a second time, because too many waited for that"
            }
            Self::ShellUnsettled => {
                "a program on a tether could not be read in time to tell whether it is a shell under another name"
            }
            Self::ProcessEvicted => "more processes hang on tethers than the table holds",
            Self::MemoryEvicted => "more one-way sockets are remembered than the table holds",
            Self::IncidentEvicted => "more incidents are open than the table holds",
            Self::FilterWidened => {
                "more processes are followed than the kernel filter lists; all forks are heard"
            }
            Self::SweepIncomplete => "a sweep of /proc ended before its end",
            Self::OpensOverflow => {
                "the kernel's queue of programs opened for execution was full; they were not held"
            }
            Self::OpenRefused => "the kernel could not open a program for tetherd, and refused its exec",
            Self::DeadlineMissed => "processes that waited in execve were let go by the deadline, unread",
            Self::HoldFull => {
                "more processes waited in execve than there was room for; they were let go unread"
            }
            Self::MarkRefused => "a filesystem could not be marked; its programs are not held",
            Self::SpoolWrite => "a record could not be written to the spool",
            Self::SpoolDropped => "old records were dropped from the spool to make room",
            Self::SpoolRemoved => "a segment of the spool was removed by somebody else",
            Self::SpoolTorn => "a torn or damaged line stands in the spool",
            Self::RecordShortened => "a record was longer than a line may be and was shortened",
            Self::DeliverySkipped => {
                "records were dropped from the spool before a destination took them, or were refused as too long"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_places() {
        for (place, loss) in Loss::ALL.iter().enumerate() {
            assert_eq!(loss.index(), place, "{}", loss.name());
        }
    }
}
