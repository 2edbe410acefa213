//! Services: what `dev::services` promises, over commands of this machine.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rebeam::dev::DevError;
use rebeam::dev::services::{Body, Line, Logs, Ready, Services, State, Unit};
use rebeam::manifest::Restart;
use rebeam::sandbox::{self, Access, Bounds, Guise, Level, Mount, Reach, Room};

/// A unit that runs nothing yet.
fn unit(name: &str, needs: &[&str]) -> Unit {
    let directories = ["/bin", "/lib", "/lib64", "/usr", "/etc"];
    let mount =
        |path: &str| Mount { host: path.into(), inside: path.into(), access: Access::ReadOnly };
    let room = Room {
        root: std::env::temp_dir(),
        mounts: directories
            .into_iter()
            .filter(|path| Path::new(path).exists())
            .map(mount)
            .collect(),
        argv: vec!["/bin/sh".into()],
        env: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        cwd: "/".into(),
        user: (1000, 1000),
        bounds: Bounds {
            wall_s: 60,
            memory_bytes: None,
            processes: 64,
            file_bytes: u64::MAX,
            cores: 1,
        },
        reach: Reach::Host,
        level: Level::Userns,
        guise: Guise::default(),
    };
    Unit {
        name: name.to_owned(),
        body: Body::Room(Box::new(room)),
        first: None,
        ready: Ready::Log("ready".into()),
        patience: Duration::from_secs(10),
        restart: Restart::No,
        needs: needs.iter().map(|need| (*need).to_owned()).collect::<BTreeSet<_>>(),
        place: None,
        others: Vec::new(),
    }
}

/// A world of units that are scripts of the shell.
struct World {
    place: tempfile::TempDir,
    root: tempfile::TempDir,
    units: Vec<Unit>,
}

impl World {
    fn new() -> Self {
        sandbox::set_executable(Path::new(env!("CARGO_BIN_EXE_rebeam")));
        let (place, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Self { place, root, units: Vec::new() }
    }

    fn with(mut self, name: &str, needs: &[&str], script: &str) -> Self {
        let mut unit = unit(name, needs);
        let Body::Room(room) = &mut unit.body else { unreachable!() };
        room.root = self.root.path().to_owned();
        room.argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        self.units.push(unit);
        self
    }

    fn change(mut self, change: impl Fn(&mut Unit)) -> Self {
        change(self.units.last_mut().unwrap());
        self
    }

    fn logs(&self) -> Logs {
        Logs::of(self.place.path())
    }

    fn start(&self) -> (Services, Result<(), DevError>) {
        let services = Services::start(self.units.clone(), &self.logs()).unwrap();
        let ready = services.wait_ready(&self.logs());
        (services, ready)
    }

    /// All lines of all services in the order in which they were said.
    fn said(&self) -> Vec<String> {
        let logs = self.logs();
        let names = logs.services().unwrap();
        let mut lines: Vec<Line> =
            names.iter().flat_map(|name| logs.lines(name).unwrap()).collect();
        lines.sort_by(|a, b| a.time.cmp(&b.time));
        lines.into_iter().map(|line| line.text).collect()
    }
}

/// A script that says when it is ready and when it ends.
fn script(name: &str) -> String {
    format!(
        "trap 'echo {name} ends; exit 0' TERM; sleep 0.1; echo {name} ready; while :; do sleep 0.02; done"
    )
}

#[test]
fn services_start_by_readiness_and_end_in_reverse() {
    let world = World::new()
        .with("app", &["db", "cache"], &script("app"))
        .with("db", &[], &script("db"))
        .with("cache", &["db"], &script("cache"));
    let (services, ready) = world.start();
    ready.unwrap();
    assert!(services.standing().iter().all(|one| one.state == State::Ready));
    drop(services);
    assert_eq!(
        world.said(),
        ["db ready", "cache ready", "app ready", "app ends", "cache ends", "db ends"]
    );
}

#[test]
fn a_service_that_never_gets_ready_is_named_with_why_and_its_last_lines() {
    let world = World::new()
        .with("slow", &[], "echo here I am; sleep 60")
        .change(|unit| unit.patience = Duration::from_millis(300))
        .with("other", &["slow"], "echo never");
    let (services, ready) = world.start();
    let error = ready.unwrap_err().to_string();
    assert!(
        error.starts_with("`slow` was not ready within 0 s: no line of its output holds `ready`"),
        "{error}"
    );
    assert!(error.contains("here I am"), "{error}");
    drop(services);
    assert!(!world.said().contains(&"never".to_owned()));
}

#[test]
fn a_service_that_fails_at_once_is_tried_three_times_and_then_named() {
    let world = World::new()
        .with("bad", &[], "echo no such file; exit 3")
        .change(|unit| unit.restart = Restart::OnFailure);
    let (services, ready) = world.start();
    let error = ready.unwrap_err().to_string();
    assert!(error.contains("`bad` ended with exit code 3 before it was ready, 3 times"), "{error}");
    assert_eq!(services.standing()[0].restarts, 2);
}

#[test]
fn a_job_that_is_done_lets_others_start() {
    let world =
        World::new().with("job", &[], "echo migrated").with("app", &["job"], &script("app"));
    let (services, ready) = world.start();
    ready.unwrap();
    let states: Vec<State> = services.standing().iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Ready, State::Done]);
}

#[test]
fn a_service_is_started_again_when_somebody_asks_or_it_dies() {
    let world = World::new()
        .with("app", &[], "echo ready; sleep 0.4; exit 1")
        .change(|unit| unit.restart = Restart::Always);
    let (services, ready) = world.start();
    ready.unwrap();
    let begun = Instant::now();
    let again = |count: u32| {
        while services.standing()[0].restarts < count {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    again(1);
    services.restart("app").unwrap();
    again(2);
    let error = services.restart("nobody").unwrap_err();
    assert!(error.to_string().contains("there is no service `nobody`"), "{error}");
}

#[test]
fn a_command_that_is_not_there_is_not_tried_again() {
    let world = World::new().with("app", &[], "").change(|unit| {
        let Body::Room(room) = &mut unit.body else { unreachable!() };
        room.argv = vec!["/no/such".into()];
        unit.restart = Restart::Always;
    });
    let (_services, ready) = world.start();
    let error = ready.unwrap_err().to_string();
    assert!(error.contains("cannot execute `/no/such`"), "{error}");
}

#[test]
fn a_command_in_its_room_or_a_page_says_whether_a_service_is_ready() {
    let world = World::new().with("app", &[], "sleep 0.3; sleep 60").change(|unit| {
        unit.ready = Ready::Exec(["/bin/sh", "-c", "exit 0"].map(str::to_owned).to_vec())
    });
    let (services, ready) = world.start();
    ready.unwrap();
    drop(services);
    let world = World::new().with("app", &[], "sleep 60").change(|unit| {
        unit.ready =
            Ready::Exec(["/bin/sh", "-c", "echo not yet; exit 4"].map(str::to_owned).to_vec());
        unit.patience = Duration::from_millis(400);
    });
    let (_services, ready) = world.start();
    let error = ready.unwrap_err().to_string();
    assert!(error.contains("ended with exit code 4: not yet"), "{error}");
}
