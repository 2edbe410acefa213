//! rebeam: locks, builds and packs Erlang and Elixir projects into small, reproducible images.
//!
//! The order of the `pub mod` lines below is the law of this house: a room imports only from rooms
//! above it (`tests/house.rs` reads this file and fails on a breach). Data runs down the list: each
//! stage takes the nouns of the stages before it and makes the next.

// -- ground: nouns and doors to the world --
pub mod limits;
pub mod explain;
pub mod digest;
pub mod event;
pub mod each;
pub mod disk;
pub mod database;
pub mod tree;
pub mod archive;
pub mod http;
pub mod terms;
pub mod version;
// -- the flow --
pub mod manifest;
pub mod lock;
pub mod store;
pub mod project;
pub mod fetch;
pub mod bundle;
pub mod sandbox;
pub mod toolchain;
pub mod compile;
pub mod release;
pub mod image;
pub mod evidence;
pub mod registry;
// -- beside the flow --
pub mod dev;
// -- the face --
pub mod pipeline;
pub mod terminal;
pub mod cli;
// -- beside the house: for tests --
#[doc(hidden)]
pub mod fuzz;
