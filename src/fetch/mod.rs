//! fetch.

pub mod debian;
