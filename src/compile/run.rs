//! Run: does a plan's steps, as many at once as the graph and the cores allow.
//!
//! A step's key is known when its inputs are, so the outputs' digests run down the graph: a dependency that
//! was built again to the same bytes does not make those above it run again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use super::plan::Plan;
use super::step::{Content, Step, StepKind, key_of};
use super::tools::wants_debians_rebar3;
use super::vary::Variation;
use super::{CompileError, order, reason, zips};
use crate::digest::Digest;
use crate::disk::{self, Kind};
use crate::event::{Event, Observer};
use crate::limits::{STEP_DISK_BYTES_MIN, STEP_MEMORY_BYTES_MAX, STEP_WALL_S_MAX};
use crate::sandbox::{self, Access, Bounds, Level, Mount, Reply, Room, Status};
use crate::store::{BuildKey, HeldTree, Record, Store};
use crate::toolchain::Toolchain;
use crate::tree::{self, Placement};

/// Where steps are done.
pub struct Workshop<'a> {
    /// Where sources come from and outputs go.
    pub store: &'a Store,
    /// The root that steps see.
    pub toolchain: &'a Toolchain,
    /// How strongly the room is closed.
    pub level: Level,
    /// Steps at once.
    pub jobs: usize,
    /// Who hears of it.
    pub observer: &'a dyn Observer,
    /// What of the rooms is not as the recipe says, for a build that is to prove that it does not matter.
    pub variation: Option<&'a Variation>,
}

/// All outputs of a plan stand in the store.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The release directory as the project's own tool made it.
    pub release: HeldTree,
    /// The OTP that was built from source; it stands in the place of the toolchain's.
    pub otp: Option<HeldTree>,
    /// The outputs of all steps, in the plan's order.
    pub outputs: Vec<HeldTree>,
    /// The steps' keys, in the plan's order.
    pub keys: Vec<BuildKey>,
    /// Steps whose outputs were in the store.
    pub reused: usize,
    /// Steps that ran.
    pub built: usize,
}

/// Does every step of `plan` whose inputs are new, and returns all outputs.
pub fn compile(plan: &Plan, workshop: &Workshop<'_>) -> Result<Compiled, CompileError> {
    if plan.steps.iter().any(wants_debians_rebar3)
        && !disk::exists(&workshop.toolchain.root.path().join("usr/bin/rebar3"))
    {
        return Err(CompileError::NoRebar3);
    }
    let board = Board {
        work: Mutex::new(Work {
            waiting: (0..plan.steps.len()).collect(),
            outputs: vec![None; plan.steps.len()],
            keys: vec![None; plan.steps.len()],
            running: 0,
            built: 0,
            failure: None,
        }),
        news: Condvar::new(),
        urgency: order::urgency(plan, |digest| source_bytes(workshop.store, digest)),
    };
    std::thread::scope(|scope| {
        for _ in 0..workshop.jobs.clamp(1, plan.steps.len()) {
            scope.spawn(|| board.labour(plan, workshop));
        }
    });
    let work = board.work.into_inner().expect("no worker panics while it holds the board");
    if let Some(failure) = work.failure {
        return Err(failure);
    }
    let outputs: Vec<HeldTree> = work
        .outputs
        .into_iter()
        .map(|output| output.expect("without a failure every step is done"))
        .collect();
    let release = outputs.last().expect("a plan ends with the release").clone();
    Ok(Compiled {
        otp: plan.otp.map(|step| outputs[step].clone()),
        release,
        keys: work.keys.into_iter().flatten().collect(),
        reused: outputs.len() - work.built,
        outputs,
        built: work.built,
    })
}

/// The size of a source's files; nothing where it is not known, for it decides only an order.
fn source_bytes(store: &Store, digest: Digest) -> u64 {
    let held = store.tree(digest).ok().flatten();
    let listing = held.and_then(|held| store.listing(&held).ok());
    listing.map_or(0, |listing| listing.bytes())
}

/// What the workers share.
struct Board {
    work: Mutex<Work>,
    news: Condvar,
    /// The ready step with the highest is taken first.
    urgency: Vec<u64>,
}

