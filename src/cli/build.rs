//! `rebeam build`.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _};

use super::push::{self, How};
use super::{Cli, Common};
use crate::explain::Failure;
use crate::pipeline::{self, Backing, BuildOptions, Freshness};
use crate::registry::Door;
use crate::terminal::{self, Mode, Reasons};

#[derive(Debug, Args)]
#[command(after_help = "\
The file is a docker-archive and an OCI layout in one:
  docker load -i NAME-VERSION.tar        podman load -i NAME-VERSION.tar
  skopeo copy oci-archive:NAME-VERSION.tar docker://registry/name

Standard output gets the file's path, so that a script can go on with it.")]
pub(super) struct Build {
    /// Refuse to build when the lock is stale, instead of bringing it up to date
    #[arg(long, conflicts_with = "frozen")]
    locked: bool,
    /// Build what the lock says without looking whether it is stale
    #[arg(long)]
    frozen: bool,
    /// Say for every step why it was or was not reused
    #[arg(long)]
    why: bool,
    /// Write the image here [default: NAME-VERSION.tar in the project]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Leave the boot check out
    #[arg(long)]
    no_boot_check: bool,
    /// Push the image to a registry, too [default: the one in the image's name]
    #[arg(long, value_name = "REF", num_args = 0..=1, default_missing_value = "")]
    push: Option<String>,
    #[command(flatten)]
    how: How,
}

impl Build {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        if self.push.is_none() && self.how.is_said() {
            let what = "`--tag`, `--mount-from`, `--insecure`, `--sbom`, `--no-provenance` and `--sign` go with `--push`";
            drop(Cli::command().error(ErrorKind::MissingRequiredArgument, what).print());
            return Ok(2);
        }
        let freshness = match (self.locked, self.frozen) {
            (true, _) => Freshness::Locked,
            (_, true) => Freshness::Frozen,
            _ => Freshness::Renewed,
        };
        let options =
            BuildOptions { freshness, output: self.output, boot_check: !self.no_boot_check };
        let reasons = if self.why { Reasons::Told } else { Reasons::Summed };
        let references = self.push.iter().filter(|text| !text.is_empty()).cloned().collect();
        let key = self.how.key()?;
        let wish = self.push.as_ref().map(|_| self.how.wish(references));
        let (packed, targets) = common.with_desk(reasons, |desk| {
            let (name, tag) = (&desk.manifest.image.name, &desk.manifest.project.version);
            // A wrong word is found before the build.
            let targets = wish.as_ref().map(|wish| wish.targets(name, tag)).transpose()?;
            Ok((pipeline::build(desk, &options)?, targets))
        })?;
        if common.mode() != Mode::Json {
            terminal::data(&packed.path.display().to_string());
        }
        if let Some(targets) = targets {
            let screen = common.screen(reasons);
            let forms = self.how.forms();
            let backing = Backing { forms: &forms, key: key.as_ref() };
            let work = |door: Door<'_>| pipeline::push(&packed.path, &targets, &backing, door);
            push::tell(common, &self.how.with_door(common, &screen, work)?);
        }
        Ok(0)
    }
}
