//! `rebeam dev config`: what devices get that know nothing but their own identifier and key.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Asking, listed, made, shown};
use crate::cli::Common;
use crate::dev::Place;
use crate::dev::things::{Api, ApiError};
use crate::explain::Failure;
use crate::http::Method;

#[derive(Debug, Subcommand)]
pub(in crate::cli::dev) enum ConfigVerb {
    /// Make a configuration for a device and print its thing's identifier
    #[command(visible_alias = "add")]
    Create {
        /// The device's identifier
        external_id: String,
        /// What the device proves itself with
        #[arg(long, value_name = "KEY")]
        external_key: String,
        /// Its thing [default: a fresh one]
        #[arg(long, value_name = "THING")]
        thing: Option<String>,
        /// A channel of it; may be given more than once
        #[arg(long, value_name = "CHANNEL")]
        channel: Vec<String>,
        /// Its name
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// What the device gets beside thing and channels
        #[arg(long, value_name = "TEXT")]
        content: Option<String>,
    },
    /// List configurations
    Ls {
        /// Devices that asked for one and have none
        #[arg(long)]
        unknown: bool,
    },
    /// Show a configuration
    Show { config: String },
    /// Change the name or the content of a configuration
    Update {
        config: String,
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        #[arg(long, value_name = "TEXT")]
        content: Option<String>,
    },
    /// Say which channels a configuration has
    Connect { config: String, channel: Vec<String> },
    /// Connect a configuration's thing to its channels
    Activate { config: String },
    /// Take a configuration's thing off its channels
    Deactivate { config: String },
    /// Remove configurations; their things stay
    Rm {
        #[arg(required = true)]
        config: Vec<String>,
    },
}

impl ConfigVerb {
    pub(in crate::cli::dev) fn run(
        self,
        asking: &Asking,
        common: &Common,
        place: &Place,
    ) -> Result<u8, Failure> {
        let api = asking.api(place)?;
        match self {
            verb @ ConfigVerb::Create { .. } => create(common, &api, verb)?,
            ConfigVerb::Ls { unknown: true } => {
                let mut answer =
                    api.call(Method::Get, "/things/unknown/configs?limit=100", None)?;
                let found = match answer.body["configs"].take() {
                    Value::Array(found) => found,
                    _ => Vec::new(),
                };
                listed(common, found, &["external_id"]);
            }
            ConfigVerb::Ls { unknown: false } => {
                let found = api.all("configs", "/things/configs")?;
                listed(common, found, &["external_id", "name", "state", "mainflux_id"]);
            }
            ConfigVerb::Show { config } => {
                let at = format!("/things/configs/{}", thing(&api, &config)?);
                shown(common, &api.call(Method::Get, &at, None)?.body);
            }
            ConfigVerb::Update { config, name, content } => {
                let at = format!("/things/configs/{}", thing(&api, &config)?);
                let known = api.call(Method::Get, &at, None)?.body;
                let name = name.map_or_else(|| known["name"].clone(), Value::from);
                let content = content.map_or_else(|| known["content"].clone(), Value::from);
                api.call(Method::Put, &at, Some(&json!({ "name": name, "content": content })))?;
            }
            ConfigVerb::Connect { config, channel } => {
                let at = format!("/things/configs/connections/{}", thing(&api, &config)?);
                let body = json!({ "channels": channels(&api, &channel)? });
                api.call(Method::Put, &at, Some(&body))?;
            }
            ConfigVerb::Activate { config } => change_state(&api, &config, 1)?,
            ConfigVerb::Deactivate { config } => change_state(&api, &config, 0)?,
            ConfigVerb::Rm { config } => {
                for config in config {
                    let at = format!("/things/configs/{}", thing(&api, &config)?);
                    api.call(Method::Delete, &at, None)?;
                }
            }
        }
        Ok(0)
    }
}

fn create(common: &Common, api: &Api, verb: ConfigVerb) -> Result<(), Failure> {
    let ConfigVerb::Create { external_id, external_key, thing, channel, name, content } = verb
    else {
        return Ok(());
    };
    let thing = thing.map(|thing| api.identify("things", &thing)).transpose()?;
    let body = json!({
        "external_id": external_id,
        "external_key": external_key,
        "thing_id": thing,
        "channels": channels(api, &channel)?,
        "name": name,
        "content": content,
    });
    made(common, &api.call(Method::Post, "/things/configs", Some(&body))?);
    Ok(())
}

fn change_state(api: &Api, config: &str, state: i64) -> Result<(), Failure> {
    let at = format!("/things/state/{}", thing(api, config)?);
    api.call(Method::Put, &at, Some(&json!({ "state": state })))?;
    Ok(())
}

fn channels(api: &Api, named: &[String]) -> Result<Vec<String>, ApiError> {
    named.iter().map(|channel| api.identify("channels", channel)).collect()
}

/// Finds the thing of a configuration that is named by it or by its device.
fn thing(api: &Api, config: &str) -> Result<String, ApiError> {
    let all = api.all("configs", "/things/configs")?;
    let is_meant = |item: &&Value| item["external_id"] == config || item["mainflux_id"] == config;
    let found = all.iter().find(is_meant).and_then(|item| item["mainflux_id"].as_str());
    found.map(str::to_owned).ok_or_else(|| ApiError::Ambiguous {
        count: 0,
        kind: "configs",
        name: config.to_owned(),
    })
}
