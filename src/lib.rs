//! tetherd finds commands whose input or output is tied to the network: reverse shells, bind shells, remote command
//! execution.
//!
//! ```text
//! kernel ── sensor ──────────► engine ───────► enrich ───────► spool ───► deliver
//!           proc connector     process table   container       durable    syslog, TLS
//!           sweep of /proc     judgement       user, digest    JSON       (cursor each)
//!           + first look       incidents       node            lines
//! ```
//!
//! Modules in the order in which data flows; imports run the other way only:
//! `cli -> daemon -> {sensor, engine, enrich, spool, deliver, config, stats} -> host -> sys -> model`.

pub mod model;

pub mod sys;

pub mod host;

pub mod sensor;

pub mod engine;

pub mod enrich;

pub mod spool;

pub mod deliver;

pub mod config;

pub mod stats;

pub mod cli;
pub mod daemon;
