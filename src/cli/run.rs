//! `rebeam run`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::Common;
use crate::explain::Failure;
use crate::pipeline;
use crate::terminal::Reasons;

#[derive(Debug, Args)]
#[command(after_help = "\
The image's files are all that the release sees; ports are the host's own. Ctrl-C stops it.")]
pub(super) struct Run {
    /// An image file [default: NAME-VERSION.tar of the project]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Set a variable of the environment
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Arguments in place of the image's own
    #[arg(last = true)]
    arguments: Vec<String>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not NAME=VALUE")),
    }
}

impl Run {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let env: BTreeMap<String, String> = self.env.into_iter().collect();
        let archive = common.image_file(self.image)?;
        pipeline::run(
            &common.open_store(&common.screen(Reasons::Summed))?,
            &archive,
            common.sandbox.into(),
            &self.arguments,
            &env,
        )
    }
}
