//! The durable record of everything found: append-only segments of JSON lines.
//!
//! Owns: the files of the spool directory: `findings-<first sequence>.jsonl`, `lock`, `sequence`, `active`, `cursor.<name>`;
//! numbering, chaining and signing records, durability, recovery, making room, reading back, verifying. Must not own: what a
//! finding says (`enrich`), where it goes afterwards (`deliver`), counting losses (the caller, from what is returned).
//! Talks to: nobody; imports only `model`.
//!
//! # Format
//!
//! A segment is a file of lines, each one [`Record`](crate::model::finding::Record) as JSON, ended by a newline, at most
//! [`LINE_MAX`](crate::model::finding::LINE_MAX) bytes and at least 1,024 long without it (forwarders tell files apart
//! by their first 1,024 bytes; shorter records are padded by the property `Padding`). Segments are named once, by the
//! `Sequence` of their first record, and are only ever appended to or unlinked whole, never renamed or truncated.
//! Each record carries the SHA-256 of the line before it, also over segments and restarts. A line that is not whole
//! is the last of its segment: the writer never goes on behind it.
//!
//! A record exists once [`Writer::append`](writer::Writer::append) has returned: `fdatasync` is behind it. Where
//! writing failed, the same bytes are written again into a new segment, so a line may stand twice; readers give it
//! once. Numbers grow; after a crash of the machine some stay unused, and the unbroken chain shows that nothing is
//! missing there.

mod active;
mod age;
pub mod checkpoint;
pub mod cursor;
mod directory;
pub mod ending;
pub mod error;
pub mod key;
pub mod level;
mod lines;
mod link;
mod lock;
pub mod reader;
pub mod record;
mod recover;
mod reserve;
mod room;
mod salvage;
pub mod segment;
mod segments;
mod sequence;
pub mod settings;
mod shorten;
pub mod summary;
mod tend;
pub mod verify;
pub mod writer;
