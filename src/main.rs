//! The door: parse, run, render, leave.

use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The sandbox re-executes this binary in a fresh process under this hidden verb.
    if std::env::args_os().nth(1).is_some_and(|verb| verb == "__room") {
        rebeam::sandbox::enter();
    }
    rebeam::terminal::catch_panics();
    ExitCode::from(rebeam::cli::main(std::env::args_os()))
}
