//! Signed checkpoints.
//!
//! Owns: what a checkpoint signs, when one is due, its record. Must not own: the key (`key`).
//!
//! A checkpoint is a record like others, with an Ed25519 signature over its own number and the hash of the line before it. As
//! that line names the hash of the one before it, and so on, the signature covers all of the unbroken chain that ends there.
//! The signed text is [`statement`]; everything in it stands in the record, so that it can be checked with other tools.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::SpoolError;
use super::key::{PublicKey, Signer};
use super::link::Link;
use super::record::observation;
use super::writer::{Writer, now};
use crate::model::clock::SECOND;
use crate::model::finding::{CATEGORY_CHECKPOINT, Record, property};
use crate::sys::clock;

/// A checkpoint is due after so many records.
const RECORDS: u64 = 1000;

/// What is not yet vouched for.
#[derive(Debug, Default)]
pub(super) struct Unsigned {
    records: u64,
    /// Since when, in nanoseconds after the boot.
    since_ns: u64,
}

impl Unsigned {
    /// One more record.
    pub(super) fn add(&mut self) {
        if self.records == 0 {
            self.since_ns = clock::boot_ns();
        }
        self.records += 1;
    }

    fn is_due(&self, minutes: u64, now_ns: u64) -> bool {
        let age = now_ns.saturating_sub(self.since_ns) / SECOND / 60;
        self.records >= RECORDS || (self.records > 0 && age >= minutes)
    }
}

/// What is signed: lines of text, each ended by a newline.
pub fn statement(node: &str, boot: &str, sequence: u64, previous: &str, time: &str) -> String {
    format!(
        "tetherd checkpoint 1\nnode {node}\nboot {boot}\nsequence {sequence}\nprevious {previous}\ntime {time}\n"
    )
}

/// Whether one of the keys has signed a checkpoint.
pub(super) fn is_signed(link: &Link, keys: &[PublicKey]) -> bool {
    let Ok(signature) = STANDARD.decode(link.text(property::SIGNATURE)) else { return false };
    let (node, boot) = (link.text(property::VM_INSTANCE_NAME), link.text(property::BOOT_ID));
    let said = statement(node, boot, link.sequence(), link.previous(), link.time());
    keys.iter().any(|key| key.has_signed(said.as_bytes(), &signature))
}

impl Writer {
    /// From now on it writes checkpoints.
    pub fn sign_with(&mut self, signer: Signer) {
        self.signer = Some(signer);
    }

    /// The number of the last checkpoint of this writer; 0 for none.
    pub fn last_checkpoint(&self) -> u64 {
        self.last_checkpoint
    }

    /// Writes a checkpoint if records came after the last one.
    ///
    /// # Errors
    /// As [`Writer::append`]; the checkpoint waits with the rest.
    pub fn checkpoint(&mut self) -> Result<(), SpoolError> {
        let Some(public) = self.signer.as_ref().map(Signer::public) else { return Ok(()) };
        if self.unsigned.records == 0 || !self.pending.is_empty() {
            return Ok(());
        }
        let description = format!(
            "The chain of records up to here, {} of them since the last checkpoint, is signed with the key {}.",
            self.unsigned.records,
            public.fingerprint()
        );
        let properties = BTreeMap::from([(property::PUBLIC_KEY.to_owned(), public.to_string().into())]);
        let mut record = observation(CATEGORY_CHECKPOINT, &description, properties, now(), &self.boot_id);
        self.number(&mut record)?;
        self.last_checkpoint = record.sequence();
        self.unsigned = Unsigned::default();
        self.commit(false)
    }

    pub(super) fn checkpoint_if_due(&mut self) -> Result<(), SpoolError> {
        if self.unsigned.is_due(self.settings.checkpoint_minutes, clock::boot_ns()) {
            self.checkpoint()
        } else {
            Ok(())
        }
    }

    /// Part of numbering: the signature of a checkpoint, whose place in the chain is known now.
    pub(super) fn sign(&self, record: &mut Record) {
        let Some(signer) = self.signer.as_ref().filter(|_| record.finding.category == CATEGORY_CHECKPOINT)
        else {
            return;
        };
        let text = |key| record.text(key).unwrap_or_default();
        let (node, previous) = (text(property::VM_INSTANCE_NAME), text(property::PREVIOUS_SHA256));
        let time = &record.finding.create_time;
        let said = statement(node, &self.boot_id, record.sequence(), previous, time);
        let signature = signer.sign(said.as_bytes());
        record.finding.source_properties.insert(property::SIGNATURE.into(), signature.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_after_a_time_or_many_records() {
        let minute = 60 * SECOND;
        let due = |records, age, minutes| Unsigned { records, since_ns: 7 }.is_due(minutes, 7 + age);
        assert!(!due(0, u64::MAX - 7, 1), "nothing to sign");
        assert!(!due(1, 10 * minute - 1, 10) && due(1, 10 * minute, 10));
        assert!(!due(999, 0, 10) && due(1000, 0, 10));
    }
}
