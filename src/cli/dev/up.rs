//! `rebeam dev up`.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::exposing::{Exposing, VARIABLE};
use super::forwarding;
use crate::cli::Common;
use crate::dev::access::{self, Book, Settings};
use crate::dev::things;
use crate::dev::web::Guard;
use crate::dev::{self, DevError, Place, Plan, Ports, Running, Stack, Taken};
use crate::disk;
use crate::explain::Failure;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::terminal::{self, Mode};

/// How long a stack in the background may take to be ready.
const READY_MAX: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Lines of a log that are shown.
const LINES_MAX: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = "\
Every service takes its standard port where that is free, else one that stays the same for the project; programs read
the addresses from the file `env` that is named at the end. Only this machine reaches them, but with `--listen`; the
password is then MQTT's, Redis' and HTTP's (any user name, or the header `X-Rebeam-Password`).

  rebeam dev up -d        start it and leave it in the background
  rebeam dev ps           say what runs and where
  rebeam dev down         end it; --volumes removes its state, too")]
pub(super) struct Up {
    /// Leave the stack in the background once it is ready
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    exposing: Exposing,
    /// Let things decide who may connect and publish, and serve each of Mainflux's services on its own port
    #[arg(long)]
    things: bool,
    /// Be the one that was left in the background
    #[arg(long, hide = true)]
    here: bool,
}

impl Up {
    pub(super) fn run(self, common: &Common, place: &Place) -> Result<u8, Failure> {
        let password =
            if self.here { Exposing::handed_password()? } else { self.exposing.password()? };
        let guard = self.exposing.guard(password.as_deref())?;
        if self.detach && !self.here {
            let running = detach(place, password.as_deref())?;
            tell(common, place, &running);
            return Ok(0);
        }
        dev::allow_open_files();
        let taken = place.take()?;
        let project = disk::canonical(&common.project)?;
        let settings = super::access(common)?;
        let ports = Ports::new(self.exposing.listen, &project);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(DevError::Runtime)?;
        let things = things::Setup { is_mainflux: self.things, ..Default::default() };
        let wanted = Wanted { ports, guard, settings, things };
        runtime.block_on(serve(common, wanted, place, &taken))?;
        // A task that hangs in a socket ends with the process.
        runtime.shutdown_timeout(Duration::from_secs(1));
        Ok(0)
    }
}

/// What the command line and the manifest ask for.
struct Wanted {
    ports: Ports,
    guard: Guard,
    settings: Settings,
    things: things::Setup,
}

/// Serves until somebody says that it is enough.
async fn serve(
    common: &Common,
    wanted: Wanted,
    place: &Place,
    taken: &Taken,
) -> Result<(), Failure> {
    // Heard from the start on, so that nothing is left half begun.
    let mut terminate = signal(SignalKind::terminate()).map_err(DevError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DevError::Runtime)?;
    let Wanted { ports, guard, settings, things } = wanted;
    let state = place.directory();
    let access = access::guard(&settings, state)?;
    let book = Book::open(&settings, state)?;
    let stack = Stack::start(Plan {
        ports: &ports,
        state,
        guard: &guard,
        access,
        book,
        things,
        forwards: forwarding::read(common)?,
    })?;
    let running = Running { process: std::process::id(), services: stack.services().to_vec() };
    let authority = disk::canonical(&stack.certificate().authority)?;
    let mut more = vec![("MQTTS_CA", authority.display().to_string())];
    more.extend(guard.secret().map(|secret| (VARIABLE, secret.reveal().to_owned())));
    taken.tell(&running, &more)?;
    tell(common, place, &running);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stack.stop().await;
    Ok(())
}

/// Starts this program once more in the background and waits until it is ready.
fn detach(place: &Place, password: Option<&str>) -> Result<Running, DevError> {
    // Taken for a moment only: an error that is found here needs no log.
    drop(place.take()?);
    let log = place.log();
    if disk::exists(&log) {
        disk::remove_file(&log)?;
    }
    let output = disk::append(&log)?;
    let errors = output.try_clone().map_err(DevError::Runtime)?;
    let program = std::env::current_exe().map_err(DevError::Runtime)?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        // However `-d` was written, it must not start one more.
        .arg("--here")
        // Neither arguments nor environment of a process are a place for a password.
        .env_remove(VARIABLE)
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(DevError::Runtime)?;
    if let (Some(mut input), Some(password)) = (child.stdin.take(), password) {
        // One that ended before it read this says why in its log.
        drop(input.write_all(password.as_bytes()));
    }
    wait(place, &mut child)
}

fn wait(place: &Place, child: &mut Child) -> Result<Running, DevError> {
    let until = Instant::now() + READY_MAX;
    loop {
        if let Some(running) = place.running()?.filter(|running| running.process == child.id()) {
            return Ok(running);
        }
        let has_ended = child.try_wait().map_err(DevError::Runtime)?.is_some();
        if has_ended || Instant::now() > until {
            // One that is not ready by now is not left behind.
            drop(child.kill());
            let text = disk::read_text(&place.log(), TEXT_FILE_BYTES_MAX)?;
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let lines = lines[lines.len().saturating_sub(LINES_MAX)..].to_vec();
            return Err(DevError::NotReady { log: place.log(), lines });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn tell(common: &Common, place: &Place, running: &Running) {
    match common.mode() {
        Mode::Json => terminal::data(&serde_json::json!(running.services).to_string()),
        _ => {
            terminal::data(&table(running));
            terminal::talk(&format!("addresses for programs: {}", place.env_file().display()));
            let authority = place.directory().join("tls/ca.pem");
            terminal::talk(&format!("certificates are signed by: {}", authority.display()));
        }
    }
}

/// Lays the services out, a line each.
pub(super) fn table(running: &Running) -> String {
    let row = |service: &crate::dev::Service| vec![service.name.clone(), service.url.clone()];
    terminal::table(&running.services.iter().map(row).collect::<Vec<_>>())
}
