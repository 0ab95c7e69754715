//! What the daemon shows of itself.
//!
//! Owns: the board that all threads write their sizes to, and its JSON. Must not own: the counters (`stats`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::daemon::charter::Charter;
use crate::daemon::destinations;
use crate::deliver::progress::Progress;
use crate::engine::policy::RuleSet;
use crate::model::clock::{Moment, SECOND, rfc3339};
use crate::model::loss::Loss;
use crate::sensor::connector::EVENT_CHARGE;
use crate::sensor::hold_state::HoldState;
use crate::sensor::shared::Shared;
use crate::spool::key::PublicKey;
use crate::spool::level::Level;
use crate::stats::{Count, Stats};
use crate::sys::clock;

/// Shared by all threads.
#[derive(Debug)]
pub struct Board {
    started: Moment,
    boot_id: String,
    node: String,
    spool: String,
    syslog: (bool, String),
    stats: Arc<Stats>,
    ready: AtomicBool,
    canary_mono_ns: AtomicU64,
    incidents: AtomicU64,
    processes: AtomicU64,
    one_way: AtomicU64,
    next_sequence: AtomicU64,
    segments: AtomicU64,
    spool_bytes: AtomicU64,
    /// The level's place in `Level::ALL`, records that wait for the disk, later records that are held back.
    pressure: [AtomicU64; 3],
    sensor: RwLock<Option<Arc<Shared>>>,
    rules: RwLock<Arc<RuleSet>>,
    hold: RwLock<Option<Arc<HoldState>>>,
    deliveries: RwLock<Vec<Arc<Progress>>>,
    heartbeat_minutes: u64,
    charter: RwLock<Arc<Charter>>,
    proof: RwLock<Proof>,
    last_checkpoint: AtomicU64,
}

/// How the chain is signed.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// With this key.
    pub public_key: Option<PublicKey>,
    /// Not at all, although it was asked for: why.
    pub why: Option<String>,
}

impl Board {
    /// A board on which nothing is ready.
    pub fn new(config: &Config, boot_id: &str, node: &str, stats: Arc<Stats>) -> Self {
        Self {
            started: clock::now(),
            boot_id: boot_id.to_owned(),
            node: node.to_owned(),
            spool: config.spool.directory.to_string_lossy().into_owned(),
            syslog: (config.syslog.enabled, config.syslog.path.to_string_lossy().into_owned()),
            stats,
            ready: AtomicBool::new(false),
            canary_mono_ns: AtomicU64::new(clock::now().mono_ns),
            incidents: AtomicU64::new(0),
            processes: AtomicU64::new(0),
            one_way: AtomicU64::new(0),
            next_sequence: AtomicU64::new(0),
            segments: AtomicU64::new(0),
            spool_bytes: AtomicU64::new(0),
            pressure: Default::default(),
            sensor: RwLock::new(None),
            rules: RwLock::new(Arc::new(RuleSet::default())),
            hold: RwLock::new(None),
            deliveries: RwLock::default(),
            heartbeat_minutes: config.spool.heartbeat_minutes,
            charter: RwLock::default(),
            proof: RwLock::default(),
            last_checkpoint: AtomicU64::new(0),
        }
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// This boot.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// The daemon listens.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// A canary was heard.
    pub fn set_canary(&self, at: Moment) {
        self.canary_mono_ns.store(at.mono_ns, Ordering::Relaxed);
    }

    /// The sensor that works now.
    pub fn set_sensor(&self, shared: Arc<Shared>) {
        if let Ok(mut slot) = self.sensor.write() {
            *slot = Some(shared);
        }
    }

    /// How the holding of execs stands.
    pub fn set_hold(&self, state: Arc<HoldState>) {
        if let Ok(mut slot) = self.hold.write() {
            *slot = Some(state);
        }
    }

    /// How far the destinations have got.
    pub fn set_deliveries(&self, deliveries: Vec<Arc<Progress>>) {
        if let Ok(mut slot) = self.deliveries.write() {
            *slot = deliveries;
        }
    }

    /// How far the destinations have got, for whoever shows it.
    pub fn deliveries(&self) -> Vec<Arc<Progress>> {
        self.deliveries.read().map_or_else(|_| Vec::new(), |slot| slot.clone())
    }

    /// What this run goes by.
    pub fn set_charter(&self, charter: Arc<Charter>) {
        if let Ok(mut slot) = self.charter.write() {
            *slot = charter;
        }
    }

    /// What this run goes by, for whoever tells.
    pub fn charter(&self) -> Arc<Charter> {
        self.charter.read().map_or_else(|_| Arc::default(), |slot| slot.clone())
    }

    /// How the chain is signed.
    pub fn set_proof(&self, proof: Proof) {
        if let Ok(mut slot) = self.proof.write() {
            *slot = proof;
        }
    }

    /// How the chain is signed, for whoever tells.
    pub fn proof(&self) -> Proof {
        self.proof.read().map_or_else(|_| Proof::default(), |slot| slot.clone())
    }

    /// The number of the last checkpoint; 0 for none.
    pub fn set_checkpoint(&self, sequence: u64) {
        self.last_checkpoint.store(sequence, Ordering::Relaxed);
    }

    /// Minutes between two heartbeats; 0: there are none.
    pub fn heartbeat_minutes(&self) -> u64 {
        self.heartbeat_minutes
    }

    /// Since the start.
    pub fn uptime_seconds(&self, now: Moment) -> u64 {
        now.since(self.started) / SECOND
    }

    /// What is done by fanotify: `off`, `notify`, `hold`.
    pub fn mode(&self) -> &'static str {
        self.hold.read().ok().and_then(|slot| Some(slot.as_ref()?.mode().name())).unwrap_or("off")
    }

