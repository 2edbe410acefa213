//! Bars: what is under way, on a terminal. Nothing is drawn in the first 250 ms.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::event::Event;

/// Bars that are shown at once; more would push each other off a small screen.
const BARS_MAX: usize = 8;

pub(super) struct Bars {
    all: MultiProgress,
    started: Instant,
    shown: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self { all: MultiProgress::new(), started: Instant::now(), shown: Mutex::default() }
    }

    /// Prints a line above the bars.
    pub(super) fn above(&self, text: &str) {
        self.all.suspend(|| super::talk(text));
    }

    /// Draws, moves and removes bars as the facts say.
    pub(super) fn observe(&self, event: &Event<'_>) {
        match event {
            Event::FetchStarted { name, bytes } => {
                self.start(name, *bytes, &download_style(*bytes))
            }
            Event::PushStarted { name, bytes } => {
                self.start(name, Some(*bytes), &download_style(Some(*bytes)));
            }
            Event::FetchProgress { name, bytes } | Event::PushProgress { name, bytes } => {
                self.set(name, *bytes);
            }
            Event::Fetched { name, .. }
            | Event::BlobPushed { name, .. }
            | Event::StepBuilt { name, .. }
            | Event::StepReused { name, .. } => {
                self.stop(name);
            }
            Event::Loaded { .. } => self.stop("image"),
            Event::ToolchainStarted { suite, packages } => {
                self.start(suite, Some(*packages as u64), &count_style());
            }
            Event::PackageUnpacked { name } => self.step(name),
            Event::ToolchainReady { suite, .. } => self.stop(suite),
            Event::StepStarted { name } => self.start(name, None, &step_style()),
            Event::StepOutput { name, line } => self.message(name, line),
            _ => {}
        }
    }

    fn start(&self, name: &str, length: Option<u64>, style: &ProgressStyle) {
        let mut shown = self.shown.lock().expect("drawing does not panic");
        if self.started.elapsed() < Duration::from_millis(250) || shown.len() >= BARS_MAX {
            return;
        }
        let bar = length
            .map_or_else(ProgressBar::new_spinner, ProgressBar::new)
            .with_style(style.clone());
        let bar = self.all.add(bar.with_prefix(name.to_owned()));
        bar.enable_steady_tick(Duration::from_millis(120));
        shown.insert(name.to_owned(), bar);
    }

    fn with(&self, name: &str, act: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = self.shown.lock().expect("drawing does not panic").get(name) {
            act(bar);
        }
    }

    fn set(&self, name: &str, position: u64) {
        self.with(name, |bar| bar.set_position(position));
    }

    fn message(&self, name: &str, text: &str) {
        let plain: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
        self.with(name, |bar| bar.set_message(plain));
    }

    /// One package more; the toolchain's bar is the only one that counts packages.
    fn step(&self, package: &str) {
        for bar in self.shown.lock().expect("drawing does not panic").values() {
            if bar.length().is_some() {
                bar.inc(1);
                bar.set_message(package.to_owned());
            }
        }
    }

    fn stop(&self, name: &str) {
        if let Some(bar) = self.shown.lock().expect("drawing does not panic").remove(name) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is fixed").progress_chars("=> ")
}

fn download_style(bytes: Option<u64>) -> ProgressStyle {
    match bytes {
        Some(_) => style("{prefix:>24} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}"),
        None => style("{prefix:>24} {spinner} {bytes} {bytes_per_sec}"),
    }
}

fn count_style() -> ProgressStyle {
    style("{prefix:>24} [{bar:30}] {pos}/{len} packages {msg}")
}

fn step_style() -> ProgressStyle {
    style("{prefix:>24} {spinner} {elapsed} {msg}")
}
