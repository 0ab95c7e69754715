//! How wide a text is on a terminal.
//!
//! Owns: counting columns (characters can take none or two) and cutting a text at them. Must not own: escaping, which
//! comes first.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns that a text takes.
pub fn columns(text: &str) -> usize {
    // Terminals differ on sequences of characters: the larger number is the safe one.
    UnicodeWidthStr::width(text).max(text.chars().map(|c| c.width().unwrap_or(0)).sum())
}

/// The longest beginning of a text that takes at most `width` columns.
pub fn take(text: &str, width: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > width
    });
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
    }
}
