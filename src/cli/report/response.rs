//! The response plan in a page.
//!
//! Owns: steps, commands, placeholders and log filters as elements. Must not own: the steps (`respond`).

use std::io::{self, Write};

use crate::cli::command::{Command, Word};
use crate::cli::facts::Facts;
use crate::cli::report::html::Html;
use crate::cli::respond::{self, Plan};
use crate::model::finding::Record;

/// Writes the plan.
pub fn write<W: Write>(html: &mut Html<W>, facts: &Facts<'_>) -> io::Result<()> {
    let plan = Plan::new(facts);
    html.element(
        "p",
        &[],
        "Nothing of this has been run. The lines are for sh, bash or zsh: “node” on the machine itself, as root; “client” \
         where kubectl or gcloud is set up.",
    )?;
    let asked = plan.asked();
    if !asked.is_empty() {
        html.element("p", &[], "What tetherd cannot know stands as '<NAME>'; put it in first:")?;
        html.open("dl", &[])?;
        for (name, meaning) in asked {
            html.element("dt", &[], &format!("<{name}>"))?;
            html.element("dd", &[], meaning)?;
        }
        html.close()?;
    }
    html.open("ol", &[("class", "steps")])?;
    for step in &plan.steps {
        html.open("li", &[])?;
        html.element("h4", &[], step.title)?;
        for about in &step.about {
            html.element("p", &[], about)?;
        }
        step.commands.iter().try_for_each(|command| self::command(html, command))?;
        html.close()?;
        html.line()?;
    }
    html.close()?;
    for console in &plan.consoles {
        html.element("h4", &[], &format!("Log filters for {}", console.name))?;
        for filter in &console.filters {
            html.element("p", &[("class", "about")], filter.about)?;
            html.element("pre", &[], &filter.filter)?;
        }
    }
    Ok(())
}

/// Says where the plan is, on a page that has no room for it.
pub fn write_elsewhere<W: Write>(
    html: &mut Html<W>,
    record: &Record,
    facts: &Facts<'_>,
    plans: usize,
) -> io::Result<()> {
    html.element("p", &[], &format!("This page has the plans of its {plans} gravest findings. This one's:"))?;
    let id = Word::of(Some(record.id()), "ID");
    html.element("pre", &[], &respond::tetherd("the response plan", "explain", facts).word(&id).line)
}

fn command<W: Write>(html: &mut Html<W>, command: &Command) -> io::Result<()> {
    html.open("p", &[("class", "about")])?;
    html.text(command.about)?;
    html.text(" ")?;
    html.element("span", &[("class", "tag")], command.place.name())?;
    if command.changes {
        html.text(" ")?;
        html.element("strong", &[("class", "tag changes")], "changes something")?;
    }
    html.close()?;
    html.element("pre", &[], &command.line)
}
