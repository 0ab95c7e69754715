//! Reading `/proc/PID/cmdline` without waiting for whoever made it.
//!
//! Owns: a thread that reads, the bound on waiting for it, and how many may be stuck. Must not own: what the text means.
//! To read it, the kernel takes the lock of the process's memory map, and a process can wait for a hung filesystem with that
//! lock held (Linux 6.18: mmap(2) over a shared FUSE mapping that has to be written back first): then a read waits for ever,
//! and nothing can end it. Nothing else that is read of a process takes that lock.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::host::proc_dir::{ProcDir, read_file};
use crate::sys::sched::{Policy, set_policy};

/// The longest wait for one process's arguments.
const PATIENCE: Duration = Duration::from_millis(100);
/// The most threads that may be stuck at one time; beyond it no arguments are read until one comes back.
const STUCK_MAX: usize = 16;

type Content = io::Result<(Vec<u8>, bool)>;

/// Reads for one thread.
#[derive(Debug, Default)]
pub struct Cmdlines {
    /// Whether the threads that read have real-time priority, as who asks.
    realtime: bool,
    helper: RefCell<Option<Helper>>,
    stuck: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Helper {
    questions: Sender<(OwnedFd, usize)>,
    answers: Receiver<Content>,
}

impl Cmdlines {
    /// `realtime`: so that who asks at real-time priority does not wait for a thread that has none.
    pub fn new(realtime: bool) -> Self {
        Self { realtime, ..Self::default() }
    }

    /// The arguments, at most `limit` bytes of them; the flag says that there was more. TimedOut: the process's memory
    /// does not answer.
    pub fn read(&self, dir: &ProcDir, limit: usize) -> Content {
        let file = dir.open_file(c"cmdline")?;
        let mut slot = self.helper.borrow_mut();
        let helper = match slot.take() {
            Some(helper) => helper,
            None if self.stuck.load(Ordering::Relaxed) < STUCK_MAX => self.start()?,
            None => return Err(io::Error::from(io::ErrorKind::TimedOut)),
        };
        self.stuck.fetch_add(1, Ordering::Relaxed);
        if helper.questions.send((file, limit)).is_err() {
            self.stuck.fetch_sub(1, Ordering::Relaxed);
            return Err(io::Error::from(io::ErrorKind::BrokenPipe));
        }
        // Left behind where it does not answer: it ends when it comes back.
        let content = helper.answers.recv_timeout(PATIENCE).map_err(|_| io::ErrorKind::TimedOut)?;
        *slot = Some(helper);
        content
    }

    fn start(&self) -> io::Result<Helper> {
        let (questions, asked) = bounded::<(OwnedFd, usize)>(1);
        let (answer, answers) = bounded(1);
        let (realtime, stuck) = (self.realtime, self.stuck.clone());
        std::thread::Builder::new().name("cmdline".into()).spawn(move || {
            if realtime {
                // Refused, it is only slower.
                let _ = set_policy(Policy::Fifo);
            }
            for (file, limit) in asked {
                let content = read_file(&file, limit);
                stuck.fetch_sub(1, Ordering::Relaxed);
                if answer.send(content).is_err() {
                    return;
                }
            }
        })?;
        Ok(Helper { questions, answers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::Pid;

    #[test]
    fn the_same_as_the_file_says() {
        let dir = ProcDir::open(Pid(std::process::id())).unwrap();
        let whole = std::fs::read("/proc/self/cmdline").unwrap();
        let cmdlines = Cmdlines::default();
        for _ in 0..3 {
            assert_eq!(cmdlines.read(&dir, whole.len()).unwrap(), (whole.clone(), false));
            assert_eq!(cmdlines.read(&dir, 4).unwrap(), (whole[..4].to_vec(), true));
        }
        assert_eq!(cmdlines.stuck.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn nobody_waits_for_more_threads_than_may_be_stuck() {
        let dir = ProcDir::open(Pid(std::process::id())).unwrap();
        let cmdlines = Cmdlines::default();
        cmdlines.stuck.store(STUCK_MAX, Ordering::Relaxed);
        assert_eq!(cmdlines.read(&dir, 4).unwrap_err().kind(), io::ErrorKind::TimedOut);
        cmdlines.stuck.store(STUCK_MAX - 1, Ordering::Relaxed);
        assert!(cmdlines.read(&dir, 4).is_ok());
    }
}
