//! The daemon: wiring, main loop, reload, stop.
//!
//! Owns: which thread talks to which, and the order of start and stop. Must not own: any stage's work.
//!
//! Threads: `sensor` (real time); with fanotify `opens`, `held`, `deadline` and `marks`; `sweep`, `relay`, `engine`, `record`
//! (enrich and spool), `deliver` for each destination, `control`; the main thread
//! waits for signals and looks after the others once a second.

pub mod allowance;
pub mod calls;
pub mod charter;
pub mod confine;
pub mod control;
pub mod coverage;
pub mod destinations;
pub mod engine_thread;
pub mod error;
pub mod explain;
pub mod journal;
pub mod judge;
pub mod lookout;
pub mod metrics;
pub mod oplog;
pub mod patrol;
pub mod pressure;
pub mod queue;
pub mod record_thread;
pub mod relay_thread;
pub mod restore;
pub mod scan;
pub mod screen;
pub mod selfwatch;
pub mod service;
pub mod status;
pub mod unfinished;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded, select, tick};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::config::rules_dir::read_rules;
use crate::config::{Config, certificates, file_or_default};
use crate::daemon::allowance::Allowance;
use crate::daemon::charter::Charter;
use crate::daemon::coverage::Coverage;
use crate::daemon::engine_thread::{EngineOrder, EngineWires};
use crate::daemon::error::DaemonError;
use crate::daemon::journal::Heartbeat;
use crate::daemon::judge::Judge;
use crate::daemon::lookout::Lookout;
use crate::daemon::queue::{Giver, Work, queue};
use crate::daemon::record_thread::RecordThread;
use crate::daemon::relay_thread::RelayThread;
use crate::daemon::selfwatch::SelfWatch;
use crate::daemon::service::Service;
use crate::daemon::status::{Board, Proof};
use crate::deliver::Deliveries;
use crate::engine::policy::{RuleSet, Source};
use crate::engine::program::Catalog;
use crate::engine::program::in_force::InForce;
use crate::engine::{Engine, Place};
use crate::enrich::settings::CriSockets;
use crate::enrich::{self, Enricher};
use crate::host::live::LiveHost;
use crate::model::clock::SECOND;
use crate::model::loss::Loss;
use crate::sensor::held::HeldLooks;
use crate::sensor::hold::Hold;
use crate::sensor::marks::Watched;
use crate::sensor::settings::FanotifyMode;
use crate::sensor::suspect::{Interest, Named};
use crate::sensor::sweep::{self, SweepRequest, SweepWires};
use crate::sensor::wires::Wires;
use crate::spool::ending::ending;
use crate::spool::key::Signer;
use crate::spool::record::observe_as;
use crate::spool::writer::Writer;
use crate::stats::{Count, Stats};
use crate::sys::limits::raise_descriptors;
use crate::sys::{clock, heap};

/// Descriptors wanted: suspects and what waits to be read hold some.
const DESCRIPTORS_MAX: u64 = 65_536;
/// Events between the sensors and the engine.
const EVENTS_MAX: usize = 16_384;
/// Suspects between the sensor and the relay thread; each holds a descriptor.
const SUSPECTS_MAX: usize = 2048;
/// Processes to be looked at again, between the sensor and the relay thread.
const RECENT_MAX: usize = 32_768;
/// Orders from the engine to the sensor.
const ORDERS_MAX: usize = 65_536;

/// What the command line says about a run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The configuration file named; `None`: the default one, if there is one.
    pub config_file: Option<PathBuf>,
    /// The spool named.
    pub spool_override: Option<PathBuf>,
    /// The fanotify mode named.
    pub fanotify_override: Option<FanotifyMode>,
    /// Findings are not shown on the screen.
    pub quiet: bool,
}

