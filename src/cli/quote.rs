//! Words of a command line that a person will paste.
//!
//! Owns: writing any text so that a POSIX shell makes that text of it again, on one line and harmless on a terminal; the
//! quoting of log filters. Must not own: which commands there are (`respond`).

use std::fmt::Write as _;

use crate::model::text::{escape, shell_quote};

/// A text as one word for sh, bash, dash, zsh, ksh or busybox; `None` where none of them takes it on one line: a NUL, or
/// a newline at the end.
///
/// What a terminal would not show as it is (control characters, changes of direction) becomes octal digits for printf.
/// There `!` is one of them too: interactive shells look for it within double quotes, not all alike.
pub fn quote(text: &str) -> Option<String> {
    if text.contains('\0') || text.ends_with('\n') {
        return None;
    }
    if visible(text) == text {
        return Some(shell_quote(text));
    }
    let mut word = String::from("\"$(printf '");
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._:,".contains(&byte) {
            word.push(char::from(byte));
        } else {
            let _ = write!(word, "\\{byte:03o}");
        }
    }
    Some(word + "')\"")
}

/// A text as a string of Cloud Logging's query language.
pub fn filter_quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
            out.push(c);
        } else if visible(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out + "\""
}

/// A text as a string of the Kusto query language, which escapes as Cloud Logging does: a backslash before quotes and
/// backslashes, `\uNNNN` for what cannot be seen.
pub fn kusto_quote(text: &str) -> String {
    filter_quote(text)
}

/// A text that may be escaped already, harmless on a terminal: as `escape`, but a backslash stays one.
pub fn visible(text: &str) -> String {
    let parts: Vec<String> = text.split('\\').map(|part| escape(part.as_bytes())).collect();
    parts.join("\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(quote("front-7f9"), Some("front-7f9".into()));
        assert_eq!(quote("a b'c!"), Some(r"'a b'\''c!'".into()));
        assert_eq!(quote(r"a\b"), Some(r"'a\b'".into()));
        assert_eq!(quote("=ls"), Some("'=ls'".into()));
        assert_eq!(quote("~root"), Some("'~root'".into()));
        assert_eq!(quote("\u{1b}[2J!%"), Some(r#""$(printf '\033\1332J\041\045')""#.into()));
        assert_eq!(quote("\u{202e}"), Some(r#""$(printf '\342\200\256')""#.into()));
        assert_eq!((quote("a\0b"), quote("a\n")), (None, None));
    }

    #[test]
    fn filters() {
        assert_eq!(filter_quote("front"), "\"front\"");
        assert_eq!(filter_quote("a\" OR \\x\n\u{202e}"), "\"a\\\" OR \\\\x\\u000a\\u202e\"");
    }

    #[test]
    fn escaped_once() {
        assert_eq!(visible("a\\x1b\u{1b}\n"), "a\\x1b\\x1b\\n");
    }
}
