//! Sandbox: what holds inside a room, shown from inside, with a static busybox as the only program.
#![allow(clippy::unwrap_used)]

mod bounds;
mod harness;
mod levels;
mod life;
mod speed;
mod walls;
