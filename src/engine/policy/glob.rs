//! Patterns with `*` and `?`, and lists of them.
//!
//! Owns: matching in time of at most the product of both lengths, without recursion. `*` matches `/` too. Must not
//! own: what is matched.

/// In a list of patterns: any number of texts.
pub const ANY_NUMBER: &str = "**";

/// Whether `text` is as `pattern` says: `*` any bytes, `?` one byte, everything else itself.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    wild(
        pattern.len(),
        text.len(),
        |p| pattern.get(p) == Some(&b'*'),
        |p, t| matches!(pattern.get(p), Some(b'?')) || pattern.get(p) == text.get(t),
    )
}

/// Whether `texts` are as `patterns` say, one by one and all of them; [`ANY_NUMBER`] stands for any number of texts.
pub fn list_matches(patterns: &[String], texts: &[Vec<u8>]) -> bool {
    wild(
        patterns.len(),
        texts.len(),
        |p| patterns.get(p).is_some_and(|pattern| pattern == ANY_NUMBER),
        |p, t| match (patterns.get(p), texts.get(t)) {
            (Some(pattern), Some(text)) => matches(pattern.as_bytes(), text),
            _ => false,
        },
    )
}

/// Matches a sequence of `texts` places against one of `patterns` places, of which some are stars. Going back to the
/// last star alone is enough: what an earlier one could still take, the last one can take as well.
fn wild(
    patterns: usize,
    texts: usize,
    star: impl Fn(usize) -> bool,
    fits: impl Fn(usize, usize) -> bool,
) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < texts {
        if p < patterns && star(p) {
            retry = Some((p + 1, t));
            p += 1;
        } else if p < patterns && fits(p, t) {
            (p, t) = (p + 1, t + 1);
        } else {
            let Some((after, from)) = retry else { return false };
            retry = Some((after, from + 1));
            (p, t) = (after, from + 1);
        }
    }
    (p..patterns).all(star)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("/usr/sbin/sshd", "/usr/sbin/sshd", true),
            ("/usr/*/sshd", "/usr/local/sbin/sshd", true),
            ("*.py", "/x/y.py", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
        let long = vec![b'a'; 4096];
        assert!(!matches(b"*a*a*a*a*a*a*a*b", &long));
    }

    #[test]
    fn lists() {
        for (patterns, texts, fit) in [
            ("--daemon", "--daemon", true),
            ("--daemon", "--daemon x", false),
            ("--daemon", "x --daemon", false),
            ("** --daemon **", "--no-detach --daemon --config=/x", true),
            ("** --daemon **", "--daemon", true),
            ("** --daemon **", "--no-detach", false),
            ("-c /x/*.sh", "-c /x/a.sh", true),
            ("-c /x/*.sh", "-c id -c /x/a.sh", false),
            ("**", "", true),
            ("a", "", false),
        ] {
            let patterns: Vec<String> = patterns.split_whitespace().map(str::to_owned).collect();
            let texts: Vec<Vec<u8>> = texts.split_whitespace().map(|text| text.as_bytes().to_vec()).collect();
            assert_eq!(list_matches(&patterns, &texts), fit, "{patterns:?} {texts:?}");
        }
    }

    /// The plain definition, which may take for ever.
    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => slow(rest, text),
            (Some((b'*', rest)), Some((_, later))) => slow(rest, text) || slow(pattern, later),
            (Some((b'?', rest)), Some((_, later))) => slow(rest, later),
            (Some((a, rest)), Some((b, later))) => a == b && slow(rest, later),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn as_the_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                slow(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
