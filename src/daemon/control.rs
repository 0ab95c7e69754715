//! The control socket.
//!
//! Owns: a 0600 UNIX socket that answers `status` and `sweep` with one JSON document each. Must not own: what is in the
//! status. It reads at most one short line of each caller and waits for none longer than a second.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;
use serde_json::json;

use crate::daemon::error::DaemonError;
use crate::daemon::status::Board;
use crate::sensor::sweep::SweepRequest;

/// The longest wait for a caller.
const PATIENCE: Duration = Duration::from_secs(1);

/// The socket and its thread; dropping it removes both.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Makes the socket, in place of one that a daemon killed before left behind: the spool's lock has shown that
    /// there is no other.
    pub fn start(path: &Path, board: Arc<Board>, sweeps: Sender<SweepRequest>) -> Result<Self, DaemonError> {
        let fail = |source| DaemonError::Control { path: path.to_owned(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(fail)?;
        }
        match UnixStream::connect(path) {
            Ok(_) => {
                let why = "another tetherd answers there";
                return Err(fail(std::io::Error::new(std::io::ErrorKind::AddrInUse, why)));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => std::fs::remove_file(path).map_err(fail)?,
        }
        let listener = UnixListener::bind(path).map_err(fail)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(fail)?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread_stop = stop.clone();
        let thread = std::thread::Builder::new()
            .name("control".into())
            .spawn(move || {
                for caller in listener.incoming().flatten() {
                    if thread_stop.load(Ordering::Relaxed) {
                        break;
                    }
                    // A caller that went away is no concern of ours.
                    let _ = answer(caller, &board, &sweeps);
                }
            })
            .map_err(fail)?;
        Ok(Self { path: path.to_owned(), stop, thread: Some(thread) })
    }
}

fn answer(mut caller: UnixStream, board: &Board, sweeps: &Sender<SweepRequest>) -> std::io::Result<()> {
    caller.set_read_timeout(Some(PATIENCE))?;
    caller.set_write_timeout(Some(PATIENCE))?;
    let mut line = [0u8; 32];
    let length = caller.read(&mut line)?;
    let answer = match line.get(..length).unwrap_or_default().trim_ascii() {
        b"status" => board.json(),
        b"sweep" => json!({ "asked": sweeps.try_send(SweepRequest { everything: true }).is_ok() }),
        _ => json!({ "error": "ask for status or sweep" }),
    };
    caller.write_all(answer.to_string().as_bytes())?;
    caller.write_all(b"\n")
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The thread waits for a caller: be one.
        let _ = UnixStream::connect(&self.path);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}
