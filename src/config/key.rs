//! An entry of the table of keys.
//!
//! Owns: its form, and short ways of writing one. Must not own: which there are (`keys`).

use crate::config::Config;
use crate::config::values::Value;

/// One key.
pub struct Key {
    /// Table and name.
    pub path: &'static str,
    /// What it means, in one line.
    pub doc: &'static str,
    /// What it wants, for messages.
    pub wants: &'static str,
    /// Sets it, or says what is wrong with the value.
    pub set: fn(&mut Config, Value) -> Result<(), String>,
    /// Shows it as TOML.
    pub show: fn(&Config) -> String,
}

impl Key {
    /// The table it is in.
    pub fn table(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(table, _)| table)
    }

    /// Its name in the table.
    pub fn name(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, name)| name)
    }
}

macro_rules! key {
    ($path:literal, $doc:literal, $wants:literal, $read:expr, $show:expr, $($field:ident).+) => {
        $crate::config::key::Key {
            path: $path,
            doc: $doc,
            wants: $wants,
            set: |config, value| {
                config.$($field).+ = $read(value)?;
                Ok(())
            },
            show: |config| $show(&config.$($field).+),
        }
    };
}

macro_rules! number {
    ($range:expr, $as:ty) => {
        |value| within(number(value)?, $range).and_then(|n| <$as>::try_from(n).map_err(|e| e.to_string()))
    };
}

macro_rules! bytes {
    ($range:expr, $as:ty) => {
        |value| within(size(value)?, $range).and_then(|n| <$as>::try_from(n).map_err(|e| e.to_string()))
    };
}

pub(super) use {bytes, key, number};
