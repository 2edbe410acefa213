//! CLI: arguments become options, verbs become calls; the only room that knows clap, the environment and the clock.

mod audit;
mod build;
mod bundle;
mod contract;
mod desk;
mod dev;
mod diff;
mod doctor;
mod explain;
mod hash;
mod help;
mod image;
mod init;
mod key;
mod lock;
mod known;
mod nix;
mod outdated;
mod outside;
mod pull;
mod push;
mod run;
mod sbom;
mod shell;
mod signed;
mod size;
mod store;
mod texts;
mod toolchain;
mod tree;
mod update;
mod vendor;
mod verify;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Arg, Args, Command, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::explain::Failure;
use crate::sandbox;
use crate::terminal::{self, Mode};

/// Lock, build and pack an Erlang project into a small, reproducible image
#[derive(Debug, Parser)]
#[command(name = "rebeam", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "\
Start in a project:
  rebeam init     look at it and write rebeam.toml
  rebeam lock     pin every source and tool in rebeam.lock
  rebeam build    make NAME-VERSION.tar; `docker load -i` takes it

Exit: 0 done, 1 your input or your build, 2 usage, 3 the world (network, disk, kernel), 70 our bug")]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

/// What every verb takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "For every verb")]
struct Common {
    /// Work in this project instead of the current directory
    #[arg(
        short = 'C',
        long,
        global = true,
        value_name = "DIR",
        default_value = ".",
        hide_default_value = true
    )]
    project: PathBuf,
    /// Keep sources and results here [default: the user's cache directory]
    #[arg(long, global = true, value_name = "DIR", env = "REBEAM_STORE")]
    store: Option<PathBuf>,
    /// Touch no network; what is missing is an error
    #[arg(long, global = true)]
    offline: bool,
    /// Close build rooms this strongly; a weaker level is never chosen for you
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "LEVEL",
        default_value = "userns",
        env = "REBEAM_SANDBOX"
    )]
    sandbox: Level,
    /// Do at most this many things at once [default: the number of cores]
    #[arg(short, long, global = true, value_name = "N")]
    jobs: Option<usize>,
    /// Print facts as JSON, one object a line
    #[arg(long, global = true, conflicts_with = "quiet")]
    json: bool,
    /// Print nothing but errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Show what build steps print while they run
    #[arg(short, long, global = true)]
    verbose: bool,
}

impl Common {
    fn mode(&self) -> Mode {
        match (self.json, self.quiet) {
            (true, _) => Mode::Json,
            (_, true) => Mode::Quiet,
            _ => Mode::People,
        }
    }
}

/// How strongly a build room is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Unprivileged namespaces
    Userns,
    /// Namespaces without a user namespace; needs root
    Root,
    /// A chroot with a system call filter, where namespaces are forbidden; needs root
    Chroot,
}

impl From<Level> for sandbox::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Userns => Self::Userns,
            Level::Root => Self::Root,
            Level::Chroot => Self::Chroot,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Look at the project and write a commented rebeam.toml
    Init(init::Init),
    /// Pin every source and tool by commit and content hash in rebeam.lock
    Lock(lock::Lock),
    /// Pin sources or the toolchain anew
    Update(update::Update),
    /// Change the Debian packages of the toolchain
    Toolchain(toolchain::Toolchain),
    /// Compare what is locked with what its origins have today
    Outdated(outdated::Outdated),
    /// Look for retired releases and security advisories in what is locked
    Audit(audit::Audit),
    /// Lay every locked source out as a directory
    Vendor(vendor::Vendor),
    /// Take everything that a build needs to a machine without a network
    Bundle(bundle::Bundle),
    /// Draw the locked closure as a tree
    Tree(tree::Tree),
    /// Say by which ways an application came into the lock
    Why(tree::Why),
    /// Build the release and write it as an image file
    Build(build::Build),
    /// Build an image once more from the lock in it and say whether it comes out the same, or check who signed it
    Verify(verify::Verify),
    /// Say what differs between two images or files, and why
    Diff(diff::Diff),
    /// Say which dependency, commit, package or step put a file or digest where it is
    Explain(explain::Explain),
    /// Start the built image's files in the sandbox, without Docker
    Run(run::Run),
    /// Push the image to a registry
    Push(push::Push),
    /// Say what is in an image and how it was made: SPDX, CycloneDX, SLSA provenance
    Sbom(sbom::Sbom),
    /// Make a pair of keys, and sign files
    Key(key::Key),
    /// Look into an image file, or load it into a container engine
    Image(image::Image),
    /// Open a shell in the build's room
    Shell(shell::Shell),
    /// Print the content hash of a directory, a file or a git commit
    Hash(hash::Hash),
    /// Look after the store
    Store(store::Store),
    /// Check what this machine allows, and name what mends it
    Doctor(doctor::Doctor),
    /// Run the stack that a release talks to on one's desk
    Dev(dev::Dev),
    /// Print a completion script
    Completions(texts::Completions),
    /// Print the manual page, or write one for every verb into a directory
    Man(texts::Man),
    /// Print the JSON schema of rebeam.toml
    Schema(texts::Schema),
}

/// Reads the arguments, does what they say and returns the exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let mut command = set(help::command());
    let read = command.try_get_matches_from_mut(arguments);
    let read = read.and_then(|read| Cli::from_arg_matches(&read));
    let cli = match read.map_err(|error| error.format(&mut command)) {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come here too, with code 0.
            drop(error.print());
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    if cli.common.mode() == Mode::Quiet {
        terminal::hush();
    }
    match cli.verb.run(&cli.common) {
        Ok(code) => code,
        Err(failure) => terminal::report(&failure, cli.common.mode()),
    }
}

/// Takes an empty variable for one that is not set, as shells' scripts mean it.
fn set(command: Command) -> Command {
    let is_empty =
        |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let args = |arg: Arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg };
    command.mut_args(args).mut_subcommands(set)
}

impl Verb {
    fn run(self, common: &Common) -> Result<u8, Failure> {
        match self {
            Self::Init(verb) => verb.run(common),
            Self::Lock(verb) => verb.run(common),
            Self::Update(verb) => verb.run(common),
            Self::Toolchain(verb) => verb.run(common),
            Self::Outdated(verb) => verb.run(common),
            Self::Audit(verb) => verb.run(common),
            Self::Vendor(verb) => verb.run(common),
            Self::Bundle(verb) => verb.run(common),
            Self::Tree(verb) => verb.run(common),
            Self::Why(verb) => verb.run(common),
            Self::Build(verb) => verb.run(common),
            Self::Verify(verb) => verb.run(common),
            Self::Diff(verb) => verb.run(common),
            Self::Explain(verb) => verb.run(common),
            Self::Run(verb) => verb.run(common),
            Self::Push(verb) => verb.run(common),
            Self::Sbom(verb) => verb.run(common),
            Self::Key(verb) => verb.run(common),
            Self::Image(verb) => verb.run(common),
            Self::Shell(verb) => verb.run(common),
            Self::Hash(verb) => verb.run(common),
            Self::Store(verb) => verb.run(common),
            Self::Dev(verb) => verb.run(common),
            Self::Doctor(verb) => verb.run(common),
            Self::Completions(verb) => verb.run(help::command()),
            Self::Man(verb) => verb.run(help::command()),
            Self::Schema(verb) => verb.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_declared_without_contradiction() {
        help::command().debug_assert();
    }
}
