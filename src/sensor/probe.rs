//! Trying out what the sensor needs, for `doctor`.
//!
//! Owns: one try of each mechanism, with its outcome in words. Must not own: the advice (`cli::doctor`).

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::Duration;

use crate::host::socket::{Resolved, resolve};
use crate::model::ids::{Inode, Pid};
use crate::model::socket::SocketLookup;
use crate::sensor::canary;
use crate::sensor::connector::EVENT_CHARGE;
use crate::sensor::proc_events::spawn;
use crate::sensor::settings::SensorSettings;
use crate::sensor::wires::Wires;
use crate::stats::{Count, Stats};
use crate::sys::fanotify::{Class, Group};

/// What a working connector shows.
#[derive(Clone, Debug)]
pub struct ConnectorProbe {
    /// Receive buffer granted, in bytes.
    pub receive_buffer_bytes: usize,
    /// How many events that holds.
    pub events_held: usize,
    /// How long our own test process took to be heard of; `None`: it was not.
    pub canary: Option<Duration>,
    /// Whether real-time priority was granted.
    pub realtime: bool,
}

/// The outcome of each try.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The proc connector.
    pub connector: Result<ConnectorProbe, String>,
    /// pidfd_getfd(2) on a socket of a child.
    pub getfd: Result<(), String>,
    /// NETLINK_SOCK_DIAG.
    pub diag: Result<(), String>,
    /// fanotify that holds execs.
    pub hold: Result<(), String>,
}

/// Tries everything out. Takes up to two seconds where the connector is silent.
pub fn probe(settings: &SensorSettings) -> Probe {
    Probe {
        connector: connector(settings),
        getfd: lookup(SocketLookup::Getfd),
        diag: lookup(SocketLookup::Diag),
        hold: hold(),
    }
}

fn connector(settings: &SensorSettings) -> Result<ConnectorProbe, String> {
    let (events, _unread) = crossbeam_channel::bounded(1);
    let (_no_orders, orders) = crossbeam_channel::bounded(1);
    let (sweeps, _unswept) = crossbeam_channel::bounded(1);
    let (suspects, _unjudged) = crossbeam_channel::bounded(1);
    let (recent, _unseen) = crossbeam_channel::bounded(1);
    let stats = Arc::new(Stats::default());
    let wires = Wires {
        events,
        orders,
        sweeps,
        suspects,
        interest: crate::sensor::suspect::Interest::none(),
        recent,
        held: Arc::default(),
    };
    let (shared, thread) = spawn(settings.clone(), stats.clone(), wires).map_err(|e| e.to_string())?;
    let canary = canary::sing(&shared);
    shared.ask_to_stop();
    let _ = thread.join();
    let receive_buffer_bytes = shared.receive_buffer.load(std::sync::atomic::Ordering::Relaxed) as usize;
    Ok(ConnectorProbe {
        receive_buffer_bytes,
        events_held: receive_buffer_bytes / EVENT_CHARGE,
        canary,
        realtime: settings.realtime && stats.get(Count::RealtimeRefused) == 0,
    })
}

/// Asks for a group that may hold, with a mark on a file that nobody can execute.
fn hold() -> Result<(), String> {
    let attempt = || -> std::io::Result<()> {
        let group = Group::new(Class::Held)?;
        group.mark_file(std::fs::File::open("/dev/null")?.as_fd())
    };
    attempt().map_err(|error| error.to_string())
}

/// Resolves a socket of a child process by one way alone.
fn lookup(way: SocketLookup) -> Result<(), String> {
    let attempt = || -> std::io::Result<Resolved> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let inode = Inode(rustix::fs::fstat(&client)?.st_ino);
        debug_assert!(client.as_raw_fd() >= 0);
        let mut child = std::process::Command::new("/proc/self/exe")
            .arg(canary::ARGUMENT)
            .arg("wait")
            .stdin(std::os::fd::OwnedFd::from(client))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        let dir = crate::host::proc_dir::ProcDir::open(Pid(child.id()));
        let found = dir.map(|dir| resolve(&dir, 0, inode, &[way]));
        child.kill()?;
        child.wait()?;
        found
    };
    match attempt() {
        Ok(Resolved::Network(socket)) if socket.found_by == way && socket.local.is_some() => Ok(()),
        Ok(_) => Err("it did not tell what a socket of our own child is".into()),
        Err(error) => Err(error.to_string()),
    }
}
