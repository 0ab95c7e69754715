//! `tetherd explain ID`.
//!
//! Owns: printing what happened, why, how sure, what to check and the response plan. Must not own: the words
//! (`account`), the steps (`respond`). Runs nothing.

use serde_json::{Value, json};

use crate::cli::command::Command;
use crate::cli::draw;
use crate::cli::facts::Facts;
use crate::cli::respond::Plan;
use crate::cli::respond::cloud::LogFilter;
use crate::cli::sheet::Sheet;
use crate::cli::{account, timeline};
use crate::model::finding::{CATEGORY, property};

/// The explanation as text.
pub fn text(facts: &Facts<'_>, unicode: bool) -> String {
    let record = facts.record;
    let mut sheet = Sheet::new(unicode);
    draw::head(&mut sheet, record);
    sheet.raw("\nWhat happened");
    account::happened(facts).iter().for_each(|told| sheet.wrapped("  ", told));
    if record.finding.category != CATEGORY {
        draw::others(&mut sheet, record);
        sheet.raw(
            "\nThis is a record of tetherd about itself: `tetherd status` and `tetherd doctor` say more.",
        );
        return sheet.end();
    }
    draw::why(&mut sheet, record);
    timeline::draw(&mut sheet, record);
    draw::ancestry(&mut sheet, record);
    for (heading, told) in [("How sure", account::sure(facts)), ("What to check", account::check(facts))] {
        sheet.raw(&format!("\n{heading}"));
        told.iter().for_each(|told| sheet.wrapped("  - ", told));
    }
    draw::others(&mut sheet, record);
    plan(&mut sheet, &Plan::new(facts));
    sheet.end()
}

fn plan(sheet: &mut Sheet, plan: &Plan) {
    sheet.raw("\nResponse plan");
    sheet.wrapped(
        "  ",
        "Nothing of this has been run. Lines that begin with # are remarks; the others are for sh, bash or zsh (there, setopt \
         interactivecomments first). (node): on the machine itself, as root; (client): where kubectl or gcloud is set up; \
         !: it changes something.",
    );
    let asked = plan.asked();
    if !asked.is_empty() {
        sheet.wrapped("  ", "What tetherd cannot know stands as '<NAME>'; put it in first:");
        for (name, meaning) in asked {
            sheet.wrapped("    ", &format!("<{name}>: {meaning}"));
        }
    }
    for (at, step) in plan.steps.iter().enumerate() {
        sheet.raw("");
        sheet.line(&format!("{}. {}", at + 1, step.title));
        step.about.iter().for_each(|about| sheet.remark("   # ", about));
        sheet.raw("");
        for command in &step.commands {
            sheet.remark("   # ", &remark(command));
            // As it is: a line that was cut or broken could not be pasted. Every word in it was quoted.
            sheet.raw(&format!("   {}", command.line));
        }
    }
    for console in &plan.consoles {
        sheet.raw("");
        sheet.wrapped("", &format!("Log filters for {}", console.name));
        for filter in &console.filters {
            sheet.remark("   # ", filter.about);
            sheet.raw(&format!("   {}", filter.filter));
        }
    }
}

/// What a command is for, where it is run, and whether it changes something.
fn remark(command: &Command) -> String {
    let mark = if command.changes { " !" } else { "" };
    format!("{} ({}){mark}", command.about, command.place.name())
}

/// The same for a program.
pub fn json(facts: &Facts<'_>) -> Value {
    let record = facts.record;
    let is_finding = record.finding.category == CATEGORY;
    let mut value = json!({
        "id": record.id(),
        "category": record.finding.category,
        "happened": account::happened(facts),
        "evidence": record.finding.source_properties.get(property::EVIDENCE),
    });
    if !is_finding {
        return value;
    }
    let plan = Plan::new(facts);
    let command = |command: &Command| {
        json!({
            "about": command.about, "place": command.place.name(), "changes": command.changes,
            "command": command.line, "placeholders": command.asked,
        })
    };
    value["sure"] = account::sure(facts).into();
    value["check"] = account::check(facts).into();
    value["placeholders"] =
        plan.asked().into_iter().map(|(name, meaning)| (name.to_owned(), meaning)).collect();
    value["steps"] = plan
        .steps
        .iter()
        .map(|step| {
            json!({
                "title": step.title, "about": step.about,
                "commands": step.commands.iter().map(command).collect::<Vec<_>>(),
            })
        })
        .collect();
    let of = |console: &'static str, filter: &LogFilter| json!({"console": console, "about": filter.about, "filter": filter.filter, "placeholders": filter.asked});
    value["logFilters"] = plan
        .consoles
        .iter()
        .flat_map(|console| console.filters.iter().map(|filter| of(console.name, filter)))
        .collect();
    value
}
