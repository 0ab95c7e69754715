//! Finding the addresses of a name.
//!
//! Owns: asking the system's resolver in a thread that may hang, with a deadline; at most one such thread at a time for
//! each destination. Must not own: connecting.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, select};

use crate::deliver::leash::Leash;

/// How long an answer is waited for. glibc's own limit is twice five seconds for each server (resolv.conf(5)).
const DEADLINE: Duration = Duration::from_secs(10);
/// How long it is waited for before a sign of life is given.
const SLICE: Duration = Duration::from_millis(500);
/// Most addresses that are tried.
const ADDRESSES_MAX: usize = 8;

type Addresses = io::Result<Vec<SocketAddr>>;
type Lookup = Arc<dyn Fn(&str, u16) -> Addresses + Send + Sync>;

/// Looks up one host.
pub struct Resolver {
    host: String,
    port: u16,
    lookup: Lookup,
    deadline: Duration,
    /// Of a thread that has not answered yet.
    pending: Option<Receiver<Addresses>>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resolver({}:{})", self.host, self.port)
    }
}

impl Resolver {
    /// For a host as the configuration has it.
    pub fn new(host: &str, port: u16) -> Self {
        let lookup = |host: &str, port| (host, port).to_socket_addrs().map(Iterator::collect);
        Self::with(host, port, Arc::new(lookup), DEADLINE)
    }

    fn with(host: &str, port: u16, lookup: Lookup, deadline: Duration) -> Self {
        Self { host: host.to_owned(), port, lookup, deadline, pending: None }
    }

    /// Its addresses; `None` when it is time to stop.
    ///
    /// # Errors
    /// There are none, or the resolver did not answer in time. It is asked again by the next call, or, where it still
    /// hangs, waited for again.
    pub fn addresses(&mut self, leash: Leash<'_>) -> io::Result<Option<Vec<SocketAddr>>> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(Some(vec![SocketAddr::new(address, self.port)]));
        }
        let pending = match self.pending.take() {
            Some(pending) => pending,
            None => self.ask()?,
        };
        let until = Instant::now() + self.deadline;
        let mut found = loop {
            select! {
                recv(pending) -> answer => break answer.unwrap_or_else(|_| Err(io::ErrorKind::NotFound.into()))
                    .map_err(|error| io::Error::new(error.kind(), format!("its name has no address: {error}")))?,
                recv(leash.stop()) -> _ => return Ok(None),
                default(SLICE.min(until.saturating_duration_since(Instant::now()))) => {}
            }
            if leash.is_over() {
                return Ok(None);
            }
            if Instant::now() >= until {
                self.pending = Some(pending);
                let what = format!("its name was not resolved within {} s", self.deadline.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, what));
            }
        };
        found.truncate(ADDRESSES_MAX);
        match found.is_empty() {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "its name has no address")),
            false => Ok(Some(found)),
        }
    }

    fn ask(&self) -> io::Result<Receiver<Addresses>> {
        let (tell, told) = bounded(1);
        let (host, port, lookup) = (self.host.clone(), self.port, self.lookup.clone());
        // Not joined: it ends when the resolver answers, or with the process.
        std::thread::Builder::new().name("resolve".into()).spawn(move || {
            let _ = tell.send(lookup(&host, port));
        })?;
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::pulse::Pulse;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_resolver_that_hangs_is_asked_once() {
        let (_running, stop) = bounded(0);
        let (go, wait) = bounded::<()>(0);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let lookup = move |_: &str, port| {
            count.fetch_add(1, Ordering::Relaxed);
            let _ = wait.recv();
            Ok(vec![SocketAddr::from(([192, 0, 2, 1], port))])
        };
        let mut resolver = Resolver::with("siem", 514, Arc::new(lookup), Duration::from_millis(20));
        for _ in 0..3 {
            let error = resolver.addresses(Leash::new(&stop, &Pulse::default())).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        drop(go);
        resolver.deadline = Duration::from_secs(60);
        assert_eq!(
            resolver.addresses(Leash::new(&stop, &Pulse::default())).unwrap().unwrap(),
            ["192.0.2.1:514".parse().unwrap()]
        );
    }

    #[test]
    fn stop_is_not_waited_for() {
        let (running, stop) = bounded::<()>(0);
        drop(running);
        let lookup = |_: &str, _| {
            std::thread::park();
            Ok(Vec::new())
        };
        let mut resolver = Resolver::with("siem", 514, Arc::new(lookup), Duration::from_secs(600));
        assert_eq!(resolver.addresses(Leash::new(&stop, &Pulse::default())).unwrap(), None);
    }

    #[test]
    fn addresses_are_not_looked_up() {
        let (_running, stop) = bounded(0);
        let mut resolver = Resolver::with("::1", 6, Arc::new(|_: &str, _| Ok(Vec::new())), DEADLINE);
        assert_eq!(
            resolver.addresses(Leash::new(&stop, &Pulse::default())).unwrap().unwrap(),
            ["[::1]:6".parse().unwrap()]
        );
        let mut nothing = Resolver::with("siem", 6, Arc::new(|_: &str, _| Ok(Vec::new())), DEADLINE);
        assert_eq!(
            nothing.addresses(Leash::new(&stop, &Pulse::default())).unwrap_err().to_string(),
            "its name has no address"
        );
    }
}
