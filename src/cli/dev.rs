//! `rebeam dev`: the stack on one's desk.

mod acl;
mod apart;
mod background;
mod broker;
mod config;
mod events;
mod export;
mod exposing;
mod forwarding;
mod logs;
mod own;
mod parts;
mod pub_sub;
mod snapshot;
mod streams;
mod telling;
mod things;
mod up;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use super::Common;
use crate::dev::access::Settings;
use crate::dev::services::State;
use crate::dev::things::Setup;
use crate::dev::{DevError, Place, Running, control, services};
use crate::disk::{self, Kind};
use crate::explain::Failure;
use crate::manifest::{self, AccessProvider, AccessWish, DevWish, Manifest, Profile};
use crate::terminal::{self, Mode};

/// How long a stack may take to end before somebody is told that it does.
const SLOW: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct Dev {
    /// Keep the state of stacks below this directory [default: the user's state directory]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "REBEAM_STATE",
        help_heading = "For every verb of `dev`"
    )]
    state_dir: Option<PathBuf>,
    #[command(subcommand)]
    verb: DevVerb,
}

#[derive(Debug, Subcommand)]
enum DevVerb {
    /// Start the stack: an MQTT broker, streams of the Redis protocol, things and channels, on the loopback
    Up(up::Up),
    /// Build the release anew whenever its sources change, and start it again in the stack
    Watch(watch::Watch),
    /// Say what runs, how it is and where
    Ps {
        /// End with 1 unless the stack is up and everything in it is ready
        #[arg(long)]
        ready: bool,
    },
    /// Show what all files together say of the stack, each value with its origin
    Config(config::Config),
    /// Write the stack for other tools
    #[command(subcommand)]
    Export(export::Export),
    /// Show what services said
    Logs(logs::Logs),
    /// Keep the state of a stack that is down, or put it back
    #[command(subcommand)]
    Snapshot(snapshot::Snapshot),
    /// End a service and start it again
    Restart {
        /// Its name
        #[arg(value_name = "SERVICE")]
        service: String,
    },
    /// End the stack; its state stays
    Down {
        /// Remove the state, too: sessions, messages and keys
        #[arg(long)]
        volumes: bool,
    },
    /// Publish a message
    Pub(pub_sub::Publish),
    /// Subscribe to topics and write what comes
    Sub(pub_sub::Subscribe),
    /// Show what happened in the stack, newest last
    Events(events::Events),
    /// See and change who may connect, publish and subscribe, and why
    Acl(acl::Acl),
    /// Make, connect and remove things: what may publish and subscribe
    Thing(things::Thing),
    /// Make and remove channels: where things publish and subscribe
    Channel(things::Channel),
    /// Register users of things, and print their tokens
    User(things::User),
    /// Hand volumes to a user
    #[command(hide = true)]
    Own(own::Own),
    /// Run the MQTT broker alone, open to everybody who reaches it
    #[command(hide = true)]
    Broker(broker::Broker),
    /// Run the streams alone: a server of the Redis protocol
    #[command(hide = true)]
    Streams(streams::Streams),
}

impl Dev {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let place = || place(common, self.state_dir.clone());
        match self.verb {
            DevVerb::Up(verb) => verb.run(common, &place()?),
            DevVerb::Watch(verb) => verb.run(common, &place()?),
            DevVerb::Ps { ready } => ps(common, &place()?, ready),
            DevVerb::Config(verb) => verb.run(common, place),
            DevVerb::Export(verb) => verb.run(common, &place()?),
            DevVerb::Snapshot(verb) => verb.run(common, &place()?),
            DevVerb::Logs(verb) => verb.run(common, &place()?),
            DevVerb::Restart { service } => restart(&place()?, &service),
            DevVerb::Down { volumes } => down(&place()?, volumes),
            DevVerb::Pub(verb) => verb.run(&place()?),
            DevVerb::Sub(verb) => verb.run(common, &place()?),
            DevVerb::Events(verb) => verb.run(common, &place()?),
            DevVerb::Acl(verb) => verb.run(common, &place()?),
            DevVerb::Thing(verb) => verb.run(common, &place()?),
            DevVerb::Channel(verb) => verb.run(common, &place()?),
            DevVerb::User(verb) => verb.run(common, &place()?),
            DevVerb::Own(verb) => verb.run(),
            DevVerb::Broker(verb) => verb.run(common),
            DevVerb::Streams(verb) => verb.run(common),
        }
    }
}

