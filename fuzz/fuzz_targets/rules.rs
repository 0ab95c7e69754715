//! Allow rules (`engine::policy`).
//!
//! Holds: rules compile whole or not at all; every problem has a place in the text, and its sentence is one line that
//! cannot move a cursor; a pattern matches itself where it holds no wildcard.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherd::engine::policy::{RuleSet, Source, glob};

fuzz_target!(|text: &str| {
    let shipped = RuleSet::shipped().len();
    assert!(shipped > 0);
    let problems = match RuleSet::compile(&[Source::new("50-rule.toml", text)]) {
        Ok(compiled) => {
            assert!(!compiled.rules.is_empty());
            compiled.warnings
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            problems
        }
    };
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in problems {
        assert!(problem.line <= lines.len());
        if let Some(line) = problem.line.checked_sub(1).and_then(|at| lines.get(at)) {
            assert!(problem.column <= line.chars().count() + 1, "{problem}");
        }
        assert!(!problem.to_string().contains(char::is_control), "{:?}", problem.to_string());
    }

    if let Some((pattern, subject)) = text.split_once('\n') {
        let (pattern, subject) = (pattern.as_bytes(), subject.as_bytes());
        if !pattern.contains(&b'*') && !pattern.contains(&b'?') {
            assert_eq!(glob::matches(pattern, subject), pattern == subject);
        }
        if glob::matches(pattern, subject) {
            assert!(glob::matches(&[b"*", pattern].concat(), &[b"x", subject].concat()));
            assert!(glob::matches(&[pattern, b"*"].concat(), &[subject, b"y"].concat()));
        }
    }
});
