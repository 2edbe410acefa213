//! `rebeam dev up`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::apart::Apart;
use super::background;
use super::exposing::{Exposing, VARIABLE};
use super::forwarding;
use super::parts::{Layers, Parts};
use super::telling;
use crate::cli::Common;
use crate::dev::access::{self, Access, Book};
use crate::dev::control::{self, Control, Told};
use crate::dev::services::{self, Logs, Services, Standing, State, Supervised};
use crate::dev::things::Setup;
use crate::dev::web::Guard;
use crate::dev::{self, DevError, Place, Plan, Ports, Running, Service, Stack, Taken, Troubles};
use crate::disk;
use crate::explain::Failure;
use crate::manifest::{Profile, Runs};
use crate::terminal;

/// How long a stack in the background may take to be ready.
const READY_MAX: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long a database may take to be found once it is ready.
const DECIDABLE_MAX: Duration = Duration::from_secs(2);
/// How a process ends that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

#[derive(Debug, Args)]
#[command(after_help = "\
Every service takes its standard port where that is free, else one that stays the same for the project; programs read
the addresses from the file `env` that is named at the end. Only this machine reaches them, but with `--listen`; the
password is then MQTT's, Redis' and HTTP's (any user name, or the header `X-Rebeam-Password`).

Ctrl-C ends it in order, and once more at once.

  rebeam dev up -d        start it and leave it in the background
  rebeam dev up -d --wait-timeout 60
                          and give up, saying what is not ready, after a minute
  rebeam dev ps           say what runs and where
  rebeam dev down         end it; --volumes removes its state, too")]
pub(super) struct Up {
    /// Leave the stack in the background once it is ready
    #[arg(short, long, visible_alias = "wait")]
    detach: bool,
    #[command(flatten)]
    start: Start,
    #[command(flatten)]
    apart: Apart,
    /// Be the one that was left in the background
    #[arg(long, hide = true)]
    here: bool,
}

/// How a stack is started.
#[derive(Debug, Args)]
pub(super) struct Start {
    #[command(flatten)]
    pub(super) layers: Layers,
    #[command(flatten)]
    exposing: Exposing,
    /// Let things decide who may connect and publish, and serve each of Mainflux's services on its own port
    #[arg(long)]
    things: bool,
    /// Give up where not everything is ready after so many seconds [default: as long as each service may take]
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,
}

impl Up {
    pub(super) fn run(self, common: &Common, place: &Place) -> Result<u8, Failure> {
        let password = if self.here {
            Exposing::handed_password()?
        } else {
            self.start.exposing.password()?
        };
        let guard = self.start.exposing.guard(password.as_deref())?;
        if self.detach && !self.here {
            // What has to be fetched is fetched while somebody looks.
            let known = Parts::prepare(common, &self.start.layers, place)?.patience();
            let patience = READY_MAX + self.start.wait_timeout().unwrap_or(known);
            background::start(place, password.as_deref(), patience)?;
            telling::tell(common, place, &control::status(place)?);
            return Ok(0);
        }
        self.start.serve(common, place, (&guard, &self.apart))
    }
}

impl Start {
    /// How long all of it may take to be ready, where somebody says that.
    fn wait_timeout(&self) -> Option<Duration> {
        self.wait_timeout.map(Duration::from_secs)
    }

    /// Who is let in, where the environment or a file says the password.
    pub(super) fn guard(&self) -> Result<Guard, Failure> {
        Ok(self.exposing.guard(self.exposing.password()?.as_deref())?)
    }

    /// Starts the stack in this process, and serves until somebody says that it is enough.
    pub(super) fn serve(
        &self,
        common: &Common,
        place: &Place,
        (guard, apart): (&Guard, &Apart),
    ) -> Result<u8, Failure> {
        dev::allow_open_files();
        let taken = place.take()?;
        let parts = match apart.alone {
            true => Parts::alone(common, &self.layers)?,
            false => Parts::prepare(common, &self.layers, place)?,
        };
        self.layers.remember(place, self.things)?;
        let ports = Ports::new(self.exposing.listen, &parts.project);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(DevError::Runtime)?;
        let mut things = super::things(&parts.dev, self.things)?;
        // emqttd's own HTTP interface is there.
        let has_release = parts.services.values().any(|wish| wish.runs == Runs::Release);
        things.leaves_standard_port = has_release && parts.dev.profile == Some(Profile::Emqttd);
        let up = Upward { common, place, parts: &parts, ports: &ports, guard, start: self, apart };
        runtime.block_on(up.serve(&taken, things))?;
        // A task that hangs in a socket ends with the process.
        runtime.shutdown_timeout(Duration::from_secs(1));
        Ok(0)
    }
}

