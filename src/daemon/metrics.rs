//! Metrics for node_exporter's textfile collector.
//!
//! Owns: the file's text (Prometheus text format 0.0.4) and replacing it as a whole. Must not own: the numbers.

use std::fmt::Write as _;
use std::path::Path;

use crate::daemon::destinations;
use crate::daemon::status::Board;
use crate::model::loss::Loss;
use crate::stats::Count;

/// Writes the file, if one is configured. A failure is said once for each kind of failure by the caller's log level;
/// metrics are not worth stopping for.
pub fn write(path: &Path, board: &Board) {
    if path.as_os_str().is_empty() {
        return;
    }
    let temporary = path.with_extension("prom.new");
    let written = std::fs::write(&temporary, text(board)).and_then(|()| std::fs::rename(&temporary, path));
    if let Err(error) = written {
        log::debug!("metrics: {}: {error}", path.display());
    }
}

/// The text.
pub fn text(board: &Board) -> String {
    let mut text = String::with_capacity(4096);
    text.push_str(
        "# HELP tetherd_events_total What tetherd counted, by kind.\n# TYPE tetherd_events_total counter\n",
    );
    for count in Count::ALL {
        let _ =
            writeln!(text, "tetherd_events_total{{kind=\"{}\"}} {}", count.name(), board.stats().get(count));
    }
    text.push_str("# HELP tetherd_losses_total What may have been missed, by cause.\n# TYPE tetherd_losses_total counter\n");
    for loss in Loss::ALL {
        let _ =
            writeln!(text, "tetherd_losses_total{{cause=\"{}\"}} {}", loss.name(), board.stats().lost(loss));
    }
    let status = board.json();
    for (name, help, pointer) in [
        ("tetherd_incidents_open", "Incidents that go on.", "/engine/incidents_open"),
        ("tetherd_processes_followed", "Processes that are followed.", "/engine/processes"),
        ("tetherd_spool_bytes", "Bytes in the spool.", "/spool/bytes"),
        (
            "tetherd_spool_level",
            "How hard pressed the spool is: 0 ok, 1 warn, 2 emergency, 3 full.",
            "/spool/level_number",
        ),
        ("tetherd_spool_waiting", "Records that wait for the disk.", "/spool/waiting"),
        ("tetherd_spool_next_sequence", "The next record's number.", "/spool/next_sequence"),
        (
            "tetherd_canary_age_seconds",
            "Seconds since the kernel last proved that it sends events.",
            "/sensor/canary_age_seconds",
        ),
    ] {
        let value = status.pointer(pointer).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    }
    destinations::metrics(board, &mut text);
    text
}
