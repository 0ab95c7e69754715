//! `tetherd check-config` and `tetherd print-config`.
//!
//! Owns: printing. Must not own: finding problems.

use serde_json::json;

use crate::cli::args::{CheckConfig, PrintConfig};
use crate::cli::failure::Failure;
use crate::cli::{config, out};
use crate::config::rules_dir::read_rules;
use crate::config::{Config, ConfigError, certificates};
use crate::engine::policy::RuleSet;
use crate::model::exit::Exit;
use crate::model::problem::Problem;

/// Names every problem of the file and of the rules that it points to.
pub fn check(arguments: &CheckConfig) -> Result<Exit, Failure> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut warnings: Vec<Problem> = Vec::new();
    let config = match Config::load(arguments.file.as_deref()) {
        Ok(loaded) => {
            warnings.extend(loaded.warnings);
            problems.extend(certificates::problems(&loaded.config, arguments.file.as_deref()));
            loaded.config
        }
        Err(ConfigError::Problems(found)) => {
            problems.extend(found);
            Config::defaults()
        }
        Err(error) => return Err(crate::daemon::error::DaemonError::from(error).into()),
    };
    match read_rules(&config.control.rules_directory).and_then(|sources| RuleSet::compile(&sources)) {
        Ok(compiled) => warnings.extend(compiled.warnings),
        Err(found) => problems.extend(found),
    }
    let mut text = String::new();
    if arguments.json {
        text.push_str(&format!("{}\n", json!({ "problems": problems, "warnings": warnings })));
    } else {
        problems.iter().for_each(|problem| text.push_str(&format!("{problem}\n")));
        warnings.iter().for_each(|warning| text.push_str(&format!("warning: {warning}\n")));
        if problems.is_empty() {
            text.push_str("Configuration is fine.\n");
        }
    }
    out::print(&text)?;
    Ok(if problems.is_empty() { Exit::Ok } else { Exit::Config })
}

/// Prints what is in force.
pub fn print(arguments: &PrintConfig) -> Result<Exit, Failure> {
    let config = if arguments.defaults { Config::defaults() } else { config(&arguments.common)? };
    out::print(&config.print())?;
    Ok(Exit::Ok)
}
