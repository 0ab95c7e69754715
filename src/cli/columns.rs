//! How wide a text is on a terminal.
//!
//! Owns: counting columns (characters can take none or two) and cutting a text at them. Must not own: escaping, which
//! comes first.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns that a text takes.
pub fn columns(text: &str) -> usize {
    // Terminals differ on sequences of characters: the larger number is the safe one.
    UnicodeWidthStr::width(text).max(text.chars().map(width).sum())
}

fn width(c: char) -> usize {
    // The selector that asks for a picture can widen what stands before it.
    if c == '\u{fe0f}' { 1 } else { c.width().unwrap_or(0) }
}

/// The longest beginning of a text that takes at most `most` columns, and at most twice as many characters: a tower of
/// accents takes no column and reaches into the lines around it.
pub fn take(text: &str, most: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().enumerate().find(|(count, (_, c))| {
        used += width(*c);
        used > most || *count >= 2 * most
    });
    let end = end.map(|(_, place)| place);
    end.map_or(text, |(at, _)| text.get(..at).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_and_narrow() {
        assert_eq!((columns("abc"), columns("日本"), columns("e\u{301}")), (3, 4, 1));
        assert_eq!((take("日本", 3), take("日本", 4), take("abc", 0)), ("日", "日本", ""));
        assert_eq!(take("e\u{301}x", 1), "e\u{301}");
        assert_eq!(take("☺\u{fe0f}x", 2), "☺\u{fe0f}");
        assert_eq!(take(&format!("e{}", "\u{301}".repeat(500)), 10).chars().count(), 20);
    }
}
