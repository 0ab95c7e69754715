//! Elements, attributes and text of a page.
//!
//! Owns: that names of elements and attributes are ours and that every text is text. Must not own: what the page says.

use std::io::{self, Write};

use crate::cli::quote::visible;

/// Attributes: names are ours, values may be anything.
pub type Attributes<'a> = &'a [(&'static str, &'a str)];

/// A page as it is written.
#[derive(Debug)]
pub struct Html<W> {
    out: W,
    open: Vec<&'static str>,
}

impl<W: Write> Html<W> {
    /// An empty one.
    pub fn new(out: W) -> Self {
        Self { out, open: Vec::new() }
    }

    /// Text of ours that is markup.
    pub fn markup(&mut self, fixed: &'static str) -> io::Result<()> {
        self.out.write_all(fixed.as_bytes())
    }

    /// Begins an element.
    pub fn open(&mut self, tag: &'static str, attributes: Attributes<'_>) -> io::Result<()> {
        self.start(tag, attributes)?;
        self.open.push(tag);
        Ok(())
    }

    /// An element that has no content and no end.
    pub fn start(&mut self, tag: &'static str, attributes: Attributes<'_>) -> io::Result<()> {
        write!(self.out, "<{tag}")?;
        for (name, value) in attributes {
            write!(self.out, " {name}=\"{}\"", escaped(value))?;
        }
        self.out.write_all(b">")
    }

    /// Ends the element that began last.
    pub fn close(&mut self) -> io::Result<()> {
        match self.open.pop() {
            Some(tag) => write!(self.out, "</{tag}>"),
            None => Ok(()),
        }
    }

    /// Text that may be escaped already.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(escaped_text(text).as_bytes())
    }

    /// An element with a text in it.
    pub fn element(&mut self, tag: &'static str, attributes: Attributes<'_>, text: &str) -> io::Result<()> {
        self.open(tag, attributes)?;
        self.text(text)?;
        self.close()
    }

    /// A list of texts.
    pub fn list<S: AsRef<str>>(&mut self, items: &[S]) -> io::Result<()> {
        self.open("ul", &[])?;
        for item in items {
            self.element("li", &[], item.as_ref())?;
        }
        self.close()
    }

    /// A new line in the page's source.
    pub fn line(&mut self) -> io::Result<()> {
        self.markup("\n")
    }

    /// How many elements are open.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    /// Makes sure that all is written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Text that is text in an element and in a quoted attribute; line breaks stay, other control characters are shown.
pub fn escaped(text: &str) -> String {
    escaped_text(text).replace('"', "&quot;").replace('\'', "&#39;")
}

/// Text that is text in an element, where quotes mean nothing; a third of a raw record would be escapes of them else.
fn escaped_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
        }
        for c in visible(line).chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                _ => out.push(c),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let mut out = Vec::new();
        let mut html = Html::new(&mut out);
        html.element("p", &[("title", "\"><x y='")], "</p><script>\u{0}\u{202e}&amp;").unwrap();
        assert_eq!(html.depth(), 0);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "<p title=\"&quot;&gt;&lt;x y=&#39;\">&lt;/p&gt;&lt;script&gt;\\x00\\u{202e}&amp;amp;</p>"
        );
    }
}