/// Runs until SIGTERM or SIGINT.
pub fn run(config: Config, options: RunOptions) -> Result<(), DaemonError> {
    oplog::init();
    heap::share_one_arena();
    raise_descriptors(DESCRIPTORS_MAX);
    let service = Service::from_environment();
    confine::confine(&config)?;
    // Signals are taken before the first thread starts, so that none is lost or ends the program half-way.
    let signals = signals()?;
    let (rules, sources) = read_and_compile(&config)?;
    let (rules, charter) = (Arc::new(rules), Arc::new(Charter::new(&config, &sources)));
    let stats = Arc::new(Stats::default());
    let boot_id = enrich::node::boot_id();
    let (mut writer, opened) = Writer::open(config.spool.clone(), &boot_id)?;
    let before = ending(&config.spool.directory)?;
    if opened.damaged > 0 {
        log::warn!(
            "spool: {} lines of its newest segments are no records that this version knows; they stay, and records go on \
             behind them; `tetherd verify` names them",
            opened.damaged
        );
    }
    let mut enricher = Enricher::new(config.enrich.clone(), boot_id.clone());
    observe_as(enricher.node_name(), enricher.resource());
    enricher.keep_copies_in(&config.spool.directory);
    let (restored, leftovers) =
        restore::restore(writer.active_records(), &boot_id, |record| enricher.remember(record));
    let host = LiveHost::new().with_containers(enricher.containers());
    let board = Arc::new(Board::new(&config, &boot_id, enricher.node_name(), stats.clone()));

    board.set_rules(rules.clone());
    board.set_charter(charter);
    board.set_proof(sign(&mut writer, &config));
    let usage = writer.usage();
    board.set_spool(writer.next_sequence(), usage.segments, usage.bytes);

    let (events_in, events) = bounded(EVENTS_MAX);
    let (orders_in, orders) = bounded(ORDERS_MAX);
    let (sweeps_in, sweeps) = bounded(1);
    let (work_in, work) = queue();
    let (engine_orders_in, engine_orders) = bounded(4);

    let held = Arc::new(HeldLooks::default());
    let (suspects_in, suspects) = bounded(SUSPECTS_MAX);
    let (recent_in, recent) = bounded(RECENT_MAX);
    let judge = Judge::new(&config, stats.clone());
    let catalog = judge.catalog.clone();
    let interest = Interest {
        settled: judge.settled.clone(),
        matters: asks(&judge.catalog, Catalog::may_be_command),
        waits: asks(&judge.catalog, Catalog::may_wait),
    };
    let wires = Wires {
        events: events_in.clone(),
        orders,
        sweeps: sweeps_in.clone(),
        suspects: suspects_in.clone(),
        interest: interest.clone(),
        recent: recent_in,
        held: held.clone(),
    };
    let lookout = Lookout::new(config.sensor.clone(), stats.clone(), wires)?;
    board.set_sensor(lookout.shared());
    let (coverage, gap) = Coverage::begin(&config.spool.directory, &boot_id, clock::now());
    if let Some(gap) = gap {
        log::info!("{}", gap.sentence());
        stats.lose(Loss::NotListening, 1);
    }
    let hold = Hold::start(&config.sensor, stats.clone(), held, watched(&judge.catalog), interest)
        .map_err(DaemonError::Thread)?;
    board.set_hold(hold.state());
    let sweep_wires = SweepWires { events: events_in.clone(), suspects: suspects_in };
    let stop_sweep = Arc::new(AtomicBool::new(false));
    let sweep_thread = sweep::spawn(&config.sensor, stats.clone(), sweep_wires, sweeps, stop_sweep.clone())
        .map_err(DaemonError::Thread)?;
    let deliveries =
        Deliveries::start(config.destinations(), &config.spool.directory, enricher.node_name(), &stats)
            .map_err(DaemonError::Thread)?;
    board.set_deliveries(deliveries.progress());
    let control = control::Control::start(&config.control.socket, board.clone(), sweeps_in.clone())?;
    let heartbeat = Heartbeat::every(config.spool.heartbeat_minutes * 60 * SECOND, clock::now());
    let allowance = Allowance::of(config.spool.max_bytes, clock::now().mono_ns);
    let record_thread = RecordThread {
        writer,
        enricher,
        stats: stats.clone(),
        board: board.clone(),
        allowance,
        gap,
        heartbeat,
    }
    .spawn(work, deliveries.news(), leftovers, opened, screen::Screen::new(options.quiet))
    .map_err(DaemonError::Thread)?;
    let mount_namespace = lookout::host_mount_namespace();
    let relay_thread = RelayThread { judge, board: board.clone(), events: events_in.clone(), recent }
        .spawn(suspects)
        .map_err(DaemonError::Thread)?;
    let place = Place { boot_id, mount_namespace };
    let engine = Engine::new(config.engine.clone(), place, rules.clone(), restored);
    let engine_wires = EngineWires {
        events,
        orders: orders_in,
        work: work_in.clone(),
        commands: engine_orders,
        board: board.clone(),
        sensor: lookout.shared_slot(),
    };
    work_in.give(Work::Own(Box::new(journal::started(&board, &before, clock::now()))));
    let engine_thread =
        engine_thread::spawn(engine, host, stats.clone(), engine_wires).map_err(DaemonError::Thread)?;
    let _ = sweeps_in.send(SweepRequest { everything: true });
    board.set_ready();
    log::info!("ready");
    service.ready();

    let threads = (lookout, hold, service, coverage);
    let outcome =
        watch(&signals, config, &options, threads, &work_in, &engine_orders_in, &sweeps_in, &catalog, &board);

    // The order of stopping: each stage ends when nobody can hand it anything any more.
    // 1. Holding: the marks go, who waits is answered. Then the sensor: IGNORE goes to the kernel. (`watch` has done it.)
    // 2. The sweep, also in its midst (on a crowded machine it would take long), and the relay thread.
    stop_sweep.store(true, Ordering::Relaxed);
    drop(sweeps_in);
    drop(control);
    let _ = sweep_thread.join();
    let _ = relay_thread.join();
    // 3. The engine, when the last event has been handled.
    drop(events_in);
    drop(engine_orders_in);
    let _ = engine_thread.join();
    // 4. The record thread, when everything is on disk; last, that this was in order.
    let reason = outcome.as_ref().err().map_or_else(|| "a signal asked for it".into(), ToString::to_string);
    work_in.give(Work::Own(Box::new(journal::stopped(&board, &reason, clock::now()))));
    drop(work_in);
    let _ = record_thread.join();
    // 5. The destinations, when each has caught up or a second has passed.
    deliveries.stop();
    outcome
}

