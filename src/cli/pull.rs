//! What the verbs share that take an image of a registry in the place of a file.

use std::path::Path;

use clap::Args;

use super::Common;
use crate::explain::Failure;
use crate::http::{Http, Mirrors};
use crate::pipeline;
use crate::registry::{Credentials, Door, Platform, Security};
use crate::terminal::Reasons;

/// How an image is pulled.
#[derive(Debug, Args)]
pub(super) struct From {
    /// Of an image for several platforms, take this one [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform)]
    platform: Option<Platform>,
    /// Speak plain HTTP to a registry that is not on this machine
    #[arg(long)]
    insecure: bool,
}

impl From {
    /// Hands the image that is named to `work`, or else the project's own: a file, or what was pulled.
    pub(super) fn with_image<T>(
        &self,
        common: &Common,
        named: Option<String>,
        work: impl FnOnce(&Path) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Some(text) = named else {
            return work(&common.image_file(None)?);
        };
        if !pipeline::is_reference(&text) {
            return work(Path::new(&text));
        }
        let screen = common.screen(Reasons::Summed);
        let store = common.open_store(&screen)?;
        let http = Http::new(common.network(), Mirrors::default());
        let credentials = Credentials::from_environment(&|name| std::env::var_os(name));
        let security = if self.insecure { Security::Plain } else { Security::Encrypted };
        let door = Door { http: &http, credentials: &credentials, security, observer: &screen };
        let platform = self.platform.clone().unwrap_or_else(Platform::of_this_machine);
        let opened = pipeline::open_image(&text, &platform, &store, door)?;
        let done = work(opened.path());
        store.settle()?;
        done
    }
}

fn platform(text: &str) -> Result<Platform, String> {
    Platform::parse(text)
        .ok_or_else(|| "a platform is `linux/amd64`, `linux/arm64`, `linux/arm/v7`".into())
}
