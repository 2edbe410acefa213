//! The verbs, as a user calls them: real sources, a real toolchain, the real sandbox.
//!
//! Each test has its own project, home and repositories. The store is shared among them where a test does not ask for
//! its own, because a toolchain is half a gigabyte; it is content-addressed, so tests cannot disturb each other in it.

#![allow(clippy::unwrap_used, reason = "this is a test from end to end")]

mod bad_input;
mod base;
mod broker;
mod build;
mod cache;
mod carry;
mod closure;
#[allow(dead_code, reason = "the room's own tests use the rest")]
#[path = "../../src/dev/access/tests/cluster.rs"]
mod cluster;
mod dev;
mod dev_events;
mod dev_first_user;
mod dev_faults;
mod dev_acl;
mod dev_listen;
mod dev_patience;
mod dev_profiles;
mod dev_pub_sub;
mod dev_things;
mod dev_services;
mod dev_watch;
mod diff;
mod erlang_mk;
mod erlang_mk_methods;
mod evidence;
mod explain;
mod harness;
mod hex;
mod init;
mod json;
mod large;
mod life;
mod lock;
mod mix;
mod mqtt;
mod native;
mod overrides;
mod platform;
mod pool;
mod push;
mod rebar3;
mod reltool;
mod streams;
mod texts;
mod tools;
mod verify;
