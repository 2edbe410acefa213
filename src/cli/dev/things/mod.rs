//! `rebeam dev thing`, `channel`, `config` and `user`: clients of the stack's things.

mod channel;
mod config;
mod thing;
mod user;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::Common;
use crate::dev::Place;
use crate::dev::things::{Answered, Api, ApiError};
use crate::disk;
use crate::explain::Failure;
use crate::http::Method;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::terminal::{self, Mode};

pub(super) use channel::Channel;
pub(super) use config::ConfigVerb;
pub(super) use thing::Thing;
pub(super) use user::User;

/// Who asks.
#[derive(Debug, Args)]
pub(super) struct Asking {
    /// Ask as this user and not as the stack's own; see --password-file
    #[arg(long = "as", global = true, value_name = "EMAIL")]
    email: Option<String>,
    /// Read that user's password from this file [default: what REBEAM_THINGS_PASSWORD says]
    #[arg(long, global = true, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Asking {
    fn api(&self, place: &Place) -> Result<Api, Failure> {
        let api = Api::find(place)?;
        match &self.email {
            None => Ok(api.enter(place)?),
            Some(email) => Ok(api.enter_as(email, &self.password()?)?),
        }
    }

    fn password(&self) -> Result<String, Failure> {
        let given = match &self.password_file {
            Some(file) => Some(disk::read_text(file, TEXT_FILE_BYTES_MAX)?),
            None => std::env::var("REBEAM_THINGS_PASSWORD").ok(),
        };
        let given = given.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        Ok(given.filter(|text| !text.is_empty()).ok_or(ApiError::NoPassword)?)
    }
}

/// What an owner says of a thing or a channel.
#[derive(Debug, Args)]
struct Described {
    /// Its name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What else is to be known of it: a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    metadata: Option<Value>,
}

impl Described {
    /// Puts what was said over what was known.
    fn over(self, known: &Value) -> Value {
        let name = self.name.map_or_else(|| known["name"].clone(), Value::from);
        let metadata = self.metadata.unwrap_or_else(|| known["metadata"].clone());
        json!({ "name": name, "metadata": metadata })
    }
}

fn object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("this is no JSON object".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// Says what was made.
fn made(common: &Common, answered: &Answered) {
    match common.mode() {
        Mode::Json => terminal::data(&json!({ "id": answered.id() }).to_string()),
        _ => terminal::data(answered.id()),
    }
}

/// Shows one thing as it is.
fn shown(common: &Common, item: &Value) {
    match common.mode() {
        Mode::Json => terminal::data(&item.to_string()),
        _ => {
            let text = serde_json::to_string_pretty(item).expect("JSON can be written");
            terminal::data(&text);
        }
    }
}

/// Lists items, with a column for each of these fields.
fn listed(common: &Common, items: Vec<Value>, fields: &[&str]) {
    if common.mode() == Mode::Json {
        return terminal::data(&Value::from(items).to_string());
    }
    let rows: Vec<Vec<String>> =
        items.iter().map(|item| fields.iter().map(|field| cell(&item[field])).collect()).collect();
    if !rows.is_empty() {
        terminal::data(&terminal::table(&rows));
    }
}

/// A value on one line, without anything that a terminal would obey.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Connects things to channels, or takes them off.
fn join(api: &Api, method: Method, thing: &str, channels: &[String]) -> Result<(), Failure> {
    let thing = api.identify("things", thing)?;
    for channel in channels {
        let channel = api.identify("channels", channel)?;
        api.call(method, &format!("/channels/{channel}/things/{thing}"), None)?;
    }
    Ok(())
}
