//! `rebeam dev thing`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Asking, Described, join, listed, made, shown};
use crate::cli::Common;
use crate::dev::Place;
use crate::dev::things::Api;
use crate::explain::Failure;
use crate::http::Method;
use crate::terminal;

#[derive(Debug, Args)]
#[command(after_help = "\
A thing is named by its identifier or, where only one is called so, by its name. Its key is its password over MQTT.

  rebeam dev thing create --name kiln
  rebeam dev channel create --name heat
  rebeam dev thing connect kiln heat
  rebeam dev thing key kiln              print the key; --set changes it")]
pub(in crate::cli::dev) struct Thing {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    verb: ThingVerb,
}

#[derive(Debug, Subcommand)]
enum ThingVerb {
    /// Make a thing and print its identifier
    #[command(visible_alias = "add")]
    Create {
        #[command(flatten)]
        described: Described,
        /// Its key [default: a fresh one]
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
    /// List things
    Ls {
        /// Those of one channel
        #[arg(long, value_name = "CHANNEL")]
        channel: Option<String>,
    },
    /// Show a thing
    Show { thing: String },
    /// Change what is said of a thing
    Update {
        thing: String,
        #[command(flatten)]
        described: Described,
    },
    /// Remove things
    Rm {
        #[arg(required = true)]
        thing: Vec<String>,
    },
    /// Connect a thing to channels
    Connect {
        thing: String,
        #[arg(required = true)]
        channel: Vec<String>,
    },
    /// Take a thing off channels
    Disconnect {
        thing: String,
        #[arg(required = true)]
        channel: Vec<String>,
    },
    /// Print a thing's key
    Key {
        thing: String,
        /// Change it to this first
        #[arg(long, value_name = "KEY")]
        set: Option<String>,
    },
}

impl Thing {
    pub(in crate::cli::dev) fn run(self, common: &Common, place: &Place) -> Result<u8, Failure> {
        let api = self.asking.api(place)?;
        match self.verb {
            ThingVerb::Create { described, key } => {
                let mut body = described.over(&json!({}));
                body["key"] = key.into();
                made(common, &api.call(Method::Post, "/things", Some(&body))?);
            }
            ThingVerb::Ls { channel } => {
                let path = match channel {
                    Some(channel) => {
                        format!("/channels/{}/things", api.identify("channels", &channel)?)
                    }
                    None => "/things".to_owned(),
                };
                listed(common, api.all("things", &path)?, &["id", "name", "metadata"]);
            }
            ThingVerb::Show { thing } => {
                shown(common, &api.call(Method::Get, &at(&api, &thing)?, None)?.body);
            }
            ThingVerb::Update { thing, described } => {
                let at = at(&api, &thing)?;
                let known = api.call(Method::Get, &at, None)?.body;
                api.call(Method::Put, &at, Some(&described.over(&known)))?;
            }
            ThingVerb::Rm { thing } => {
                for thing in thing {
                    api.call(Method::Delete, &at(&api, &thing)?, None)?;
                }
            }
            ThingVerb::Connect { thing, channel } => join(&api, Method::Put, &thing, &channel)?,
            ThingVerb::Disconnect { thing, channel } => {
                join(&api, Method::Delete, &thing, &channel)?;
            }
            ThingVerb::Key { thing, set } => {
                let at = at(&api, &thing)?;
                if let Some(key) = set {
                    api.call(Method::Patch, &format!("{at}/key"), Some(&json!({ "key": key })))?;
                }
                let known = api.call(Method::Get, &at, None)?.body;
                terminal::data(known["key"].as_str().unwrap_or_default());
            }
        }
        Ok(0)
    }
}

fn at(api: &Api, thing: &str) -> Result<String, Failure> {
    Ok(format!("/things/{}", api.identify("things", thing)?))
}
