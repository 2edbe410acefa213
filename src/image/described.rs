//! Described: the configuration of an image as it is read, whoever wrote it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::digest::Digest;

/// What is read of a configuration.
#[derive(Deserialize)]
pub(super) struct Config {
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) os: String,
    #[serde(default)]
    pub(super) variant: Option<String>,
    pub(super) created: Option<String>,
    #[serde(default)]
    pub(super) config: Option<Run>,
    pub(super) rootfs: RootFs,
    /// As it stands there: one image's history goes into that of another which is laid over it.
    #[serde(default)]
    pub(super) history: Option<Vec<Value>>,
}

/// How the image runs.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Run {
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) cmd: Option<Vec<String>>,
    pub(super) env: Option<Vec<String>>,
    pub(super) user: Option<String>,
    pub(super) working_dir: Option<String>,
    pub(super) exposed_ports: Option<BTreeMap<String, IgnoredAny>>,
    pub(super) volumes: Option<BTreeMap<String, IgnoredAny>>,
    pub(super) labels: Option<BTreeMap<String, String>>,
}

/// The plain tars of its layers.
#[derive(Deserialize)]
pub(super) struct RootFs {
    pub(super) diff_ids: Vec<Digest>,
}

impl Config {
    /// What made each entry of the history.
    pub(super) fn commands(&self) -> impl Iterator<Item = &str> {
        self.history.iter().flatten().map(command)
    }

    /// What made each layer, from the bottom, as far as the history says.
    pub(super) fn made_by(&self) -> impl Iterator<Item = &str> {
        let filled = |entry: &&Value| !is_empty(entry);
        self.history.iter().flatten().filter(filled).map(command)
    }
}

/// Tells whether an entry of a history stands for no layer.
pub(super) fn is_empty(entry: &Value) -> bool {
    entry["empty_layer"] == true
}

fn command(entry: &Value) -> &str {
    entry["created_by"].as_str().unwrap_or_default()
}
