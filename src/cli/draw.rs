//! A finding as a drawing.
//!
//! Owns: boxes and wires, in at most 80 columns; ASCII where that is all there is. Must not own: where the record comes
//! from, the timeline (`timeline`), escaping (`sheet`).

use serde_json::Value;

use crate::cli::chain::{self, Link, or};
use crate::cli::columns::columns;
use crate::cli::sheet::{Sheet, WIDTH};
use crate::cli::{properties, timeline};
use crate::model::finding::{Record, property};
use crate::model::text::shell_quote;

struct Pen {
    /// Corners and edges: top left, top right, bottom left, bottom right, horizontal, vertical.
    edge: [&'static str; 6],
    down: &'static str,
    tie: &'static str,
}

const UNICODE: Pen = Pen { edge: ["┌", "┐", "└", "┘", "─", "│"], down: "│", tie: "┬" };
const ASCII: Pen = Pen { edge: ["+", "+", "+", "+", "-", "|"], down: "|", tie: "+" };

/// Draws a record.
pub fn draw(record: &Record, unicode: bool) -> String {
    let mut sheet = Sheet::new(unicode);
    head(&mut sheet, record);
    tether(&mut sheet, record);
    why(&mut sheet, record);
    timeline::draw(&mut sheet, record);
    ancestry(&mut sheet, record);
    others(&mut sheet, record);
    sheet.end()
}

fn pen(sheet: &Sheet) -> &'static Pen {
    if sheet.unicode() { &UNICODE } else { &ASCII }
}

/// Which finding, how bad, whether it goes on.
pub fn head(sheet: &mut Sheet, record: &Record) {
    let finding = &record.finding;
    let severity = finding.severity.map_or("-", |severity| severity.name());
    let state = record.state();
    sheet.line(&format!("{severity}  {}", finding.category));
    sheet.line(&format!("{}  ({state}, first seen {})", record.id(), timeline::short(&finding.event_time)));
}

/// From the command to the peer.
fn tether(sheet: &mut Sheet, record: &Record) {
    sheet.raw("");
    let links = chain::links(record);
    for (at, link) in links.iter().enumerate() {
        match link {
            Link::Box(lines) => boxed(sheet, lines, at + 1 < links.len()),
            Link::Wire(label) => wire(sheet, label),
        }
    }
}

/// The evidence.
pub fn why(sheet: &mut Sheet, record: &Record) {
    sheet.raw("\nWhy");
    let evidence = record.finding.source_properties.get(property::EVIDENCE).and_then(Value::as_array);
    for sentence in evidence.into_iter().flatten().filter_map(Value::as_str) {
        sheet.wrapped("  - ", sentence);
    }
}

/// What else the record says, whatever it is.
pub fn others(sheet: &mut Sheet, record: &Record) {
    let others = properties::others(record);
    if others.is_empty() {
        return;
    }
    sheet.raw("\nAlso known");
    for (key, values) in others {
        for value in values {
            sheet.wrapped("  - ", &format!("{}: {value}", key.replace('_', " ")));
        }
    }
}

/// Who started it, nearest first.
pub fn ancestry(sheet: &mut Sheet, record: &Record) {
    let entries = record.finding.source_properties.get(property::PROCESS_ANCESTRY).and_then(Value::as_array);
    let Some(entries) = entries.filter(|entries| !entries.is_empty()) else { return };
    sheet.raw("\nStarted by");
    for entry in entries {
        let field = |name: &str| match entry.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).map(shell_quote).collect::<Vec<_>>().join(" ")
            }
            Some(value) => value.to_string(),
            None => String::new(),
        };
        let what = or(&field("args"), or(&field("exe"), &field("comm"))).to_owned();
        sheet.line(&format!("  {:>7}  {what}", field("pid")));
    }
}

fn boxed(sheet: &mut Sheet, lines: &[String], tied: bool) {
    let lines: Vec<String> = lines.iter().map(|text| sheet.fit(text, WIDTH - 6)).collect();
    let inner = lines.iter().map(|text| columns(text)).max().unwrap_or(0).max(24);
    let Pen { edge: [top_left, top_right, bottom_left, bottom_right, across, side], tie, .. } = pen(sheet);
    sheet.raw(&format!("  {top_left}{}{top_right}", across.repeat(inner + 2)));
    for text in lines {
        let padding = inner.saturating_sub(columns(&text));
        sheet.raw(&format!("  {side} {text}{} {side}", " ".repeat(padding)));
    }
    let tie = if tied { tie } else { across };
    sheet.raw(&format!("  {bottom_left}{}{tie}{}{bottom_right}", across.repeat(3), across.repeat(inner - 2)));
}

fn wire(sheet: &mut Sheet, label: &str) {
    let label = sheet.fit(label, WIDTH - 10);
    sheet.raw(&format!("      {} {label}", pen(sheet).down));
}
