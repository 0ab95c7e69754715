//! The files that destinations over TLS name.
//!
//! Owns: naming every problem with them, at the key that names the file. Must not own: reading them (`deliver::tls`).
//!
//! They are no part of reading the configuration: who may not read a key may ask for the status all the same, and a certificate
//! that is missing is no reason to stop looking for shells. The daemon reads them whenever it connects and they have changed.

use std::path::Path;

use crate::config::destinations::TABLE;
use crate::config::{Config, file_or_default};
use crate::deliver::settings::Transport;
use crate::deliver::tls::files;
use crate::model::problem::Problem;

/// Every problem with the files of destinations that are switched on. `file`: the configuration; `None`: the default one.
pub fn problems(config: &Config, file: Option<&Path>) -> Vec<Problem> {
    let blocks = config.deliver.iter().filter(|block| block.destination.enabled);
    let mut found = Vec::new();
    for block in blocks.filter(|block| block.destination.transport() == Transport::Tls) {
        for unfit in files::load(&block.destination.tls).err().into_iter().flatten() {
            let place = block.places.get(unfit.key).or_else(|| block.places.get(""));
            let (line, column) = place.copied().unwrap_or_default();
            found.push(Problem {
                file: file_or_default(file).to_owned(),
                line,
                column,
                key: format!("{TABLE}.{}", unfit.key),
                what: unfit.what,
                consequence: format!("until then nothing is sent to {}", block.destination.name),
                remedy: unfit.remedy,
            });
        }
    }
    found
}
