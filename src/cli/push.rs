//! `rebeam push`, and what `rebeam build --push` shares with it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Common, build, key};
use crate::cache::{self, Cache, Way};
use crate::evidence::{Form, PrivateKey};
use crate::explain::Failure;
use crate::http::{Http, Mirrors};
use crate::manifest::Platform;
use crate::pipeline::{self, Backing, PushWish};
use crate::registry::{Credentials, Door, Pushed, Security};
use crate::terminal::{self, Mode, Reasons, Screen};

#[derive(Debug, Args)]
#[command(after_help = "\
A reference is HOST[:PORT]/REPOSITORY[:TAG], as docker's: without a host it is one of docker.io. Without
a tag the image's own counts, which is the project's version. Logins are those of `docker login`
and `podman login`. What is there already is not sent again, so the same command goes on after a failure.

A bill of materials and SLSA provenance are put beside the image, where registries list what is about it;
with `--sign` they are attested, and the image is signed: `rebeam verify --key` and `cosign verify --key` check it.

Standard output gets HOST/REPOSITORY@DIGEST, one line a repository.")]
pub(super) struct Push {
    /// Where to: [HOST[:PORT]/]REPOSITORY[:TAG] [default: the image's name]
    #[arg(value_name = "REF")]
    references: Vec<String>,
    /// The image file, or one for each machine [default: NAME-VERSION.tar of the project]
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Push the project's images for these machines, with an index [default: `platforms` in rebeam.toml]
    #[arg(long, value_name = "PLATFORM,…", value_delimiter = ',', value_parser = build::platform, conflicts_with = "file")]
    platform: Vec<Platform>,
    #[command(flatten)]
    how: How,
}

/// How an image is pushed.
#[derive(Debug, Args)]
pub(super) struct How {
    /// Push under this tag, too
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Take blobs from this repository of the same registry where it has them
    #[arg(long, value_name = "REPOSITORY")]
    mount_from: Option<String>,
    /// Speak plain HTTP to a registry that is not on this machine
    #[arg(long)]
    insecure: bool,
    /// Put this bill of materials beside the image [default: spdx]
    #[arg(long, value_enum, value_name = "FORMAT")]
    sbom: Option<Sbom>,
    /// Put no provenance beside the image
    #[arg(long)]
    no_provenance: bool,
    /// Sign the image with this key, as cosign does, and attest what is put beside it
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,
}

/// A bill of materials that goes beside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sbom {
    /// SPDX 2.3
    Spdx,
    /// CycloneDX 1.6
    Cyclonedx,
    /// Each of them
    Both,
    /// None
    None,
}

impl Push {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let Self { references, file, platform, how } = self;
        let wish = how.wish(references);
        let files = if file.is_empty() { common.image_files(platform)? } else { file };
        let screen = common.screen(Reasons::Summed);
        let key = how.key()?;
        let forms = how.forms();
        // Where no store can be had, the file is read.
        let store = common.open_store(&screen).ok();
        let backing = Backing { forms: &forms, key: key.as_ref(), memory: store.as_ref() };
        let pushed = how.with_door(common, &screen, |door| {
            pipeline::push_files(&files, &wish, &backing, door)
        })?;
        tell(common, &pushed);
        Ok(0)
    }
}

impl How {
    pub(super) fn wish(&self, references: Vec<String>) -> PushWish {
        let (tags, mount_from) = (self.tags.clone(), self.mount_from.clone());
        PushWish { references, tags, mount_from }
    }

    /// Tells whether any of it was said that caches have no use for.
    pub(super) fn is_said(&self, caches: bool) -> bool {
        let insecure = self.insecure && !caches;
        let where_to = !self.tags.is_empty() || self.mount_from.is_some() || insecure;
        where_to || self.sbom.is_some() || self.no_provenance || self.sign.is_some()
    }

    /// Returns the kinds of documents that go beside the image.
    pub(super) fn forms(&self) -> Vec<Form> {
        let mut forms = match self.sbom {
            None | Some(Sbom::Spdx) => vec![Form::Spdx],
            Some(Sbom::Cyclonedx) => vec![Form::CycloneDx],
            Some(Sbom::Both) => vec![Form::Spdx, Form::CycloneDx],
            Some(Sbom::None) => vec![],
        };
        forms.extend((!self.no_provenance).then_some(Form::Provenance));
        forms
    }

    /// Opens the key that signs, before anything is built or sent.
    pub(super) fn key(&self) -> Result<Option<PrivateKey>, Failure> {
        self.sign.as_deref().map(key::read_private).transpose()
    }

    /// Names caches.
    pub(super) fn caches(&self, common: &Common, names: &[String]) -> Result<Vec<Cache>, Failure> {
        let security = if self.insecure { Security::Plain } else { Security::Encrypted };
        let mut caches = Vec::new();
        for name in names {
            let way = Way {
                http: Http::new(common.network(), Mirrors::default()),
                credentials: Credentials::from_environment(&|name| std::env::var_os(name)),
                security,
            };
            caches.push(Cache::new(cache::Place::parse(name)?, way));
        }
        Ok(caches)
    }

    /// Hands the way to registries to `work`.
    pub(super) fn with_door<T>(
        &self,
        common: &Common,
        screen: &Screen,
        work: impl FnOnce(Door<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        with_door(common, self.insecure, screen, work)
    }
}

/// Hands the way to registries to `work`.
pub(super) fn with_door<T>(
    common: &Common,
    insecure: bool,
    screen: &Screen,
    work: impl FnOnce(Door<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let http = Http::new(common.network(), Mirrors::default());
    let credentials = Credentials::from_environment(&|name| std::env::var_os(name));
    let security = if insecure { Security::Plain } else { Security::Encrypted };
    work(Door { http: &http, credentials: &credentials, security, observer: screen })
}

/// Prints what a script goes on with.
pub(super) fn tell(common: &Common, pushed: &[Pushed]) {
    if common.mode() != Mode::Json {
        for one in pushed {
            terminal::data(&format!("{}@{}", one.place, one.manifest));
        }
    }
}
