//! From the spool to the collectors.
//!
//! Owns: for each destination a thread that reads the spool from a durable cursor, the messages, the connections. Must
//! not own: the spool's format, findings' content. Talks to: `spool::{reader, cursor}`, `stats`. A destination that
//! stands still holds nobody up: not the record thread, not the other destinations.
//!
//! Delivery is at least once: the cursor moves behind what the receiver has accepted, and what it may have lost when a
//! connection breaks is sent again. What accepted means is the transport's (`link`).

pub mod backoff;
pub mod filter;
pub mod format;
pub mod header;
pub mod leash;
pub mod link;
pub mod message;
pub mod places;
pub mod progress;
pub mod rfc5424;
pub mod settings;
pub mod tls;
pub mod trouble;
pub mod window;
pub mod worker;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::deliver::progress::Progress;
use crate::deliver::settings::Destination;
use crate::deliver::worker::Worker;
use crate::stats::Stats;

/// Tells every destination that there is something new in the spool.
#[derive(Clone, Debug, Default)]
pub struct News(Vec<Sender<()>>);

impl News {
    /// Tells it; waits for nobody.
    pub fn tell(&self) {
        for destination in &self.0 {
            // Where it is full, it is told already.
            let _ = destination.try_send(());
        }
    }
}

/// The destinations at work. They end when this is dropped or [`Deliveries::stop`] is called.
#[derive(Debug)]
pub struct Deliveries {
    news: News,
    progress: Vec<Arc<Progress>>,
    /// Never sent to: its end is the signal.
    stop: Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Deliveries {
    /// Starts a thread for each destination that is switched on, and removes the cursors of those that are gone. `host`
    /// is this node's name.
    ///
    /// # Errors
    /// A thread cannot be made.
    pub fn start(
        destinations: Vec<Destination>,
        spool: &Path,
        host: &str,
        stats: &Arc<Stats>,
    ) -> std::io::Result<Self> {
        places::tidy(spool, &destinations);
        let (stop, stopped) = bounded(0);
        let mut all = Self { news: News::default(), progress: Vec::new(), stop, threads: Vec::new() };
        for destination in destinations {
            let progress = Arc::new(Progress::new(&destination));
            all.progress.push(progress.clone());
            if destination.enabled {
                let (tell, news) = bounded(1);
                all.news.0.push(tell);
                let worker = Worker::new(destination, spool.to_owned(), host, stats.clone(), progress);
                all.threads.push(spawn(worker, news, stopped.clone())?);
            }
        }
        Ok(all)
    }

    /// For whoever writes to the spool.
    pub fn news(&self) -> News {
        self.news.clone()
    }

    /// How far they have got.
    pub fn progress(&self) -> Vec<Arc<Progress>> {
        self.progress.clone()
    }

    /// Ends them, when each has caught up or a second has passed.
    pub fn stop(self) {
        drop(self.stop);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn spawn(worker: Worker, news: Receiver<()>, stop: Receiver<()>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("deliver".into()).spawn(move || worker.run(&news, &stop))
}
