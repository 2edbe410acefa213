//! Sandbox: what holds inside a room, shown from inside, with a static busybox as the only program.

mod bounds;
mod harness;
mod levels;
mod life;
mod walls;