/// A question of the sensor about names.
fn asks(catalog: &Arc<InForce>, question: fn(&Catalog, &[u8]) -> bool) -> Named {
    let catalog = catalog.clone();
    Arc::new(move |comm| question(&catalog.get(), comm))
}

/// The main thread's loop.
#[allow(clippy::too_many_arguments)] // the wires of one loop; a struct for them would be used once
fn watch(
    signals: &Receiver<i32>,
    mut config: Config,
    options: &RunOptions,
    (mut lookout, mut hold, mut service, mut coverage): (Lookout, Hold, Service, Coverage),
    work: &Giver,
    engine: &crossbeam_channel::Sender<EngineOrder>,
    sweeps: &crossbeam_channel::Sender<SweepRequest>,
    catalog: &InForce,
    board: &Arc<Board>,
) -> Result<(), DaemonError> {
    let seconds = tick(Duration::from_secs(1));
    let mut since_sweep = 0;
    let mut selfwatch = selfwatch(&config, options);
    let outcome = loop {
        select! {
            recv(signals) -> signal => match signal {
                Ok(SIGHUP) => {
                    service.reloading(clock::now().mono_ns);
                    let refused = reload(&mut config, options, engine, catalog, board, work);
                    if refused.is_ok() {
                        selfwatch.reloaded();
                    }
                    service.reloaded(refused.err().as_deref());
                }
                Ok(SIGUSR1) => { let _ = sweeps.try_send(SweepRequest { everything: true }); }
                _ => break Ok(()),
            },
            recv(seconds) -> _ => {
                if let Err(error) = lookout.tick(board) {
                    break Err(error.into());
                }
                hold.tick();
                coverage.tick(clock::now());
                service.tick(board.stats().pulses(), &board.deliveries(), clock::now().mono_ns);
                let losses = lookout.new_losses();
                if !losses.is_empty() {
                    work.give(Work::Losses(losses));
                }
                for notice in selfwatch.tick(clock::now().mono_ns) {
                    log::warn!("{}", notice.what);
                    let told = journal::interfered(board, &notice, clock::now());
                    work.give(Work::Own(Box::new(told)));
                }
                metrics::write(&config.control.metrics_file, board);
                since_sweep += 1;
                if since_sweep >= config.sensor.sweep_seconds {
                    since_sweep = 0;
                    let _ = sweeps.try_send(SweepRequest { everything: false });
                }
            }
        }
    };
    service.stopping();
    hold.stop();
    // What was heard up to here is looked at.
    coverage.end(clock::now());
    lookout.stop();
    outcome
}

/// Looks after what others may do to this run.
fn selfwatch(config: &Config, options: &RunOptions) -> SelfWatch {
    let file = file_or_default(options.config_file.as_deref());
    SelfWatch::new(file, &config.control.rules_directory, &config.control.socket, clock::now().mono_ns)
}