struct Work {
    waiting: BTreeSet<usize>,
    outputs: Vec<Option<HeldTree>>,
    keys: Vec<Option<BuildKey>>,
    running: usize,
    built: usize,
    failure: Option<CompileError>,
}

impl Board {
    /// Takes ready steps until none is left or one has failed.
    fn labour(&self, plan: &Plan, workshop: &Workshop<'_>) {
        let mut work = self.work.lock().expect("no worker panics while it holds the board");
        loop {
            if work.failure.is_some() || work.waiting.is_empty() {
                return;
            }
            let ready =
                |index: &usize| plan.steps[*index].needs().all(|need| work.outputs[need].is_some());
            let waiting = work.waiting.iter().copied().filter(ready);
            let Some(index) = waiting.max_by_key(|index| self.urgency[*index]) else {
                work = self.news.wait(work).expect("no worker panics while it holds the board");
                continue;
            };
            work.waiting.remove(&index);
            work.running += 1;
            let outputs = work.outputs.clone();
            drop(work);
            let done = attend(&plan.steps[index], &outputs, workshop);
            work = self.work.lock().expect("no worker panics while it holds the board");
            work.running -= 1;
            match done {
                Ok((output, key, built)) => {
                    work.outputs[index] = Some(output);
                    work.keys[index] = Some(key);
                    work.built += usize::from(built);
                }
                Err(failure) => work.failure = work.failure.take().or(Some(failure)),
            }
            self.news.notify_all();
        }
    }
}

/// Takes the step's output from the store, or runs it; tells whether it ran.
pub(super) fn attend(
    step: &Step,
    outputs: &[Option<HeldTree>],
    workshop: &Workshop<'_>,
) -> Result<(HeldTree, BuildKey, bool), CompileError> {
    let store = workshop.store;
    let output =
        |index: usize| outputs[index].as_ref().expect("every step's inputs stand before it");
    let text = step.text(workshop.toolchain.root.digest(), |index| output(index).digest());
    let key = key_of(&text);
    let _turn = store.lock_step(key)?;
    if let Some(record) = store.recall_shared(key, workshop.observer)?
        && let Some((_, digest)) = record.outputs.first()
        && let Some(held) = store.tree(*digest)?
    {
        workshop.observer.observe(&Event::StepReused { name: &step.name, digest: held.digest() });
        return Ok((held, key, false));
    }
    super::modules::refuse_twins(step, outputs)?;
    let reason = reason::reason(store, step, &text)?;
    workshop.observer.observe(&Event::StepStarted { name: &step.name });
    let started = Instant::now();
    let held = perform(step, outputs, workshop, key.digest()).map_err(|error| {
        super::modules::explain_otps(step, outputs, (store, workshop.toolchain), error)
    })?;
    store.remember(
        key,
        &Record { inputs: text.clone(), outputs: vec![("output".into(), held.digest())] },
    )?;
    reason::note(store, step, &text)?;
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let digest = held.digest();
    workshop.observer.observe(&Event::StepBuilt {
        name: &step.name,
        digest,
        duration_ms,
        reason: &reason,
    });
    Ok((held, key, true))
}

/// Lays the step's room out, runs its command and takes the output in.
fn perform(
    step: &Step,
    outputs: &[Option<HeldTree>],
    workshop: &Workshop<'_>,
    key: Digest,
) -> Result<HeldTree, CompileError> {
    let store = workshop.store;
    let scratch = store.scratch()?;
    let work = scratch.path().join("build");
    disk::create_dir(&work)?;
    let varied = workshop.variation.map(|variation| variation.of_step(step));
    let mounts = furnish(varied.as_ref().unwrap_or(step), outputs, store, &work)?;
    let logs = store.root().join("logs");
    disk::create_dir_all(&logs)?;
    let log = logs.join(format!("{}-{}.log", step.name.replace(' ', "-"), &key.hex()[..12]));
    let room = Room {
        env: step.env.clone(),
        ..super::room(workshop.toolchain.root.path(), mounts, vec![], workshop.level)
    };
    if let Err(failure) = commands(step, &room, &work, &log, workshop) {
        super::failed::keep(store, &step.name, &scratch, &room)?;
        return Err(failure);
    }
    let output = work.join(&step.output);
    if disk::status(&output)?.is_none_or(|status| status.kind != Kind::Directory) {
        return Err(CompileError::NoOutput {
            step: step.name.clone(),
            output: step.output.clone(),
            log,
        });
    }
    // rebar3's own notes hold times; without them it compares artifacts, which is what is wanted.
    disk::remove_tree(&output.join(".rebar3"))?;
    zips::settle(&output)?;
    Ok(store.insert_tree(&step.name, &output, None)?)
}

