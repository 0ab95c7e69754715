//! The tether as a drawing.
//!
//! Owns: where boxes, wires and their texts stand. Must not own: what is on them (`chain`), colours (the page's style).

use std::io::{self, Write};

use crate::cli::chain::{self, Link};
use crate::cli::columns::{columns, take};
use crate::cli::report::html::Html;
use crate::model::finding::Record;
use crate::model::text::escape;

/// The longest line, in columns.
const COLUMNS_MAX: usize = 64;
/// Width of a column and height of a line, in units of the drawing: those of a monospace font of 13 units.
const COLUMN: usize = 8;
const LINE: usize = 19;
/// Around a text; between boxes.
const PAD: usize = 10;
const WIRE: usize = 34;

/// Draws a record. `id` is unique in the page.
pub fn draw<W: Write>(html: &mut Html<W>, record: &Record, id: &str) -> io::Result<()> {
    let links = chain::links(record);
    let fit = |text: &str| {
        let text = escape(text.as_bytes());
        let short = take(&text, COLUMNS_MAX);
        if short.len() == text.len() { text } else { format!("{}...", take(&text, COLUMNS_MAX - 3)) }
    };
    let lines = |link: &Link| -> Vec<String> {
        match link {
            Link::Box(lines) => lines.iter().map(|line| fit(line)).collect(),
            Link::Wire(label) => vec![fit(label)],
        }
    };
    let widest = links.iter().flat_map(lines).map(|line| columns(&line)).max().unwrap_or(0).max(24);
    let (inner, mut height) = (widest * COLUMN + 2 * PAD, 1);
    for link in &links {
        height += match link {
            Link::Box(lines) => lines.len() * LINE + 2 * PAD,
            Link::Wire(_) => WIRE,
        };
    }
    let size = format!("0 0 {} {}", inner + 2, height + 1);
    let (title, desc) = (format!("{id}-t"), format!("{id}-d"));
    let (width, tall) = ((inner + 2).to_string(), (height + 1).to_string());
    html.open(
        "svg",
        &[
            ("viewBox", &size),
            ("width", &width),
            ("height", &tall),
            ("role", "img"),
            ("aria-labelledby", &format!("{title} {desc}")),
        ],
    )?;
    html.element("title", &[("id", &title)], "The tether, from the command to the peer")?;
    let words: Vec<String> = links.iter().map(|link| lines(link).join(", ")).collect();
    html.element("desc", &[("id", &desc)], &words.join("; then "))?;
    let mut y = 1;
    for link in &links {
        match link {
            Link::Box(_) => {
                let lines = lines(link);
                let tall = lines.len() * LINE + 2 * PAD;
                rectangle(html, y, inner, tall)?;
                for (at, line) in lines.iter().enumerate() {
                    let class = if at == 0 { "head" } else { "more" };
                    text(html, PAD + 1, y + PAD + at * LINE + LINE - 6, class, line)?;
                }
                y += tall;
            }
            Link::Wire(_) => {
                let path = format!("M 28 {y} V {}", y + WIRE);
                html.start("path", &[("d", &path), ("class", "wire")])?;
                html.markup("</path>")?;
                text(html, 42, y + WIRE / 2 + 4, "label", &lines(link).join(" "))?;
                y += WIRE;
            }
        }
    }
    html.close()
}

fn rectangle<W: Write>(html: &mut Html<W>, y: usize, width: usize, height: usize) -> io::Result<()> {
    let (y, width, height) = (y.to_string(), width.to_string(), height.to_string());
    let place =
        [("x", "1"), ("y", &y), ("width", &width), ("height", &height), ("rx", "5"), ("class", "box")];
    html.start("rect", &place)?;
    html.markup("</rect>")
}

fn text<W: Write>(html: &mut Html<W>, x: usize, y: usize, class: &'static str, text: &str) -> io::Result<()> {
    html.element("text", &[("x", &x.to_string()), ("y", &y.to_string()), ("class", class)], text)
}