/// All or nothing: what is wrong is said, and everything stays as it was.
fn reload(
    config: &mut Config,
    options: &RunOptions,
    engine: &crossbeam_channel::Sender<EngineOrder>,
    catalog: &InForce,
    board: &Arc<Board>,
    work: &Giver,
) -> Result<(), String> {
    let in_force = board.charter();
    match load(options).and_then(|new| read_and_compile(&new).map(|(rules, sources)| (new, rules, sources))) {
        Ok((new, rules, sources)) => {
            let rules = Arc::new(rules);
            let charter = Arc::new(Charter::new(&new, &sources));
            let told = journal::reloaded(board, &in_force, &charter, clock::now());
            work.give(Work::Own(Box::new(told)));
            board.set_charter(charter);
            board.set_rules(rules.clone());
            if !config.engine.watches_as(&new.engine) {
                catalog.replace(new.engine.catalog());
            }
            let _ = engine.send(EngineOrder::Reload(new.engine.clone(), rules));
            for problem in certificates::problems(&new, options.config_file.as_deref()) {
                log::warn!("reload: {problem}");
            }
            if needs_restart(config, &new) {
                log::warn!(
                    "reload: [sensor], [spool], [syslog], [[deliver]], [enrich], [node] and [control] take a restart"
                );
            }
            config.engine = new.engine;
            config.control.rules_directory = new.control.rules_directory;
            board.stats().count(Count::Reloads);
            log::info!("reload: done");
            Ok(())
        }
        Err(error) => {
            board.stats().count(Count::ReloadsRefused);
            log::error!("reload refused, everything stays as it was: {error}");
            let error = error.to_string();
            let told = journal::refused(board, &in_force, &error, clock::now());
            work.give(Work::Own(Box::new(told)));
            Err(error)
        }
    }
}

/// Whether a program's name is watched, for those that hold execs.
fn watched(catalog: &Arc<InForce>) -> Watched {
    let (names, changes) = (catalog.clone(), catalog.clone());
    let is_watched = move |path: &[u8]| {
        let program = names.get().identify(path, b"", &[]);
        program.is_watched() || program.multicall.is_some()
    };
    Watched::new(is_watched, move || changes.changes())
}

fn needs_restart(old: &Config, new: &Config) -> bool {
    old.sensor != new.sensor
        || old.spool != new.spool
        || old.destinations() != new.destinations()
        || old.enrich != new.enrich
        || old.control.socket != new.control.socket
        || old.control.metrics_file != new.control.metrics_file
        || old.control.system_calls != new.control.system_calls
}

/// The configuration of a run.
pub fn load(options: &RunOptions) -> Result<Config, DaemonError> {
    let loaded = Config::load(options.config_file.as_deref())?;
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    let mut config = loaded.config;
    if let Some(directory) = &options.spool_override {
        config.override_spool(directory.clone());
    }
    if let Some(mode) = options.fanotify_override {
        config.override_fanotify(mode);
    }
    Ok(config)
}

/// Has the writer sign the chain, if that is asked for. Without a key it goes on without: rather findings that nobody
/// vouches for than none.
fn sign(writer: &mut Writer, config: &Config) -> Proof {
    if !config.spool.checkpoints {
        return Proof::default();
    }
    match Signer::open_or_make(&config.spool.key_file) {
        Ok((signer, made)) => {
            let key = signer.public();
            let made = if made { " (made now)" } else { "" };
            log::info!(
                "checkpoints: signed with the key{made} {}, SHA-256 {}; keep it where this machine's root cannot write",
                key,
                key.fingerprint()
            );
            writer.sign_with(signer);
            Proof { public_key: Some(key), why: None }
        }
        Err(error) => {
            log::error!("checkpoints: none are written: {error}");
            Proof { public_key: None, why: Some(error.to_string()) }
        }
    }
}

/// The shipped rules and those of the rules directory.
pub fn load_rules(config: &Config) -> Result<RuleSet, DaemonError> {
    read_and_compile(config).map(|(rules, _)| rules)
}

/// The same, and the files that they were read from.
fn read_and_compile(config: &Config) -> Result<(RuleSet, Vec<Source>), DaemonError> {
    let sources = read_rules(&config.control.rules_directory).map_err(DaemonError::Rules)?;
    let compiled = RuleSet::compile(&sources).map_err(DaemonError::Rules)?;
    for warning in &compiled.warnings {
        log::warn!("{warning}");
    }
    if compiled.rules.asks_labels() && config.enrich.metadata.cri == CriSockets::Off {
        log::warn!(
            "rules: some ask for labels of pods, which containerd has not on disk; those excuse nothing there; set [enrich] cri"
        );
    }
    Ok((compiled.rules, sources))
}

fn signals() -> Result<Receiver<i32>, DaemonError> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]).map_err(DaemonError::Thread)?;
    let (tell, told) = bounded(8);
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                if tell.send(signal).is_err() {
                    break;
                }
            }
        })
        .map_err(DaemonError::Thread)?;
    Ok(told)
}
