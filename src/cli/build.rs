//! `rebeam build`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _};

use super::push::{self, How};
use super::{Cli, Common};
use crate::cache::Caches;
use crate::explain::Failure;
use crate::manifest::Platform;
use crate::pipeline::{self, Backing, BuildOptions, Built, Desk, Freshness};
use crate::registry::Door;
use crate::terminal::{self, Mode, Reasons};

#[derive(Debug, Args)]
#[command(after_help = "\
The file is a docker-archive and an OCI layout in one:
  docker load -i NAME-VERSION.tar        podman load -i NAME-VERSION.tar
  skopeo copy oci-archive:NAME-VERSION.tar docker://registry/name

With `--platform` there is NAME-VERSION-ARCH.tar for each machine, and NAME-VERSION-oci.tar holds all of them:
  skopeo copy --all oci-archive:NAME-VERSION-oci.tar:VERSION docker://registry/name

A cache is a repository of any registry, or a directory (`./cache`) in OCI layout. Trees and layers are proved as
they come, but not that they belong to the step: whoever may write to a cache decides what is built from it.
Nothing but `--cache-from` makes a build ask one; `rebeam verify` builds without any and compares.

Standard output gets the path of each file, so that a script can go on with it.")]
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
    /// Make images for these machines: linux/amd64, linux/arm64, linux/arm/v7 [default: `platforms` in rebeam.toml]
    #[arg(long, value_name = "PLATFORM,…", value_delimiter = ',', value_parser = platform)]
    platform: Vec<Platform>,
    /// Leave the boot check out
    #[arg(long)]
    no_boot_check: bool,
    /// Push the image to a registry, too [default: the one in the image's name]
    #[arg(long, value_name = "REF", num_args = 0..=1, default_missing_value = "")]
    push: Option<String>,
    /// Take what steps made from here where it is not in the store: a repository or a directory. Who may write there
    /// decides what is built from it
    #[arg(long, value_name = "REF|DIR")]
    cache_from: Vec<String>,
    /// Bring what steps made there
    #[arg(long, value_name = "REF|DIR")]
    cache_to: Vec<String>,
    #[command(flatten)]
    how: How,
}

/// Reads one platform of an option.
pub(super) fn platform(name: &str) -> Result<Platform, String> {
    let names = Platform::ALL.map(Platform::name).join(", ");
    Platform::from_name(name.trim()).ok_or_else(|| format!("rebeam makes images for {names}"))
}

/// Builds for the machines that are asked for here, else in the manifest, else for this one.
fn build(desk: &Desk<'_>, options: &BuildOptions, asked: Vec<Platform>) -> Result<Built, Failure> {
    let mut platforms =
        if asked.is_empty() { desk.manifest.image.platforms.clone() } else { asked };
    platforms.sort_unstable();
    platforms.dedup();
    if platforms.is_empty() {
        return Ok(Built { images: vec![pipeline::build(desk, options)?], layout: None });
    }
    pipeline::build_platforms(desk, options, &platforms)
}

impl Build {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let caches = !self.cache_from.is_empty() || !self.cache_to.is_empty();
        if self.push.is_none() && self.how.is_said(caches) {
            let what = "`--tag`, `--mount-from`, `--insecure`, `--sbom`, `--no-provenance` and `--sign` go with `--push`";
            drop(Cli::command().error(ErrorKind::MissingRequiredArgument, what).print());
            return Ok(2);
        }
        let freshness = match (self.locked, self.frozen) {
            (true, _) => Freshness::Locked,
            (_, true) => Freshness::Frozen,
            _ => Freshness::Renewed,
        };
        let cache_to = self.how.caches(common, &self.cache_to)?;
        let options = BuildOptions {
            freshness,
            output: self.output,
            boot_check: !self.no_boot_check,
            cache_to: cache_to.into_iter().map(Arc::new).collect(),
        };
        let cache_from = self.how.caches(common, &self.cache_from)?;
        let reasons = if self.why { Reasons::Told } else { Reasons::Summed };
        let references = self.push.iter().filter(|text| !text.is_empty()).cloned().collect();
        let key = self.how.key()?;
        let wish = self.push.as_ref().map(|_| self.how.wish(references));
        let asked = self.platform;
        let (packed, targets) = common.with_desk(reasons, |desk| {
            let (name, tag) = (&desk.manifest.image.name, &desk.manifest.project.version);
            // A wrong word is found before the build.
            let targets = wish.as_ref().map(|wish| wish.targets(name, tag)).transpose()?;
            if !cache_from.is_empty() {
                desk.store.look_also(Arc::new(Caches(cache_from)));
            }
            Ok((build(desk, &options, asked)?, targets))
        })?;
        if common.mode() != Mode::Json {
            for path in packed
                .images
                .iter()
                .map(|image| &image.path)
                .chain(packed.layout.iter().map(|layout| &layout.path))
            {
                terminal::data(&path.display().to_string());
            }
        }
        if let Some(targets) = targets {
            let screen = common.screen(reasons);
            let files: Vec<PathBuf> = packed.images.into_iter().map(|image| image.path).collect();
            let forms = self.how.forms();
            let store = common.open_store(&screen)?;
            let backing = Backing { forms: &forms, key: key.as_ref(), memory: Some(&store) };
            let work = |door: Door<'_>| pipeline::push(&files, &targets, &backing, door);
            push::tell(common, &self.how.with_door(common, &screen, work)?);
        }
        Ok(0)
    }
}
