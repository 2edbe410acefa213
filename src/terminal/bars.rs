//! Bars: what is under way, on a terminal. Nothing is drawn in the first 250 ms.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::Event;

/// Bars that are shown at once; more would push each other off a small screen.
const BARS_MAX: usize = 8;

/// What is over sooner is not drawn at all.
const QUIET: Duration = Duration::from_millis(250);

pub(super) struct Bars {
    all: MultiProgress,
    started: Instant,
    /// What is under way, drawn or not yet.
    shown: Arc<Mutex<BTreeMap<String, ProgressBar>>>,
    waits: Once,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self::on(MultiProgress::new())
    }

    fn on(all: MultiProgress) -> Self {
        Self { all, started: Instant::now(), shown: Arc::default(), waits: Once::new() }
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
        if shown.len() >= BARS_MAX {
            return;
        }
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden())
            .with_style(style.clone())
            .with_prefix(name.to_owned());
        match QUIET.checked_sub(self.started.elapsed()) {
            Some(rest) => self.waits.call_once(|| self.draw_after(rest)),
            None => draw(&self.all, &bar),
        }
        shown.insert(name.to_owned(), bar);
    }

    /// Draws what is still under way by then: a long step may be the first thing that happens, and the only one.
    fn draw_after(&self, rest: Duration) {
        let (all, shown) = (self.all.clone(), Arc::clone(&self.shown));
        std::thread::spawn(move || {
            std::thread::sleep(rest);
            for bar in shown.lock().expect("drawing does not panic").values() {
                if bar.is_hidden() {
                    draw(&all, bar);
                }
            }
        });
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

fn draw(all: &MultiProgress, bar: &ProgressBar) {
    all.add(bar.clone()).enable_steady_tick(Duration::from_millis(120));
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

#[cfg(test)]
mod tests {
    use std::io;

    use indicatif::TermLike;

    use super::*;

    /// A terminal that only remembers what was written.
    #[derive(Debug, Clone, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl Paper {
        fn has(&self, word: &str) -> bool {
            self.0.lock().unwrap().contains(word)
        }
    }

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_step_that_begins_at_once_is_drawn_if_it_takes_long_and_not_if_it_does_not() {
        let paper = Paper::default();
        let target = ProgressDrawTarget::term_like(Box::new(paper.clone()));
        let bars = Bars::on(MultiProgress::with_draw_target(target));
        bars.observe(&Event::StepStarted { name: "short" });
        bars.observe(&Event::StepStarted { name: "long" });
        bars.stop("short");
        let begun = Instant::now();
        while !paper.has("long") && begun.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(paper.has("long") && !paper.has("short"));
        bars.stop("long");
    }
}