/// The place of the project's stack. A directory without a manifest is a project, too: it may have no release yet.
fn place(common: &Common, states: Option<PathBuf>) -> Result<Place, Failure> {
    let project = disk::canonical(&common.project)?;
    if disk::status(&project)?.is_none_or(|status| status.kind != Kind::Directory) {
        return Err(DevError::NoProject { path: project }.into());
    }
    let name = match disk::exists(&project.join(manifest::FILE_NAME)) {
        true => Manifest::read(&project)?.project.name,
        false => project.file_name().map_or_else(String::new, |name| name.to_string_lossy().into()),
    };
    let states = states.or_else(default_states).ok_or(DevError::NoHome)?;
    Ok(Place::new(&states, &name, &project))
}

/// Which rules of access `wish` asks for, of the project at `project`; its address may speak of `variables`.
fn settings(
    wish: &AccessWish,
    project: &Path,
    variables: &BTreeMap<String, String>,
) -> Result<Settings, Failure> {
    let url = match (&wish.url_env, rules(wish)) {
        (Some(name), _) => std::env::var(name).ok().filter(|url| !url.is_empty()),
        (None, None) => None,
        (None, Some(url)) => Some(services::expand(url, variables).map_err(|variable| {
            let known = variables.keys().cloned().collect();
            DevError::UnknownVariable { table: "dev.access".into(), variable, known }
        })?),
    };
    Ok(Settings::new(wish, project, url)?)
}

/// The address of the database with the rules, if it is a database that decides.
fn rules(wish: &AccessWish) -> Option<&str> {
    wish.url.as_deref().filter(|_| wish.provider == AccessProvider::Sql && wish.url_env.is_none())
}

/// How things run: as `wish` says, and as in Mainflux where its profile or `is_asked` wants that.
fn things(wish: &DevWish, is_asked: bool) -> Result<Setup, DevError> {
    let key = wish.things.bootstrap_key_env.as_ref().and_then(|name| std::env::var(name).ok());
    let key = key.filter(|key| !key.is_empty());
    let is_mainflux = is_asked || wish.profile == Some(Profile::Mainflux);
    Setup::new(&wish.things, is_mainflux, key)
}

fn default_states() -> Option<PathBuf> {
    let set =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
    Some(state.or_else(|| Some(set("HOME")?.join(".local/state")))?.join("rebeam/dev"))
}

fn ps(common: &Common, place: &Place, ready: bool) -> Result<u8, Failure> {
    let standings = match place.is_held()? {
        true => control::status(place)?,
        false => Vec::new(),
    };
    match common.mode() {
        Mode::Json => terminal::data(&serde_json::json!(standings).to_string()),
        // The exit code says it all.
        Mode::Quiet if ready => {}
        _ if standings.is_empty() => {
            terminal::talk("nothing runs; `rebeam dev up` starts the stack");
        }
        _ => terminal::data(&telling::table(&standings)),
    }
    let is_ready = place.running()?.is_some()
        && standings.iter().all(|one| matches!(one.state, State::Ready | State::Done));
    Ok(u8::from(ready && !is_ready))
}

fn restart(place: &Place, service: &str) -> Result<u8, Failure> {
    if !place.is_held()? {
        return Err(DevError::NotUp.into());
    }
    control::restart(place, service)?;
    Ok(0)
}

fn down(place: &Place, volumes: bool) -> Result<u8, Failure> {
    match place.running()? {
        Some(running) => end(place, &running)?,
        // One that is still starting has not told of itself yet.
        None if place.is_held()? => control::stop(place)?,
        None => terminal::talk("nothing runs"),
    }
    if volumes {
        place.wipe()?;
    }
    Ok(0)
}

/// Tells a stack to end; whoever does not want to wait for it presses Ctrl-C.
fn end(place: &Place, running: &Running) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(DevError::Runtime)?;
    let (waiting, told) = (place.clone(), running.clone());
    let ended = runtime.block_on(async {
        let mut ending = tokio::task::spawn_blocking(move || waiting.end(&told));
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        tokio::select! {
            ended = &mut ending => return ended.unwrap_or(Ok(())),
            _ = &mut interrupted => {}
            () = tokio::time::sleep(SLOW) => {
                terminal::talk("still ending; Ctrl-C ends it at once");
                tokio::select! {
                    ended = &mut ending => return ended.unwrap_or(Ok(())),
                    _ = &mut interrupted => {}
                }
            }
        }
        place.kill(running)?;
        terminal::talk("ended at once");
        ending.await.unwrap_or(Ok(()))
    });
    Ok(ended?)
}
