//! `rebeam run`.

use clap::Args;

use super::Common;
use super::outside::Outside;
use super::pull::From;
use crate::event::{Event, Observer as _};
use crate::explain::Failure;
use crate::pipeline::{self, Port, RunWish};
use crate::terminal::Reasons;

#[derive(Debug, Args)]
#[command(after_help = "\
The image's files are all that the release sees, beside what --volume shows it. Its network is this machine's, so a
port is open under its own number; -p shows it under another one, too. Ctrl-C stops it.

  rebeam run -p 8081:8080 -e LOG_LEVEL=debug --volume ./data:/var/lib/app

(-v is --verbose here, as everywhere in rebeam.)")]
pub(super) struct Run {
    /// An image file, or NAME:VERSION or the id of one in the store [default: NAME-VERSION.tar of the project]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    #[command(flatten)]
    from: From,
    /// Show a port of the image as another one of this machine: [[ADDRESS:]OUTSIDE:]INSIDE
    #[arg(short, long, value_name = "PORT")]
    port: Vec<String>,
    #[command(flatten)]
    outside: Outside,
    /// Arguments in place of the image's own
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Run {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let ports = self.port.iter().map(|text| text.parse()).collect::<Result<Vec<Port>, _>>()?;
        let wish = RunWish {
            arguments: self.arguments,
            env: self.outside.variables(),
            mounts: self.outside.mounts()?,
            ports,
        };
        let opened = self.from.open(common, self.image.as_deref())?;
        let screen = common.screen(Reasons::Summed);
        let store = common.open_store(&screen)?;
        let ran = pipeline::run(&store, opened.path(), common.sandbox.into(), &wish)?;
        if let Some(message) = ran.complaint() {
            screen.observe(&Event::Warned { message: &message });
        }
        Ok(ran.exit_code())
    }
}
