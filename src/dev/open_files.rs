//! Open files: each client is one, and what a shell allows is often a thousand.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are asked for: every connection that the limits allow, and some more.
const WANTED: u64 = 1 << 17;

/// Lets this process have as many open files as its limits can be raised to.
pub fn allow_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let most = maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if current.is_some_and(|current| current < most) {
        // With fewer, the last clients wait to be let in.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum });
    }
}
