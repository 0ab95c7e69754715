//! The words of the program as types.
//!
//! Owns: plain data that more than one stage speaks of, and the rules that hold for it wherever it is (what a
//! network socket is, how a peer's scope is named, how hostile text is shown). Must not own: I/O, clocks, policy.
//! Talks to: nobody; everything else imports from here.

pub mod clock;
pub mod contained;
pub mod detection;
pub mod earlier;
pub mod event;
pub mod exit;
pub mod finding;
pub mod ids;
pub mod lineage;
pub mod look;
pub mod loss;
pub mod problem;
pub mod recognised;
pub mod relay;
pub mod socket;
pub mod stdio;
pub mod text;
