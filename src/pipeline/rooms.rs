//! Rooms: the commands that run beside a build: the boot check, `rebeam run`, `rebeam shell`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Desk;
use super::lock::LockFailure;
use super::ports::{self, Port};
use crate::compile::{self, Compiled};
use crate::disk;
use crate::event::Event;
use crate::explain::{Explain, Failure, quoted};
use crate::fetch::debian::Architecture;
use crate::image;
use crate::lock::Lock;
use crate::manifest;
use crate::release::{self, BootVerdict, BootWatch, Release};
use crate::sandbox::{self, Access, Level, Mount, Room, Status};
use crate::store::{BuildKey, Record, Store};
use crate::toolchain::{self, Toolchain};

/// Seconds that a release may take to start and stop, where the manifest does not say.
const BOOT_TIMEOUT_S: u64 = 30;

/// The release did not pass the boot check.
#[derive(Debug, Error)]
pub enum BootFailure {
    /// It did not start.
    #[error("the release does not start from the image's files: {how}{}", last_words(lines))]
    DidNotStart {
        /// How it ended.
        how: String,
        /// What it said last.
        lines: Vec<String>,
    },
    /// It started and did not stop on SIGTERM.
    #[error("the release starts, but does not stop in order on SIGTERM: {how}")]
    DidNotStop {
        /// How it ended.
        how: String,
    },
    /// It started, and what it is checked by failed.
    #[error("the release starts, but its smoke check fails{}{}", how.as_ref().map(|how| format!(": {how}")).unwrap_or_default(), last_words(lines))]
    CheckFailed {
        /// What was the matter, if more than its words tell.
        how: Option<String>,
        /// What it said.
        lines: Vec<String>,
    },
}

impl Explain for BootFailure {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::DidNotStart { lines, .. } if says(lines, &["application_terminated,os_mon", "disksup"]) => {
                "os_mon looks at the disks by the command `df`: `shell = \"busybox\"` in `[image]` brings one; \
                 or let `sys.config` say `{os_mon, [{start_disksup, false}]}`"
            }
            Self::DidNotStart { lines, .. } if says(lines, &["nodistribution", "register/listen error: econnrefused"]) => {
                "epmd did not listen yet when the node wanted its name from it: `epmd = true` in `[image]` starts it \
                 before the entry point and waits for it"
            }
            Self::DidNotStart { lines, .. } if says(lines, &["erofs", "eacces", "ead-only file system"]) => {
                "name the directories that it writes to by `volumes` in `[image]`"
            }
            Self::DidNotStart { how, lines } if lines.is_empty() && how.contains("exit code") => {
                "a start script has swallowed what one of its commands said; where that names a node, `epmd = true` in \
                 `[image]` starts epmd before and waits for it; `rebeam build --no-boot-check`, then `rebeam run`, starts it again"
            }
            Self::DidNotStart { .. } => {
                "what it needs is not there in the check: settings (`env` in `[image]`, or a file of the release's own), \
                 a service (give it time with `[release] boot-timeout`); or build with `--no-boot-check`, and give it \
                 what it lacks by `rebeam run --env` and `--volume`"
            }
            Self::CheckFailed { .. } => {
                "`smoke` and `smoke-eval` in `[release]` say what is checked; `rebeam build --no-boot-check`, then `rebeam run`, \
                 starts it for a look"
            }
            Self::DidNotStop { .. } => "container runtimes kill what does not stop; look at the shutdown times of its supervisors",
        }.into())
    }
}

/// What stands behind how a release ended.
fn last_words(lines: &[String]) -> String {
    match lines {
        [] => ", without a word".into(),
        lines => format!("; its last words:\n{}", quoted(lines)),
    }
}

fn says(lines: &[String], words: &[&str]) -> bool {
    lines.iter().any(|line| words.iter().any(|word| line.contains(word)))
}

/// By what a release for another machine is started here.
pub(super) struct Emulation<'a> {
    /// The emulator, a static program.
    pub(super) program: &'a Path,
    /// busybox for this machine, a static program.
    pub(super) shell: &'a Path,
    /// What decides how the release starts beside what always does: native code and emulator.
    pub(super) made_of: String,
}

/// How much more time an emulated release may take.
const EMULATED_SLOWNESS: u64 = 10;

/// An image cannot be started here.
#[derive(Debug, Error)]
pub enum RunFailure {
    /// It is for another machine.
    #[error("`{}` is an image for linux/{machine}, and this machine is linux/{}", path.display(), own_machine())]
    OtherMachine {
        /// The image file.
        path: PathBuf,
        /// The machine, as images name it.
        machine: String,
    },
}

impl Explain for RunFailure {
    fn hint(&self) -> Option<String> {
        let Self::OtherMachine { .. } = self;
        Some(format!(
            "`rebeam build --platform linux/{}` makes the one for this machine; an image for another one is started once when it is built, under an emulator",
            own_machine()
        ))
    }
}