/// Lays out everything that the step may write to, and says what else it sees.
fn furnish(
    step: &Step,
    outputs: &[Option<HeldTree>],
    store: &Store,
    work: &Path,
) -> Result<Vec<Mount>, CompileError> {
    let mut mounts =
        vec![Mount { host: work.to_owned(), inside: "/build".into(), access: Access::ReadWrite }];
    for (number, input) in step.inputs.iter().enumerate() {
        match input.content {
            Content::Source(digest) => {
                let missing = || CompileError::NoSource { app: step.name.clone() };
                let held = store.tree(digest)?.ok_or_else(missing)?;
                let at = below(work, &input.at);
                disk::create_dir_all(&at)?;
                lay(store, &held, &at)?;
                // The first is what the step builds; what else lies there has versions of its own.
                if number == 0 {
                    stamp(&at, step)?;
                }
            }
            Content::Output(index) => {
                let output = outputs[index].as_ref().expect("every step's inputs stand before it");
                let (host, inside) = (output.path().to_owned(), input.at.clone());
                mounts.push(Mount { host, inside, access: Access::ReadOnly });
            }
        }
    }
    for (path, bytes) in &step.files {
        let path = work.join(path);
        disk::create_dir_all(path.parent().expect("the file stands below the room's directory"))?;
        // No other process reads it while it is made, so it needs neither a second name nor a sync.
        disk::remove_file(&path)?;
        disk::write_all(&mut disk::create_new(&path, false)?, &path, bytes)?;
    }
    // What the project's own scripts and lock decided is in the configuration already.
    for decided in ["rebar.config.script", "rebar.lock"] {
        if step.kind == StepKind::Release && step.files.contains_key("rebar.config") {
            disk::remove_file(&work.join(decided))?;
        }
    }
    Ok(mounts)
}

/// Where a path of the room below `/build` stands on the host.
fn below(work: &Path, inside: &str) -> PathBuf {
    work.join(inside.trim_start_matches("/build").trim_start_matches('/'))
}

/// Lays a held tree out as a copy that may be written to.
pub fn lay(store: &Store, held: &HeldTree, at: &Path) -> Result<(), CompileError> {
    let listing = store.listing(held)?;
    Ok(tree::place(&listing, held.path(), at, Placement::Copy, crate::store::TREE_TIME)?)
}

/// Runs the step's patches and then its command.
fn commands(
    step: &Step,
    room: &Room,
    work: &Path,
    log: &Path,
    workshop: &Workshop<'_>,
) -> Result<(), CompileError> {
    for (number, patch) in step.patches.iter().enumerate() {
        let file = format!(".rebeam-{number}.patch");
        disk::write_atomic(&work.join(&file), patch)?;
        let argv = ["patch", "-p1", "--batch", "--forward", "--no-backup-if-mismatch", "-i"];
        let argv = argv.map(str::to_owned).into_iter().chain([format!("/build/{file}")]).collect();
        let cwd = step.inputs.first().map_or_else(|| "/build".into(), |input| input.at.clone());
        run(step, &Room { argv, cwd, ..room.clone() }, log, workshop)?;
        disk::remove_file(&work.join(&file))?;
    }
    run(step, &Room { argv: step.argv.clone(), ..room.clone() }, log, workshop)
}

