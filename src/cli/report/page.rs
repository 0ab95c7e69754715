//! The page.
//!
//! Owns: its parts, their order, headings and labels, and what the browser may do with it. Must not own: escaping
//! (`html`), which findings (`report`).

use std::io::{self, Write};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use serde::Serialize;

use crate::cli::facts::{Facts, subject};
use crate::cli::report::html::Html;
use crate::cli::report::tree::Tree;
use crate::cli::report::{response, svg};
use crate::cli::{account, chain, properties, timeline};
use crate::model::detection::Severity;
use crate::model::finding::{CATEGORY, Record, property};
use crate::model::text::{cut, escape_json};
use crate::sys::clock;

const STYLE: &str = include_str!("style.css");
/// Of more findings, plans and process trees are folded.
const UNFOLDED_MAX: usize = 3;
/// Of more findings, only so many have their response plan on the page: it is half of what a browser has to read.
const PLANS_MAX: usize = 100;

/// A page as it is written, finding by finding.
#[derive(Debug)]
pub struct Page<W> {
    html: Html<W>,
    count: usize,
    spool: Option<PathBuf>,
    /// Severity and number of each finding, then those alone that have a plan: the gravest, the newest first.
    planned: Vec<(Option<Severity>, usize)>,
}

impl<W: Write> Page<W> {
    /// Everything before the first row of the summary. `spool`: the one that was named, if one was.
    pub fn begin(out: W, count: usize, spool: Option<PathBuf>) -> io::Result<Self> {
        let mut html = Html::new(out);
        html.markup("<!DOCTYPE html>\n")?;
        html.open("html", &[("lang", "en")])?;
        html.open("head", &[])?;
        html.start("meta", &[("charset", "utf-8")])?;
        let digest = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
        let policy =
            format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'");
        html.start("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy)])?;
        for (name, content) in [
            ("viewport", "width=device-width, initial-scale=1"),
            ("referrer", "no-referrer"),
            ("robots", "noindex"),
            ("color-scheme", "light dark"),
        ] {
            html.start("meta", &[("name", name), ("content", content)])?;
        }
        html.element("title", &[], "tetherd report")?;
        html.markup("<style>")?;
        html.markup(STYLE)?;
        html.markup("</style>")?;
        html.close()?;
        html.line()?;
        html.open("body", &[])?;
        html.element("a", &[("class", "skip"), ("href", "#findings")], "Skip to the findings")?;
        html.open("header", &[])?;
        html.element("h1", &[], "tetherd report")?;
        let now = timeline::short(&clock::now().rfc3339());
        let findings = if count == 1 { "1 finding".into() } else { format!("{count} findings") };
        let version = env!("CARGO_PKG_VERSION");
        html.element(
            "p",
            &[],
            &format!("{findings}. Written {now} by tetherd {version}. All times are UTC."),
        )?;
        html.close()?;
        html.open("main", &[])?;
        html.open("section", &[("aria-labelledby", "summary")])?;
        html.element("h2", &[("id", "summary")], "Summary")?;
        if count == 0 {
            html.element("p", &[], "No findings.")?;
        }
        html.open(
            "div",
            &[("class", "scroll"), ("role", "region"), ("tabindex", "0"), ("aria-labelledby", "summary")],
        )?;
        html.open("table", &[])?;
        html.element("caption", &[], "Findings, in the order of their newest records")?;
        heads(&mut html, &["First seen", "Severity", "State", "Commands", "What", "Where"])?;
        html.open("tbody", &[])?;
        Ok(Self { html, count, spool, planned: Vec::new() })
    }

    /// A row of the summary.
    pub fn row(&mut self, number: usize, record: &Record) -> io::Result<()> {
        if record.finding.category == CATEGORY {
            self.planned.push((record.finding.severity, number));
        }
        let html = &mut self.html;
        html.line()?;
        html.open("tr", &[])?;
        html.element("td", &[("class", "short")], &timeline::short(&record.finding.event_time))?;
        let severity = severity(record);
        html.element("td", &[("class", severity)], severity)?;
        html.element("td", &[("class", "short")], record.state())?;
        html.element("td", &[], &timeline::count(record).to_string())?;
        html.open("th", &[("scope", "row"), ("class", "mono long")])?;
        html.element("a", &[("href", &format!("#f{number}"))], &what(record))?;
        html.close()?;
        html.element("td", &[], &place(record))?;
        html.close()
    }

    /// From the summary to the findings.
    pub fn between(&mut self) -> io::Result<()> {
        self.planned.sort_unstable_by(|one, other| other.cmp(one));
        self.planned.truncate(PLANS_MAX);
        let html = &mut self.html;
        (0..4).try_for_each(|_| html.close())?;
        html.open("div", &[("id", "findings")])
    }

    /// A finding.
    pub fn finding(&mut self, number: usize, record: &Record) -> io::Result<()> {
        let facts = Facts::new(record).of_spool(self.spool.as_deref());
        let folded = self.count > UNFOLDED_MAX;
        let html = &mut self.html;
        let (id, heading) = (format!("f{number}"), format!("f{number}-h"));
        html.line()?;
        html.open("article", &[("id", &id), ("aria-labelledby", &heading)])?;
        html.open("h2", &[("id", &heading)])?;
        let severity = severity(record);
        html.element("span", &[("class", severity)], severity)?;
        html.text(&format!(" {}", what(record)))?;
        html.close()?;
        html.element("p", &[], &record.finding.category)?;
        summary(html, record)?;
        heading_and_list(html, "What happened", &account::happened(&facts))?;

        html.element("h3", &[], "Tether")?;
        html.open("figure", &[])?;
        html.open(
            "div",
            &[("class", "scroll"), ("role", "region"), ("tabindex", "0"), ("aria-label", "Tether")],
        )?;
        svg::draw(html, record, &id)?;
        html.close()?;
        html.element("figcaption", &[], "From the command, over whoever relays, to the peer.")?;
        html.close()?;

        html.element("h3", &[], "Timeline")?;
        commands(html, record)?;
        html.element("h3", &[], "Process tree")?;
        tree(html, &Tree::new(record))?;
        heading_and_list(html, "Evidence", &evidence(record))?;
        known(html, record)?;
        heading_and_list(html, "How sure", &account::sure(&facts))?;
        if record.finding.category == CATEGORY {
            heading_and_list(html, "What to check", &account::check(&facts))?;
            html.element("h3", &[], "Response")?;
            if !self.planned.iter().any(|(_, planned)| *planned == number) {
                response::write_elsewhere(html, record, &facts, PLANS_MAX)?;
            } else if folded {
                html.open("details", &[])?;
                html.element("summary", &[], "The response plan, with its commands")?;
                response::write(html, &facts)?;
                html.close()?;
            } else {
                response::write(html, &facts)?;
            }
        }
        html.element("h3", &[], "Record")?;
        html.open("details", &[])?;
        html.element("summary", &[], "The record as JSON")?;
        let json = escape_json(indented(record));
        html.element("pre", &[("class", "raw")], &json)?;
        html.close()?;
        html.close()
    }

    /// A finding that the spool has dropped, or written anew, since it was counted.
    pub fn gone(&mut self, number: usize) -> io::Result<()> {
        self.html.element(
            "p",
            &[("id", &format!("f{number}"))],
            "A record has left the spool while this was written.",
        )
    }

    /// The end.
    pub fn end(mut self) -> io::Result<()> {
        let html = &mut self.html;
        (0..2).try_for_each(|_| html.close())?;
        html.open("footer", &[])?;
        html.element(
            "p",
            &[],
            "Names, arguments and paths were chosen by whoever ran the commands. Control and invisible characters in \
             them are shown as \\x1b or \\u{202e}.",
        )?;
        while html.depth() > 0 {
            html.close()?;
        }
        html.line()?;
        html.flush()
    }
}

fn heads<W: Write>(html: &mut Html<W>, names: &[&str]) -> io::Result<()> {
    html.open("thead", &[])?;
    html.open("tr", &[])?;
    for name in names {
        html.element("th", &[("scope", "col")], name)?;
    }
    html.close()?;
    html.close()
}

fn heading_and_list<W: Write>(html: &mut Html<W>, heading: &str, items: &[String]) -> io::Result<()> {
    html.element("h3", &[], heading)?;
    if items.is_empty() {
        return html.element("p", &[], "The record has none.");
    }
    html.list(items)
}

fn summary<W: Write>(html: &mut Html<W>, record: &Record) -> io::Result<()> {
    let text = |key: &str| record.text(key).unwrap_or_default().to_owned();
    let process = subject(record);
    let binary = process.and_then(|process| process.binary.as_ref());
    let uid = process.map(|process| process.user_id.as_str()).unwrap_or_default();
    let last = text(property::LAST_SEEN);
    let container = text(property::CONTAINER_ID);
    html.open("dl", &[])?;
    for (name, value) in [
        ("Finding", record.id().to_owned()),
        ("State", record.state().to_owned()),
        ("First seen", timeline::short(&record.finding.event_time)),
        ("Last seen", timeline::short(&last)),
        ("Commands", timeline::count(record).to_string()),
        ("Node", text(property::VM_INSTANCE_NAME)),
        ("Resource", record.resource.name.clone()),
        ("Pod", pod(record)),
        ("Container", [text(property::CONTAINER_NAME), container].join(" ").trim().to_owned()),
        ("Runtime", text(property::CONTAINER_RUNTIME)),
        ("Image", text(property::CONTAINER_IMAGE_URI)),
        ("Program", text(property::PROCESS_BINARY_FULLPATH)),
        ("SHA-256", binary.and_then(|binary| binary.sha256.clone()).unwrap_or_default()),
        ("User", [text(property::PROCESS_USER_NAME), format!("uid {uid}")].join(" ").trim().to_owned()),
        ("Directory", text(property::PROCESS_WORKING_DIRECTORY)),
        ("Peer", chain::peer(record)),
        ("ATT&CK", techniques(record)),
    ] {
        if !value.is_empty() {
            html.element("dt", &[], name)?;
            html.element("dd", &[("class", "mono")], &value)?;
        }
    }
    html.close()
}

fn techniques(record: &Record) -> String {
    let attack = record.finding.mitre_attack.as_ref();
    attack
        .map(|attack| format!("{}: {}", attack.primary_tactic, attack.primary_techniques.join(", ")))
        .unwrap_or_default()
}

fn commands<W: Write>(html: &mut Html<W>, record: &Record) -> io::Result<()> {
    let (entries, count) = (timeline::entries(record), timeline::count(record));
    html.open(
        "div",
        &[("class", "scroll"), ("role", "region"), ("tabindex", "0"), ("aria-label", "Timeline")],
    )?;
    html.open("table", &[])?;
    let caption = match count.saturating_sub(entries.len() as u64) {
        0 => "What ran, in order".to_owned(),
        missing => format!("What ran, in order; {missing} more that the record has no room for"),
    };
    html.element("caption", &[], &caption)?;
    heads(html, &["Time", "Process", "Seen", "Command"])?;
    html.open("tbody", &[])?;
    for entry in &entries {
        html.open("tr", if entry.main { &[("class", "main")] } else { &[] })?;
        let clock = entry.time.get(11..23).unwrap_or(&entry.time);
        for (class, value) in
            [("short", clock), ("short", &entry.pid), ("short", &entry.seen), ("mono long", &entry.what)]
        {
            html.element("td", &[("class", class)], value)?;
        }
        html.close()?;
    }
    (0..3).try_for_each(|_| html.close())
}

fn tree<W: Write>(html: &mut Html<W>, tree: &Tree) -> io::Result<()> {
    if tree.nodes.is_empty() {
        return html.element("p", &[], "The record has none.");
    }
    html.element("p", &[("class", "about")], "Bold: on the tether, or descended from what is.")?;
    html.open("ul", &[("class", "tree mono")])?;
    tree.roots.iter().try_for_each(|root| branch(html, tree, *root))?;
    html.close()
}

fn branch<W: Write>(html: &mut Html<W>, tree: &Tree, at: usize) -> io::Result<()> {
    let Some(node) = tree.nodes.get(at) else { return Ok(()) };
    html.open("li", &[])?;
    let class = if node.tied { "tied" } else { "above" };
    html.element("span", &[("class", class)], &format!("{} {}", node.pid, node.ran.join("; then ")))?;
    if !node.children.is_empty() {
        html.open("ul", &[])?;
        node.children.iter().try_for_each(|child| branch(html, tree, *child))?;
        html.close()?;
    }
    html.close()
}

fn evidence(record: &Record) -> Vec<String> {
    let evidence = record.finding.source_properties.get(property::EVIDENCE).and_then(Value::as_array);
    evidence.into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}

/// What else the record says.
fn known<W: Write>(html: &mut Html<W>, record: &Record) -> io::Result<()> {
    let others = properties::others(record);
    if others.is_empty() {
        return Ok(());
    }
    html.open("dl", &[])?;
    for (key, values) in others {
        html.element("dt", &[], &key.replace('_', " "))?;
        html.open("dd", &[("class", "mono")])?;
        match values.as_slice() {
            [one] => html.text(one)?,
            several => html.list(several)?,
        }
        html.close()?;
    }
    html.close()
}

/// What ran, and where to.
fn what(record: &Record) -> String {
    let exe = record.text(property::PROCESS_BINARY_FULLPATH).unwrap_or_default();
    let name = exe.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("?");
    let arrow = if record.text(property::TETHER_DIRECTION) == Some("inbound") { "←" } else { "→" };
    format!("{} {arrow} {}", cut(name, 200), chain::peer(record))
}

fn place(record: &Record) -> String {
    let text = |key: &str| record.text(key).unwrap_or_default();
    let (pod, container) = (pod(record), text(property::CONTAINER_NAME));
    let id = cut(text(property::CONTAINER_ID), 12);
    let inside = [pod.as_str(), container, id].into_iter().find(|name| !name.is_empty());
    let node = text(property::VM_INSTANCE_NAME);
    inside.map_or_else(|| node.to_owned(), |inside| format!("{inside} on {node}"))
}

fn pod(record: &Record) -> String {
    let text = |key: &str| record.text(key).unwrap_or_default();
    let (namespace, pod) = (text(property::POD_NAMESPACE), text(property::POD_NAME));
    if pod.is_empty() { String::new() } else { format!("{namespace}/{pod}") }
}

fn severity(record: &Record) -> &'static str {
    record.finding.severity.map_or("-", |severity| severity.name())
}

/// The record as JSON, by one space a level: a page may have a thousand of them.
fn indented(record: &Record) -> String {
    let mut out = Vec::new();
    let form = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let written = record.serialize(&mut serde_json::Serializer::with_formatter(&mut out, form));
    written.ok().and_then(|()| String::from_utf8(out).ok()).unwrap_or_default()
}