/// This machine, as images name it.
fn own_machine() -> &'static str {
    Architecture::own().name()
}

/// Starts the release from exactly the image's files, waits until the node has started, and asks it to stop.
///
/// What has passed once is not started again.
pub(super) fn boot_check(
    desk: &Desk<'_>,
    release: &Release,
    made_of: (&Toolchain, &Compiled),
    emulation: Option<&Emulation<'_>>,
) -> Result<(), Failure> {
    let key = boot_key(desk, (release, made_of), emulation)?;
    if desk.store.recall(key)?.is_some() {
        return Ok(());
    }
    let scratch = desk.store.scratch()?;
    let root = scratch.path().join("root");
    disk::create_dir(&root)?;
    release::lay_out(release, &root)?;
    let timeout_s = desk.manifest.release.boot_timeout_s.unwrap_or(BOOT_TIMEOUT_S);
    let timeout_s = if emulation.is_some() { timeout_s * EMULATED_SLOWNESS } else { timeout_s };
    let mut room =
        release::boot_room(release, &root, desk.manifest.image.user, timeout_s, desk.level);
    let wish = &desk.manifest.release;
    release::check_in(&mut room, wish.smoke_eval.as_deref(), &wish.smoke);
    if let Some(Emulation { program, shell, .. }) = emulation {
        release::emulate(release, &root, &mut room, (program, shell))?;
    }
    let mut watch = BootWatch::default();
    let outcome = sandbox::run(&room, &scratch.path().join("log"), &mut |line| watch.hear(line))?;
    for note in &outcome.notes {
        desk.observer.observe(&Event::Warned { message: note });
    }
    match watch.verdict(outcome.status) {
        BootVerdict::Started => {}
        BootVerdict::Failed { how, lines } => {
            return Err(BootFailure::DidNotStart { how, lines }.into());
        }
        BootVerdict::CheckFailed { how, lines } => {
            return Err(BootFailure::CheckFailed { how, lines }.into());
        }
        BootVerdict::DidNotStop { how } => return Err(BootFailure::DidNotStop { how }.into()),
    }
    desk.store.remember(key, &Record { inputs: String::new(), outputs: vec![] })?;
    desk.observer.observe(&Event::BootChecked { duration_ms: outcome.duration_ms });
    Ok(())
}

/// Changes with the check itself.
const BOOT_CHECK_VERSION: u32 = 2;

/// What decides how a release starts: its files, those of the toolchain that come along, and the wishes for the image.
fn boot_key(
    desk: &Desk<'_>,
    (release, (toolchain, compiled)): (&Release, (&Toolchain, &Compiled)),
    emulation: Option<&Emulation<'_>>,
) -> Result<BuildKey, Failure> {
    let manifest = disk::digest(&desk.root.join(manifest::FILE_NAME))?;
    let otp = compiled.otp.as_ref().map(|otp| format!(" {}", otp.digest())).unwrap_or_default();
    let emulated = emulation.map(|by| by.made_of.clone()).unwrap_or_default();
    // A tree of the store stands under its hash.
    let base = release.base.as_ref().and_then(|base| base.file_name());
    let base = base.map(|base| format!("base {}\n", base.to_string_lossy())).unwrap_or_default();
    Ok(BuildKey::of(&format!(
        "boot check {BOOT_CHECK_VERSION}\nrules {}\nrelease {}\ntoolchain {}{otp}\nmanifest {manifest}\nlevel {}\n{emulated}{base}",
        release::RULES,
        compiled.release.digest(),
        toolchain.root.digest(),
        desk.level.name(),
    )))
}

/// How an image is started.
#[derive(Debug, Clone, Default)]
pub struct RunWish {
    /// Arguments in place of the image's own; none for those.
    pub arguments: Vec<String>,
    /// Variables, beside the image's own.
    pub env: BTreeMap<String, String>,
    /// What of this machine is seen inside.
    pub mounts: Vec<Mount>,
    /// Ports that are seen under another number.
    pub ports: Vec<Port>,
}

/// Starts an image in the sandbox, with the host's network and the caller's terminal.
pub fn run(store: &Store, archive: &Path, level: Level, wish: &RunWish) -> Result<Ran, Failure> {
    let scratch = store.scratch()?;
    let root = scratch.path().join("root");
    disk::create_dir(&root)?;
    let machine = image::inspect(archive)?.architecture;
    if machine != own_machine() {
        return Err(RunFailure::OtherMachine { path: archive.to_owned(), machine }.into());
    }
    let image = image::unpack(archive, &root)?;
    let owned = image::owned_directories(archive, &image)?;
    let mut room = image.room(&root, &owned, level);
    if !wish.arguments.is_empty() {
        room.argv.truncate(image.entrypoint.len());
        room.argv.extend_from_slice(&wish.arguments);
    }
    room.env.extend(wish.env.clone());
    show(&mut room, &wish.mounts);
    ports::open(&wish.ports)?;
    let status = sandbox::interactive(&room)?;
    Ok(Ran { command: room.argv, status })
}

