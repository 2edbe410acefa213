//! `rebeam dev channel`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Asking, Described, listed, made, shown};
use crate::cli::Common;
use crate::dev::Place;
use crate::dev::things::Api;
use crate::explain::Failure;
use crate::http::Method;

#[derive(Debug, Args)]
#[command(after_help = "\
A channel is named by its identifier or, where only one is called so, by its name. Things that are connected to it
publish and subscribe to `channels/ID/messages`, with anything below it.")]
pub(in crate::cli::dev) struct Channel {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    verb: ChannelVerb,
}

#[derive(Debug, Subcommand)]
enum ChannelVerb {
    /// Make a channel and print its identifier
    #[command(visible_alias = "add")]
    Create {
        #[command(flatten)]
        described: Described,
    },
    /// List channels
    Ls {
        /// Those of one thing
        #[arg(long, value_name = "THING")]
        thing: Option<String>,
    },
    /// Show a channel
    Show { channel: String },
    /// Change what is said of a channel
    Update {
        channel: String,
        #[command(flatten)]
        described: Described,
    },
    /// Remove channels
    Rm {
        #[arg(required = true)]
        channel: Vec<String>,
    },
}

impl Channel {
    pub(in crate::cli::dev) fn run(self, common: &Common, place: &Place) -> Result<u8, Failure> {
        let api = self.asking.api(place)?;
        match self.verb {
            ChannelVerb::Create { described } => {
                let body = described.over(&json!({}));
                made(common, &api.call(Method::Post, "/channels", Some(&body))?);
            }
            ChannelVerb::Ls { thing } => {
                let path = match thing {
                    Some(thing) => format!("/things/{}/channels", api.identify("things", &thing)?),
                    None => "/channels".to_owned(),
                };
                listed(common, api.all("channels", &path)?, &["id", "name", "metadata"]);
            }
            ChannelVerb::Show { channel } => {
                shown(common, &api.call(Method::Get, &at(&api, &channel)?, None)?.body);
            }
            ChannelVerb::Update { channel, described } => {
                let at = at(&api, &channel)?;
                let known = api.call(Method::Get, &at, None)?.body;
                api.call(Method::Put, &at, Some(&described.over(&known)))?;
            }
            ChannelVerb::Rm { channel } => {
                for channel in channel {
                    api.call(Method::Delete, &at(&api, &channel)?, None)?;
                }
            }
        }
        Ok(0)
    }
}

fn at(api: &Api, channel: &str) -> Result<String, Failure> {
    Ok(format!("/channels/{}", api.identify("channels", channel)?))
}
