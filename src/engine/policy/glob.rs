//! Patterns with `*` and `?`.
//!
//! Owns: matching bytes in time linear in their product at worst, without recursion. `*` matches `/` too. Must not
//! own: what is matched.

/// Whether `text` is as `pattern` says: `*` any bytes, `?` one byte, everything else itself.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*` if what follows does not fit.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(b'?') => (p, t) = (p + 1, t + 1),
            Some(byte) if text.get(t) == Some(byte) => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((after, from)) = retry else { return false };
                retry = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
        }
    }
    pattern.get(p..).is_none_or(|rest| rest.iter().all(|&b| b == b'*'))
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
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
        let long = vec![b'a'; 4096];
        assert!(!matches(b"*a*a*a*a*a*a*a*b", &long));
    }

    proptest! {
        #[test]
        fn a_text_matches_itself_and_a_star(text in "[a-z/]{0,30}") {
            prop_assert!(matches(text.as_bytes(), text.as_bytes()));
            prop_assert!(matches(b"*", text.as_bytes()));
        }
    }
}
