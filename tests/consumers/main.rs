//! Consumers: the image file in the programs that load images, each with a store of its own.
//!
//! Each that is installed is tried; with `REBEAM_CONSUMERS=all` a missing one fails. A loader skips what its
//! store already holds, so nothing is shared between them. All need root except skopeo and umoci.

// Clippy knows tests by their attribute alone; what they share in this file is test code too.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod engines;
mod evidence;
mod files;
mod registries;
mod world;
