//! Showing bytes that an attacker chose.
//!
//! Owns: the one escaping that log lines and terminals get, what JSON needs beyond its own escaping (serde_json's) to be
//! safe there too, and cutting text at a length. Must not own: columns of a terminal (`cli`).

use std::fmt::Write as _;

/// Bytes as one safe line: UTF-8 kept, control characters, bidirectional and line-separator characters, backslash
/// and bytes that are not UTF-8 written as `\xNN` or `\u{N}`.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push(&mut out, c);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Text as one safe line, like [`escape`] but for the backslash, which stays single: for forms that escape it themselves,
/// and for text that was escaped before.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_visible(&mut out, c));
    out
}

/// Bytes as lower-case hexadecimal digits, as digests are written.
pub fn hexadecimal(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// JSON in which every character is escaped that a terminal or a reader of lines could take for more than text. It means
/// what it meant.
pub fn escape_json(json: String) -> String {
    let special = |c: char| (c.is_control() && c != '\n') || invisible(u32::from(c));
    if !json.contains(special) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if special(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Bytes as UTF-8, with U+FFFD for what is not; the flag says whether anything had to be replaced.
pub fn lossy(bytes: &[u8]) -> (String, bool) {
    let text = String::from_utf8_lossy(bytes);
    let replaced = matches!(text, std::borrow::Cow::Owned(_));
    (text.into_owned(), replaced)
}

/// The longest prefix of `text` of at most `bytes` bytes that ends between characters.
pub fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let end = (0..=bytes).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    &text[..end]
}

/// An argument as a POSIX shell would need it typed; for display and for copying.
pub fn shell_quote(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"@%+=:,./_-".contains(&b);
    // zsh takes `=ls` for the path of ls.
    if !text.is_empty() && !text.starts_with('=') && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn push(out: &mut String, c: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        _ => push_visible(out, c),
    }
}

fn push_visible(out: &mut String, c: char) {
    let code = u32::from(c);
    match c {
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        _ if code < 0x80 && c.is_control() => {
            let _ = write!(out, "\\x{code:02x}");
        }
        _ if c.is_control() || invisible(code) => {
            let _ = write!(out, "\\u{{{code:x}}}");
        }
        _ => out.push(c),
    }
}

/// Characters that change how what is around them is shown: zero width, line and paragraph separators,
/// bidirectional controls (Unicode 15, general category Cf and Zl/Zp), tags; and what is no character at all.
fn invisible(code: u32) -> bool {
    let nothing = matches!(code, 0xfdd0..=0xfdef) || code & 0xfffe == 0xfffe;
    nothing
        || matches!(code, 0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb | 0xe0000..=0xe007f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn visible_text_keeps_its_backslashes() {
        assert_eq!(visible("a\\b\n\u{1b}\u{202e}"), "a\\b\\n\\x1b\\u{202e}");
    }

    #[test]
    fn hostile_bytes_cannot_move_the_cursor() {
        assert_eq!(escape(b"a\x1b[2Jb\n\xff\\"), "a\\x1b[2Jb\\n\\xff\\\\");
        assert_eq!(escape("\u{202e}x\u{85}".as_bytes()), "\\u{202e}x\\u{85}");
        assert_eq!(escape("né".as_bytes()), "né");
        assert_eq!(
            escape("\u{fffe}\u{1ffff}\u{fdd0}\u{fffd}".as_bytes()),
            "\\u{fffe}\\u{1ffff}\\u{fdd0}\u{fffd}"
        );
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({"a": "\u{9b}31m\u{202e}\u{7f}\u{e0041}\u{feff}é\n"});
        let json = escape_json(value.to_string());
        assert!(json.is_ascii() || !json.contains(['\u{9b}', '\u{202e}', '\u{7f}', '\u{e0041}']), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
        assert_eq!(escape_json("{}\n".into()), "{}\n");
    }

    #[test]
    fn cutting_keeps_characters_whole() {
        assert_eq!(cut("né", 2), "n");
        assert_eq!(cut("né", 3), "né");
    }

    #[test]
    fn quoting() {
        assert_eq!(shell_quote("a'b c"), r"'a'\''b c'");
        assert_eq!(shell_quote(""), "''");
        assert_eq!(shell_quote("/bin/sh"), "/bin/sh");
        assert_eq!(shell_quote("if=/dev/zero"), "if=/dev/zero");
        assert_eq!(shell_quote("=ls"), "'=ls'");
    }

    proptest! {
        #[test]
        fn escaped_is_printable(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(escape(&bytes).chars().all(|c| !c.is_control()));
        }
    }
}
