//! A process's environment, as much of it as may be shown.
//!
//! Owns: values of the variables that are allowed, names of the rest. Must not own: reading it. A value can be a password,
//! so nothing that is not on the list is shown; what does not look like a name is counted and not shown either.

use std::collections::BTreeMap;

use crate::model::text::{cut, lossy};

/// The longest value, in bytes.
const VALUE_MAX: usize = 256;
/// The longest name, in bytes.
const NAME_MAX: usize = 64;

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Of variables that are allowed, at most 256 bytes each.
    pub values: BTreeMap<String, String>,
    /// Of the rest.
    pub names: Vec<String>,
    /// How many more variables were read.
    pub more: usize,
    /// There was more than is read.
    pub truncated: bool,
}

/// Reads `environ` (proc_pid_environ(5)): what execve(2) was given, unless the process has written over it.
pub fn parse(text: &[u8], truncated: bool, allowed: &[String], names_max: usize) -> Environment {
    let mut shown = Environment { truncated, ..Environment::default() };
    for entry in text.split(|&b| b == 0).filter(|entry| !entry.is_empty()) {
        let at = entry.iter().position(|&b| b == b'=');
        let Some((name, value)) = at.and_then(|at| Some((name(entry.get(..at)?)?, entry.get(at + 1..)?)))
        else {
            shown.more += 1;
            continue;
        };
        if allowed.iter().any(|one| one == name) {
            let value = value.get(..VALUE_MAX).unwrap_or(value);
            let value = cut(&lossy(value).0, VALUE_MAX).to_owned();
            shown.values.entry(name.to_owned()).or_insert(value);
        } else if shown.names.len() < names_max {
            shown.names.push(name.to_owned());
        } else {
            shown.more += 1;
        }
    }
    shown
}

fn name(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let fits = (1..=NAME_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        && !text.starts_with(|c: char| c.is_ascii_digit());
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_by_the_list_only() {
        let allowed = vec!["SSH_CLIENT".to_owned()];
        let text = b"SSH_CLIENT=192.0.2.1 5 22\0TOKEN=hunter2\0hunter2\0=x\0a b=hunter2\0PATH=/bin\0SSH_CLIENT=again\0";
        let shown = parse(text, false, &allowed, 8);
        assert_eq!(shown.values.get("SSH_CLIENT").map(String::as_str), Some("192.0.2.1 5 22"));
        assert_eq!((shown.names.clone(), shown.more), (vec!["TOKEN".to_owned(), "PATH".to_owned()], 3));
        assert!(!format!("{shown:?}").contains("hunter2"));
        let none = parse(text, true, &[], 1);
        assert_eq!((none.values.len(), none.names.len(), none.truncated), (0, 1, true));
        let long = [b"SSH_CLIENT=".to_vec(), vec![0xff; 9000]].concat();
        assert!(parse(&long, false, &allowed, 1).values["SSH_CLIENT"].len() <= VALUE_MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_are_bounded(text in proptest::collection::vec(any::<u8>(), 0..600), most in 0usize..4) {
            let shown = parse(&text, false, &["A".to_owned()], most);
            prop_assert!(shown.names.len() <= most && shown.values.len() <= 1);
        }
    }
}
