//! What the rules do, over each database that they may be in: the same claims for SQLite and for a real PostgreSQL.

mod bench;
mod cluster;
mod semantics;
mod trouble;
mod view;
