//! `rebeam dev watch`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::apart::Apart;
use super::up::Start;
use crate::cli::Common;
use crate::dev::services::{self, RELEASE};
use crate::dev::{DevError, Place, control};
use crate::disk;
use crate::explain::Failure;
use crate::fetch::debian::Architecture;
use crate::manifest::{Manifest, Platform, Runs};
use crate::pipeline::{self, BuildOptions, Desk, Freshness};
use crate::store::Store;
use crate::terminal::{self, Mode, Reasons, Screen};

/// How often the sources are looked at, at most; a look at many files is worth more of a rest.
const LOOK_AGAIN: Duration = Duration::from_millis(300);
const RESTS: u32 = 10;
/// How long the sources have to stay as they are: an editor writes more than one file, and a checkout many.
const QUIET: Duration = Duration::from_millis(150);
/// Looks that a burst may take before what is there is built all the same.
const LOOKS_MAX: u32 = 100;

#[derive(Debug, Args)]
#[command(after_help = "\
What git ignores is no source, nor is what rebeam writes. A build that fails leaves the release that runs as it is. Where
no stack is up it is started here, and Ctrl-C ends it.

  rebeam dev watch            start the stack, and keep its release as the sources are
  rebeam dev logs -f release  beside it, in another terminal")]
pub(super) struct Watch {
    #[command(flatten)]
    start: Start,
}

impl Watch {
    pub(super) fn run(self, common: &Common, place: &Place) -> Result<u8, Failure> {
        // A wrong word is found before the first build.
        let guard = self.start.guard()?;
        let root = disk::canonical(&common.project)?;
        let screen = common.screen(Reasons::Summed);
        let store = common.open_store(&screen)?;
        let watcher = Watcher { common, root, store: &store, screen: &screen, place };
        let mut known = watcher.first()?;
        if place.is_held()? {
            let name = watcher.release(&self)?;
            watcher.deploy(&name);
            watcher.keep(&name, &mut known);
        }
        let name = watcher.release(&self)?;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                watcher.wait_up();
                watcher.keep(&name, &mut known)
            });
            let ended = self.start.serve(common, place, (&guard, &Apart::default()));
            let code = ended.unwrap_or_else(|failure| terminal::report(&failure, common.mode()));
            // The stack has ended in order; a build that runs ends with this process, and leaves nothing behind.
            std::process::exit(i32::from(code))
        })
    }
}

/// The sources as they were when they were looked at; a manifest that cannot be read is told once.
#[derive(Debug)]
struct Look {
    mark: String,
    failure: Option<Failure>,
}

struct Watcher<'a> {
    common: &'a Common,
    root: PathBuf,
    store: &'a Store,
    screen: &'a Screen,
    place: &'a Place,
}

impl Watcher<'_> {
    fn with_desk<T>(
        &self,
        work: impl FnOnce(&Desk<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let manifest = Manifest::read(&self.root)?;
        self.common.with_desk_at((&self.root, &manifest), self.store, self.screen, work)
    }

    fn look(&self) -> Look {
        match self.with_desk(pipeline::fingerprint) {
            Ok(mark) => Look { mark: mark.hex(), failure: None },
            Err(failure) => Look { mark: failure.messages().join("\n"), failure: Some(failure) },
        }
    }

    /// Looks until the sources stay as they are.
    fn settled(&self) -> Look {
        let mut last = self.look();
        for _ in 0..LOOKS_MAX {
            std::thread::sleep(QUIET);
            let now = self.look();
            if now.mark == last.mark {
                return now;
            }
            last = now;
        }
        last
    }

    /// Waits until the sources are others than `known`.
    fn changed(&self, known: &str) {
        loop {
            let begun = Instant::now();
            if self.look().mark != known {
                return;
            }
            std::thread::sleep(LOOK_AGAIN.max(begun.elapsed() * RESTS));
        }
    }

    /// Builds; what is wrong is said.
    fn build(&self, look: Look) -> Option<PathBuf> {
        let built = match look.failure {
            Some(failure) => Err(failure),
            None => self.with_desk(build),
        };
        built.map_err(|failure| terminal::report(&failure, self.common.mode())).ok()
    }

    /// Builds until there is an image, and returns the mark of the sources that were looked at last.
    fn first(&self) -> Result<String, Failure> {
        loop {
            let look = self.settled();
            let mark = look.mark.clone();
            // An image of before is better than none: it runs until the sources are mended.
            if self.build(look).is_some()
                || self.common.own_image().is_ok_and(|file| disk::exists(&file))
            {
                return Ok(mark);
            }
            terminal::talk("waiting for the sources to change");
            self.changed(&mark);
        }
    }

    /// The name of the release among the stack's services.
    fn release(&self, watch: &Watch) -> Result<String, Failure> {
        let wish = watch.start.layers.read(&self.root)?;
        let named = wish.services.iter().find(|(_, wish)| wish.runs == Runs::Release);
        let name = named.map_or(RELEASE, |(name, _)| name).to_owned();
        if !wish.dev.release && name == RELEASE {
            return Err(DevError::NoRelease.into());
        }
        if self.place.is_held()? {
            let standings = control::status(self.place)?;
            if standings.iter().all(|one| one.name != name) {
                return Err(DevError::NoRelease.into());
            }
        }
        Ok(name)
    }

    /// Waits until the stack answers: nothing is started again before it was started.
    fn wait_up(&self) {
        while !self.place.running().is_ok_and(|running| running.is_some()) {
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Keeps the release as the sources are, for ever.
    fn keep(&self, name: &str, known: &mut String) -> ! {
        loop {
            self.changed(known);
            let look = self.settled();
            known.clone_from(&look.mark);
            if self.build(look).is_some() {
                self.deploy(name);
            }
        }
    }

    /// Has the stack start the release again, where it runs from another image than the one that is built.
    fn deploy(&self, name: &str) {
        let begun = Instant::now();
        match self.restart(name) {
            Ok(true) if self.common.mode() == Mode::Json => {
                let event = serde_json::json!({ "event": "restarted", "service": name });
                terminal::data(&event.to_string());
            }
            Ok(true) => {
                let seconds = begun.elapsed().as_secs_f64();
                terminal::talk(&format!("`{name}` runs anew, ready after {seconds:.1} s"));
            }
            Ok(false) => {}
            Err(failure) => {
                terminal::report(&failure, self.common.mode());
            }
        }
    }

    fn restart(&self, name: &str) -> Result<bool, Failure> {
        let image = disk::digest(&self.common.own_image()?)?.hex();
        if services::laid_out(self.place.directory(), name)?.is_some_and(|laid| laid == image) {
            return Ok(false);
        }
        control::restart(self.place, name)?;
        Ok(true)
    }
}

/// Builds the image that the stack's release runs from: this machine's.
fn build(desk: &Desk<'_>) -> Result<PathBuf, Failure> {
    let options = BuildOptions {
        freshness: Freshness::Renewed,
        output: None,
        boot_check: true,
        cache_to: Vec::new(),
    };
    let is_own = |platform: &&Platform| platform.short() == Architecture::own().name();
    Ok(match desk.manifest.image.platforms.iter().find(is_own) {
        Some(platform) => {
            let mut built = pipeline::build_platforms(desk, &options, &[*platform])?;
            built.images.remove(0).path
        }
        None => pipeline::build(desk, &options)?.path,
    })
}
