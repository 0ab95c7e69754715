//! Whole attacks, replayed from scripts.
