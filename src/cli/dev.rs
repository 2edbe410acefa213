//! `rebeam dev`: the stack on one's desk.

mod acl;
mod broker;
mod exposing;
mod pub_sub;
mod events;
mod forwarding;
mod streams;
mod things;
mod up;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Common;
use crate::dev::access::Settings;
use crate::dev::{DevError, Place};
use crate::disk;
use crate::explain::Failure;
use crate::manifest::{self, AccessWish, Manifest};
use crate::terminal::{self, Mode};

#[derive(Debug, Args)]
pub(super) struct Dev {
    /// Keep the state of stacks below this directory [default: the user's state directory]
    #[arg(long, global = true, value_name = "DIR", env = "REBEAM_STATE")]
    state_dir: Option<PathBuf>,
    #[command(subcommand)]
    verb: DevVerb,
}

#[derive(Debug, Subcommand)]
enum DevVerb {
    /// Start the stack: an MQTT broker, streams of the Redis protocol, things and channels, on the loopback
    Up(up::Up),
    /// Say what runs and where
    Ps,
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
    /// Make and remove configurations that devices get at their first start
    Config(things::Config),
    /// Register users of things, and print their tokens
    User(things::User),
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
            DevVerb::Ps => ps(common, &place()?),
            DevVerb::Down { volumes } => down(&place()?, volumes),
            DevVerb::Pub(verb) => verb.run(&place()?),
            DevVerb::Sub(verb) => verb.run(common, &place()?),
            DevVerb::Events(verb) => verb.run(common, &place()?),
            DevVerb::Acl(verb) => verb.run(common, &place()?),
            DevVerb::Thing(verb) => verb.run(common, &place()?),
            DevVerb::Channel(verb) => verb.run(common, &place()?),
            DevVerb::Config(verb) => verb.run(common, &place()?),
            DevVerb::User(verb) => verb.run(common, &place()?),
            DevVerb::Broker(verb) => verb.run(common),
            DevVerb::Streams(verb) => verb.run(common),
        }
    }
}

/// The place of the project's stack. A directory without a manifest is a project, too: it may have no release yet.
fn place(common: &Common, states: Option<PathBuf>) -> Result<Place, Failure> {
    let project = disk::canonical(&common.project)?;
    let name = match disk::exists(&project.join(manifest::FILE_NAME)) {
        true => Manifest::read(&project)?.project.name,
        false => project.file_name().map_or_else(String::new, |name| name.to_string_lossy().into()),
    };
    let states = states.or_else(default_states).ok_or(DevError::NoHome)?;
    Ok(Place::new(&states, &name, &project))
}

/// Which rules of access the project asks for; without a manifest it asks for none.
fn access(common: &Common) -> Result<Settings, Failure> {
    let project = disk::canonical(&common.project)?;
    let wish = match disk::exists(&project.join(manifest::FILE_NAME)) {
        true => Manifest::read(&project)?.dev.access,
        false => AccessWish::default(),
    };
    let url = wish.url_env.as_ref().and_then(|name| std::env::var(name).ok());
    Ok(Settings::new(&wish, &project, url.filter(|url| !url.is_empty()))?)
}

fn default_states() -> Option<PathBuf> {
    let set =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
    Some(state.or_else(|| Some(set("HOME")?.join(".local/state")))?.join("rebeam/dev"))
}

fn ps(common: &Common, place: &Place) -> Result<u8, Failure> {
    let running = place.running()?;
    match (common.mode(), running) {
        (Mode::Json, running) => {
            let services = running.map(|running| running.services).unwrap_or_default();
            terminal::data(&serde_json::json!(services).to_string());
        }
        (_, Some(running)) => terminal::data(&up::table(&running)),
        (_, None) => terminal::talk("nothing runs; `rebeam dev up` starts the stack"),
    }
    Ok(0)
}

fn down(place: &Place, volumes: bool) -> Result<u8, Failure> {
    match place.running()? {
        Some(running) => place.end(&running)?,
        None => terminal::talk("nothing runs"),
    }
    if volumes {
        place.wipe()?;
    }
    Ok(0)
}