/// A stack on its way up.
struct Upward<'a> {
    common: &'a Common,
    place: &'a Place,
    parts: &'a Parts,
    ports: &'a Ports,
    guard: &'a Guard,
    start: &'a Start,
    apart: &'a Apart,
}

impl Upward<'_> {
    /// Serves until somebody says that it is enough.
    async fn serve(&self, taken: &Taken, things: Setup) -> Result<(), Failure> {
        // Heard from the start on, so that nothing is left half begun.
        let mut asked = Asked::listen().map_err(DevError::Runtime)?;
        // A real server in the place of one of ours has the standard port.
        let reserved = services::reserve(&self.parts.services, self.ports)?;
        let state = self.place.directory();
        let dev = &self.parts.dev;
        // The rules may stand in a database that is started only after the broker.
        let known = services::variables(&self.plan(), &reserved)?;
        let settings = super::settings(&dev.access, &self.parts.project, &known)?;
        let rules = access::guard(&settings, state)?;
        let supervised = Supervised::default();
        let stack = Stack::start(Plan {
            ports: self.ports,
            state,
            guard: self.guard,
            access: Arc::clone(&rules),
            denies_as_emqttd: settings.denies_as_emqttd(),
            copies_for_each: dev.profile == Some(Profile::Emqttd),
            supervised: Arc::clone(&supervised),
            book: Book::open(&settings, state)?,
            things,
            forwards: forwarding::forwards(self.parts, &known),
        })?;
        self.apart.show(&stack)?;
        let embedded = self.embedded(&stack);
        let mut variables = self.variables(&stack, &embedded)?;
        let planned = services::plan(&self.plan(), &reserved, &variables)?;
        drop(reserved);
        variables.extend(planned.variables);
        let logs = Logs::of(self.place.directory());
        let services = Arc::new(Services::start(planned.units, &logs)?);
        let services = Arc::clone(supervised.get_or_init(|| services));
        let end = Arc::new(tokio::sync::Notify::new());
        let telling = tokio::spawn(tell_troubles(stack.troubles()));
        let told = Arc::new(Told {
            embedded: embedded.iter().map(standing).collect(),
            services: Arc::clone(&services),
            given_up: self.ports.given_up(),
            end: Arc::clone(&end),
            rules: Arc::clone(&rules),
            troubles: stack.troubles(),
            flusher: Some(stack.flusher()),
        });
        let control = Control::open(self.place, Arc::clone(&told))?;
        let waiting = {
            let (services, logs) = (Arc::clone(&services), logs.clone());
            tokio::task::spawn_blocking(move || services.wait_ready(&logs))
        };
        let mut enough = std::pin::pin!(asked.until_end(&end));
        let fate = tokio::select! {
            ready = waiting => Some(ready.unwrap_or(Ok(()))),
            () = &mut enough => None,
            error = late(self.start.wait_timeout(), &told) => Some(Err(error)),
        };
        let fate = match fate {
            Some(Ok(())) => {
                decidable(&*rules).await;
                self.announce(taken, &told, &variables)?;
                enough.await;
                Ok(())
            }
            Some(Err(error)) => Err(error.into()),
            None => Ok(()),
        };
        let at_once = tokio::spawn(end_at_once());
        drop(tokio::task::spawn_blocking(move || services.stop()).await);
        telling.abort();
        stack.stop().await;
        at_once.abort();
        drop(control);
        fate
    }

    /// Says to programs and on the screen that all is ready.
    fn announce(
        &self,
        taken: &Taken,
        told: &Told,
        variables: &BTreeMap<String, String>,
    ) -> Result<(), DevError> {
        let running = Running { process: std::process::id(), services: all(told) };
        taken.tell(&running, variables)?;
        telling::tell(self.common, self.place, &told.standing());
        Ok(())
    }

    fn plan(&self) -> services::Plan<'_> {
        services::Plan {
            services: &self.parts.services,
            roots: &self.parts.roots,
            image: self.parts.image.as_deref(),
            machine: &self.parts.machine,
            project: &self.parts.project,
            place: self.place.directory(),
            level: self.parts.level,
            rules: super::rules(&self.parts.dev.access),
        }
    }

    /// What runs in this process. A service of the manifest has its name to itself.
    fn embedded(&self, stack: &Stack) -> Vec<Service> {
        let renamed = |service: &Service| {
            let mut service = service.clone();
            if self.parts.services.contains_key(&service.name) {
                service.name = format!("embedded-{}", service.name);
            }
            service
        };
        stack.services().iter().map(renamed).collect()
    }

    /// What services and programs are told of what runs in this process.
    fn variables(
        &self,
        stack: &Stack,
        embedded: &[Service],
    ) -> Result<BTreeMap<String, String>, DevError> {
        let url = |service: &Service| (service.variable(), service.url.clone());
        let mut variables: BTreeMap<String, String> = embedded.iter().map(url).collect();
        let authority = disk::canonical(&stack.certificate().authority)?;
        variables.insert("MQTTS_CA".into(), authority.display().to_string());
        let secret = self.guard.secret();
        variables.extend(secret.map(|secret| (VARIABLE.to_owned(), secret.reveal().to_owned())));
        Ok(variables)
    }
}