/// Does `work`, and returns the fewest bytes that the disk of `place` had free meanwhile.
///
/// A tool that does not look whether its copies were written ends well on a full disk, and what it left
/// behind would be taken for the step's output ever after.
fn watching<T>(place: &Path, work: impl FnOnce() -> T) -> Result<(T, u64), CompileError> {
    let fewest = AtomicU64::new(disk::free_bytes(place)?);
    let is_done = AtomicBool::new(false);
    let done = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !is_done.load(Ordering::Acquire) {
                let free = disk::free_bytes(place).unwrap_or(u64::MAX);
                fewest.fetch_min(free, Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        let done = work();
        is_done.store(true, Ordering::Release);
        watcher.thread().unpark();
        done
    });
    let free = disk::free_bytes(place)?.min(fewest.into_inner());
    Ok((done, free))
}

fn run(step: &Step, room: &Room, log: &Path, workshop: &Workshop<'_>) -> Result<(), CompileError> {
    let mut hear = |line: &str| {
        workshop.observer.observe(&Event::StepOutput { name: &step.name, line });
        Reply::Continue
    };
    let varied = workshop.variation.map(|variation| variation.of(room));
    let room = varied.as_ref().unwrap_or(room);
    let (outcome, free) = watching(workshop.store.root(), || sandbox::run(room, log, &mut hear))?;
    let outcome = outcome?;
    if free < STEP_DISK_BYTES_MIN {
        return Err(CompileError::DiskFull {
            step: step.name.clone(),
            place: workshop.store.root().to_owned(),
        });
    }
    let how = match outcome.status {
        Status::Exited(0) => return Ok(()),
        Status::Exited(code) => format!("ended with exit code {code}"),
        Status::Killed { signal } => format!("was killed by signal {signal}"),
        Status::TimedOut => format!("took longer than {STEP_WALL_S_MAX} s and was killed"),
    };
    Err(CompileError::Failed {
        step: step.name.clone(),
        how,
        tail: outcome.log_tail,
        log: log.to_owned(),
    })
}

/// User and group inside every room.
pub(super) const USER: (u32, u32) = (1000, 1000);

/// What every step may use. Two cores, whatever the host has, so that nothing can tell hosts apart.
pub(super) fn bounds() -> Bounds {
    Bounds {
        wall_s: STEP_WALL_S_MAX,
        memory_bytes: Some(STEP_MEMORY_BYTES_MAX),
        processes: 4096,
        file_bytes: 4 << 30,
        cores: 2,
    }
}

/// Tells whether a file is an application's specification or the script that writes one.
fn is_app_source(name: &[u8]) -> bool {
    name.ends_with(b".app.src") || name.ends_with(b".app.src.script")
}

fn is_directory(path: &Path) -> Result<bool, CompileError> {
    Ok(disk::status(path)?.is_some_and(|status| status.kind == Kind::Directory))
}

/// Writes the version into every `.app.src` and every script of one of the source that asks git for it.
fn stamp(main: &Path, step: &Step) -> Result<(), CompileError> {
    let Some(version) = &step.stamp else {
        return Ok(());
    };
    let mut directories = vec![main.join("src")];
    if step.kind == StepKind::Release {
        for apps in ["apps", "lib", "src"].map(|above| main.join(above)) {
            let names = if is_directory(&apps)? { disk::list(&apps)? } else { vec![] };
            let sources = |app: &Vec<u8>| apps.join(&*String::from_utf8_lossy(app)).join("src");
            directories.extend(names.iter().map(sources));
        }
    }
    for directory in &directories {
        if !is_directory(directory)? {
            continue;
        }
        for name in disk::list(directory)?.into_iter().filter(|name| is_app_source(name)) {
            let path = directory.join(String::from_utf8_lossy(&name).into_owned());
            let Ok(text) = disk::read_text(&path, crate::limits::TEXT_FILE_BYTES_MAX) else {
                continue;
            };
            if let Some(stamped) = version.put_into(&text) {
                disk::write_atomic(&path, stamped.as_bytes())?;
                disk::set_time(&path, crate::store::TREE_TIME)?;
            }
        }
    }
    Ok(())
}