/// A release that was started and has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// What was started.
    command: Vec<String>,
    status: Status,
}

impl Ran {
    /// The exit code, as a shell would report it.
    pub fn exit_code(&self) -> u8 {
        exit_code(self.status)
    }

    /// What is to be said of its end, if it failed by itself. Start scripts often end without a word, and who waits
    /// for a port should not take that for a release that is slow. A signal came from somebody who knows of it.
    pub fn complaint(&self) -> Option<String> {
        match self.status {
            Status::Exited(0) | Status::Killed { .. } | Status::TimedOut => None,
            Status::Exited(code) => {
                Some(format!("`{}` ended with exit code {code}", self.command.join(" ")))
            }
        }
    }
}

/// What a person wants to see in a build's room, beside what is there.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Variables.
    pub env: BTreeMap<String, String>,
    /// Files and directories of this machine.
    pub mounts: Vec<Mount>,
}

impl Seen {
    fn put(&self, room: &mut Room) {
        room.env.extend(self.env.clone());
        show(room, &self.mounts);
    }
}

/// Shows more in a room; what is named takes the place of what the image would have there.
fn show(room: &mut Room, mounts: &[Mount]) {
    room.mounts.retain(|own| mounts.iter().all(|mount| mount.inside != own.inside));
    room.mounts.extend_from_slice(mounts);
}

/// Opens a shell in the room that steps run in, with a copy of the project as `/build`.
pub fn shell(desk: &Desk<'_>, command: &[String], seen: &Seen) -> Result<u8, Failure> {
    let lock = Lock::read(desk.root)?
        .ok_or_else(|| LockFailure::Missing { path: desk.root.to_owned() })?;
    let toolchain = toolchain::toolchain(&lock.toolchain, desk.store, desk.http, desk.observer)?;
    let scratch = desk.store.scratch()?;
    let build = scratch.path().join("build");
    disk::create_dir(&build)?;
    let tree = crate::project::Survey::new(desk.root)?.take(desk.store)?;
    compile::lay(desk.store, &tree, &build)?;
    let mounts = vec![Mount { host: build, inside: "/build".into(), access: Access::ReadWrite }];
    let mut room = compile::room(toolchain.root.path(), mounts, shell_command(command), desk.level);
    seen.put(&mut room);
    Ok(exit_code(sandbox::interactive(&room)?))
}

/// Opens a shell in the room of the step that failed last, as it left it.
pub fn shell_of_failed_step(
    desk: &Desk<'_>,
    command: &[String],
    seen: &Seen,
) -> Result<u8, Failure> {
    let mut room = compile::failed_room(desk.store)?;
    room.argv = shell_command(command);
    seen.put(&mut room);
    Ok(exit_code(sandbox::interactive(&room)?))
}

fn shell_command(command: &[String]) -> Vec<String> {
    if command.is_empty() { vec!["/bin/bash".into(), "--norc".into()] } else { command.to_vec() }
}

fn exit_code(status: Status) -> u8 {
    match status {
        Status::Exited(code) => u8::try_from(code).unwrap_or(1),
        // What a shell reports of a killed command.
        Status::Killed { signal } => u8::try_from(128 + signal).unwrap_or(255),
        Status::TimedOut => 124,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_that_fails_without_a_word_is_reported_and_a_stopped_one_is_not() {
        let ran = |status| Ran { command: vec!["/app/bin/x".into(), "foreground".into()], status };
        let failed = ran(Status::Exited(127));
        assert_eq!(failed.exit_code(), 127);
        assert_eq!(
            failed.complaint().as_deref(),
            Some("`/app/bin/x foreground` ended with exit code 127")
        );
        assert_eq!(ran(Status::Exited(0)).complaint(), None);
        assert_eq!(ran(Status::Killed { signal: 15 }).complaint(), None);
        assert_eq!(ran(Status::Killed { signal: 15 }).exit_code(), 143);
    }

    #[test]
    fn the_last_words_of_a_release_lead_to_the_next_step() {
        let failure = |lines: &[&str]| BootFailure::DidNotStart {
            how: "it ended with exit code 127".into(),
            lines: lines.iter().map(ToString::to_string).collect(),
        };
        let hint = |line: &str| failure(&[line]).hint().unwrap();
        assert!(
            hint("Kernel pid terminated ({application_terminated,os_mon,shutdown})")
                .contains("`df`")
        );
        assert!(hint("{open_failed,\"/app/logs/x.log\",erofs}").contains("`volumes`"));
        assert!(hint("econnrefused").contains("boot-timeout"));
        assert!(hint("{'EXIT',nodistribution}").contains("`epmd = true`"));
        let wordless = failure(&[]);
        assert!(wordless.to_string().ends_with(": it ended with exit code 127, without a word"));
        assert!(wordless.hint().unwrap().contains("swallowed"));
    }
}