/// Waits until somebody could be let in: a database that just got ready is found a moment later. One that is
/// somebody else's may be away.
async fn decidable(rules: &dyn Access) {
    let until = Instant::now() + DECIDABLE_MAX;
    while rules.trouble().is_some() && Instant::now() < until {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The signals that end a stack, heard from the moment this stands.
struct Asked {
    terminate: Signal,
    interrupt: Signal,
}

impl Asked {
    fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits until a signal, or `rebeam dev down` by `end`, says that it is enough.
    async fn until_end(&mut self, end: &tokio::sync::Notify) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => terminal::talk("ending; Ctrl-C once more ends it at once"),
            () = end.notified() => {}
        }
    }
}

/// Says on the screen, or in the log of a stack in the background, what cannot be written and that it can again.
async fn tell_troubles(troubles: Troubles) {
    let mut known = BTreeMap::new();
    loop {
        for (part, trouble) in troubles.next(&mut known).await {
            terminal::alarm(&match trouble {
                Some(why) => format!(
                    "`{part}` cannot write to its disk: {why}; it goes on by itself once it can"
                ),
                None => format!("`{part}` writes to its disk again"),
            });
        }
    }
}

/// Waits until it is too late for a stack to get ready, and says what is not.
async fn late(after: Option<Duration>, told: &Told) -> DevError {
    let Some(after) = after else {
        return std::future::pending().await;
    };
    tokio::time::sleep(after).await;
    let is_late = |one: &Standing| !matches!(one.state, State::Ready | State::Done);
    let say = |one: Standing| (one.name, one.state.name());
    let services = told.standing().into_iter().filter(is_late).map(say).collect();
    DevError::Late { seconds: after.as_secs(), services }
}

/// Ends this process when somebody does not want to wait: the kernel ends the rooms with it, and nothing that a client
/// was told of is only in memory.
async fn end_at_once() {
    if let Ok(mut interrupt) = signal(SignalKind::interrupt()) {
        interrupt.recv().await;
        terminal::talk("ended at once");
        std::process::exit(INTERRUPTED);
    }
}

fn standing(service: &Service) -> Standing {
    Standing {
        name: service.name.clone(),
        state: State::Ready,
        address: Some(service.address),
        url: Some(service.url.clone()),
        others: Vec::new(),
        instead_of: None,
        restarts: 0,
        why: None,
    }
}

/// Everything that listens.
fn all(told: &Told) -> Vec<Service> {
    let listens = |one: Standing| {
        Some(Service { name: one.name, address: one.address?, url: one.url.unwrap_or_default() })
    };
    told.standing().into_iter().filter_map(listens).collect()
}
