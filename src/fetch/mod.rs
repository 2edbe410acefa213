//! Fetch: makes every source of a lock present, by content.

pub mod git;
