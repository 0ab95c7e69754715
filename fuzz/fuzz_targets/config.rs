//! The configuration file (`config::file`).
//!
//! Holds: a file that is taken can be printed and is then taken again, with the same meaning; every problem has a place
//! in the text, and its sentence is one line that cannot move a cursor.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tetherd::config::{Config, ConfigError, file};

fn meaning(mut config: Config) -> Config {
    config.origins.clear();
    config
}

fuzz_target!(|text: &str| {
    let path = Path::new("tetherd.toml");
    match file::parse(path, text) {
        Ok(loaded) => {
            let printed = loaded.config.print();
            let again = file::parse(path, &printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
            assert_eq!(meaning(again.config), meaning(loaded.config), "{printed}");
        }
        Err(ConfigError::Problems(problems)) => {
            assert!(!problems.is_empty() && problems.len() <= 101);
            let lines: Vec<&str> = text.split('\n').collect();
            for problem in problems {
                assert!(problem.line <= lines.len());
                if let Some(line) = problem.line.checked_sub(1).and_then(|at| lines.get(at)) {
                    assert!(problem.column <= line.chars().count() + 1, "{problem}");
                }
                assert!(!problem.to_string().contains(char::is_control), "{:?}", problem.to_string());
            }
        }
        Err(error) => panic!("{error}"),
    }
});
