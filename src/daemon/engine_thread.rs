//! The engine's thread.
//!
//! Owns: feeding events and time to the engine and handing on what comes out. Must not own: deciding.

use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, never, select};

use crate::daemon::queue::{Giver, Work};
use crate::daemon::status::Board;
use crate::engine::policy::RuleSet;
use crate::engine::settings::EngineSettings;
use crate::engine::{Engine, Order};
use crate::host::live::LiveHost;
use crate::model::clock::SECOND;
use crate::model::event::Event;
use crate::sensor::shared::Shared;
use crate::sensor::wires::FollowOrder;
use crate::stats::pulse::Stage;
use crate::stats::{Count, Stats};
use crate::sys::clock;

/// The longest wait, so that time passes for the engine on a quiet machine.
const TICK: Duration = Duration::from_secs(1);

/// Before what it hears of, but without the rights of a real-time thread.
const NICE: i32 = -15;
/// More events than this are a backlog.
const BACKLOG: usize = 64;
/// Events closer together than this are a burst.
const BURST_NS: u64 = 1_000_000;
/// How long nobody waits on the channel in a burst, and how often before it is over.
const POLL: Duration = Duration::from_micros(500);
const POLLS: u32 = 6;
/// How long after the first sweep incidents of before may still be taken up: the relay thread has to find out first.
const CLAIM_NS: u64 = 5 * SECOND;
/// How often sizes are shown at most: they are counted by going through the incidents.
const SHOW_NS: u64 = SECOND / 5;

/// What the main thread asks of the engine.
#[derive(Debug)]
pub enum EngineOrder {
    /// New settings and rules.
    Reload(EngineSettings, Arc<RuleSet>),
}

/// The channels of the engine's thread.
#[derive(Debug)]
pub struct EngineWires {
    /// Events, from the sensors.
    pub events: Receiver<Event>,
    /// Orders, to the sensor.
    pub orders: Sender<FollowOrder>,
    /// Detections, to the record thread.
    pub work: Giver,
    /// Orders, from the main thread.
    pub commands: Receiver<EngineOrder>,
    /// Sizes are shown here.
    pub board: Arc<Board>,
    /// The sensor to wake; it may be replaced.
    pub sensor: Arc<RwLock<Arc<Shared>>>,
}

/// Starts the thread. It ends when the last sender of events is gone.
pub fn spawn(
    mut engine: Engine,
    host: LiveHost,
    stats: Arc<Stats>,
    mut wires: EngineWires,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("engine".into()).spawn(move || {
        // In a storm of tied commands it has as much to do as they; refused, it is only later.
        let _ = rustix::process::setpriority_process(None, NICE);
        let mut unclaimed = Unclaimed::NotSwept;
        let (mut last_ns, mut polls) = (0, 0);
        let mut shown_ns = 0;
        loop {
            // In a burst nobody waits on the channel, so that the senders, who are in a hurry, need not wake anybody.
            stats.pulses().rests(Stage::Engine);
            let polled = if polls > 0 { wires.events.try_recv().ok() } else { None };
            if polled.is_none() && polls > 0 {
                polls -= 1;
                std::thread::sleep(POLL);
                continue;
            }
            let event = match polled {
                Some(event) => event,
                None => select! {
                recv(wires.events) -> event => match event {
                    Ok(event) => event,
                    Err(_) => break,
                },
                recv(wires.commands) -> command => {
                    match command {
                        Ok(EngineOrder::Reload(settings, rules)) => engine.reload(settings, rules),
                        Err(_) => wires.commands = never(),
                    }
                    continue;
                }
                default(wait(&engine)) => Event::Tick { at: clock::now() },
                },
            };
            stats.pulses().works(Stage::Engine);
            if !matches!(event, Event::Tick { .. }) {
                let now = clock::now().mono_ns;
                if now.saturating_sub(last_ns) < BURST_NS {
                    polls = POLLS;
                }
                last_ns = now;
            }
            if matches!(event, Event::Swept { complete: true, .. }) && unclaimed == Unclaimed::NotSwept {
                unclaimed = Unclaimed::Since(event.at().mono_ns);
            }
            engine.hurry(wires.events.len() > BACKLOG);
            let (at_ns, quiet) = (event.at().mono_ns, matches!(event, Event::Tick { .. }));
            for detection in engine.handle(event, &host) {
                wires.work.give(Work::Detection(Box::new(detection)));
            }
            // When a burst is over there is a tick.
            if quiet || at_ns.saturating_sub(shown_ns) >= SHOW_NS {
                shown_ns = at_ns;
                wires.board.set_engine(engine.sizes());
            }
            if let Unclaimed::Since(swept_ns) = unclaimed
                && clock::now().mono_ns.saturating_sub(swept_ns) >= CLAIM_NS
            {
                unclaimed = Unclaimed::Told;
                wires.work.give(Work::Unclaimed(engine.take_unclaimed()));
            }
            pass_on(&mut engine, &stats, &wires);
        }
    })
}

/// What has become of incidents of before that nothing goes on of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unclaimed {
    NotSwept,
    Since(u64),
    Told,
}

fn wait(engine: &Engine) -> Duration {
    let due = engine.next_due_ns().map(|due| due.saturating_sub(clock::now().mono_ns));
    due.map_or(TICK, Duration::from_nanos).min(TICK)
}

fn pass_on(engine: &mut Engine, stats: &Stats, wires: &EngineWires) {
    let orders = engine.take_orders();
    if !orders.is_empty() {
        for order in orders {
            let order = match order {
                Order::Follow(pid) => FollowOrder::Follow(pid),
                Order::Forget(pid, then_ns) => FollowOrder::Forget(pid, then_ns),
            };
            // A full queue means that the sensor is busy; what it follows too long it drops at exit.
            let _ = wires.orders.try_send(order);
        }
        if let Ok(sensor) = wires.sensor.read() {
            sensor.waker.wake();
        }
    }
    for (loss, count) in engine.take_losses() {
        stats.lose(loss, count);
    }
    let tally = engine.tally();
    stats.set(Count::OneWay, tally.one_way);
    stats.set(Count::Allowed, tally.allowed);
    stats.set(Count::Withdrawn, tally.withdrawn);
    stats.set(Count::Incidents, tally.incidents);
}