    /// The spool's level.
    pub fn level(&self) -> Level {
        let [level, ..] = &self.pressure;
        Level::ALL.get(level.load(Ordering::Relaxed) as usize).copied().unwrap_or_default()
    }

    /// The number of the newest record in the spool; 0 for none.
    pub fn newest(&self) -> u64 {
        self.next_sequence.load(Ordering::Relaxed).saturating_sub(1)
    }

    fn fanotify(&self) -> Value {
        let Some(state) = self.hold.read().ok().and_then(|slot| slot.clone()) else { return Value::Null };
        let ((p50, longest), (p99, _)) = (state.waits(500), state.waits(990));
        json!({
            "mode": state.mode().name(),
            "asked": state.asked().name(),
            "why": state.dropped().reason(),
            "filesystems_marked": state.marked.load(Ordering::Relaxed),
            "filesystems_left_alone": state.left_alone.load(Ordering::Relaxed),
            "wait_us": { "p50": p50, "p99": p99, "max": longest },
        })
    }

    /// The rules in force.
    pub fn set_rules(&self, rules: Arc<RuleSet>) {
        if let Ok(mut slot) = self.rules.write() {
            *slot = rules;
        }
    }

    /// The rules in force, for whoever needs them.
    pub fn rules(&self) -> Arc<RuleSet> {
        self.rules.read().map_or_else(|_| Arc::default(), |rules| rules.clone())
    }

    /// Open incidents, followed processes, remembered one-way sockets.
    pub fn set_engine(&self, (incidents, processes, one_way): (usize, usize, usize)) {
        self.incidents.store(incidents as u64, Ordering::Relaxed);
        self.processes.store(processes as u64, Ordering::Relaxed);
        self.one_way.store(one_way as u64, Ordering::Relaxed);
    }

    /// The next record's number, segments and bytes.
    pub fn set_spool(&self, next: u64, segments: u64, bytes: u64) {
        self.next_sequence.store(next, Ordering::Relaxed);
        self.segments.store(segments, Ordering::Relaxed);
        self.spool_bytes.store(bytes, Ordering::Relaxed);
    }

    /// The spool's level, records that wait for the disk, later records of incidents that are held back.
    pub fn set_pressure(&self, level: Level, waiting: u64, held_back: u64) {
        let values = [level as u64, waiting, held_back];
        self.pressure.iter().zip(values).for_each(|(cell, value)| cell.store(value, Ordering::Relaxed));
    }

    /// Everything, as `tetherd status --json` gives it.
    pub fn json(&self) -> Value {
        let now = clock::now();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts: Map<String, Value> =
            Count::ALL.iter().map(|count| (count.name().to_owned(), self.stats.get(*count).into())).collect();
        let losses: Map<String, Value> =
            Loss::ALL.iter().map(|loss| (loss.name().to_owned(), self.stats.lost(*loss).into())).collect();
        let sensor = self.sensor.read().ok().and_then(|slot| slot.clone());
        let buffer = sensor.as_ref().map_or(0, |sensor| load(&sensor.receive_buffer));
        let canary_age = now.mono_ns.saturating_sub(load(&self.canary_mono_ns)) / SECOND;
        let [level, waiting, held_back] = &self.pressure;
        let (charter, proof) = (self.charter(), self.proof());
        let hits: Map<String, Value> = self.rules.read().map_or_else(
            |_| Map::new(),
            |rules| rules.hits().map(|(name, hits)| (name.to_owned(), hits.into())).collect(),
        );
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "started": rfc3339(self.started.wall_ns),
            "uptime_seconds": self.uptime_seconds(now),
            "configuration_sha256": charter.config_sha256(),
            "rules_sha256": charter.rules_sha256(),
            "boot_id": self.boot_id,
            "node": self.node,
            "ready": self.ready.load(Ordering::Relaxed),
            "counts": counts,
            "losses": losses,
            "sensor": {
                "realtime": sensor.as_ref().is_some_and(|sensor| sensor.realtime.load(Ordering::Relaxed)),
                "receive_buffer_bytes": buffer,
                "events_held": buffer / EVENT_CHARGE as u64,
                "canary_age_seconds": canary_age,
                "followed": sensor.as_ref().map_or(0, |sensor| load(&sensor.followed)),
            },
            "fanotify": self.fanotify(),
            "engine": {
                "incidents_open": load(&self.incidents),
                "processes": load(&self.processes),
                "one_way": load(&self.one_way),
            },
            "spool": {
                "directory": self.spool,
                "next_sequence": load(&self.next_sequence),
                "segments": load(&self.segments),
                "bytes": load(&self.spool_bytes),
                "level": self.level().name(),
                "level_number": load(level),
                "waiting": load(waiting),
                "held_back": load(held_back),
                "heartbeat_minutes": self.heartbeat_minutes,
            },
            "checkpoints": {
                "public_key": proof.public_key.map(|key| key.to_string()),
                "fingerprint": proof.public_key.map(|key| key.fingerprint()),
                "last_sequence": load(&self.last_checkpoint),
                "why_not": proof.why,
            },
            "syslog": { "enabled": self.syslog.0, "path": self.syslog.1 },
            "deliver": destinations::json(self),
            "rules": { "count": hits.len(), "hits": hits },
        })
    }
}
