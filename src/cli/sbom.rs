//! `rebeam sbom`: what is in an image and how it was made, in the forms that scanners read.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::Common;
use super::pull::From;
use crate::disk;
use crate::evidence::{Facts, Form};
use crate::explain::Failure;
use crate::terminal;

#[derive(Debug, Args)]
#[command(after_help = "\
All of it is taken from the image, which carries its lock: the same image has the same document, byte for
byte. `rebeam push` puts the SPDX document and the provenance beside the image by itself.")]
pub(super) struct Sbom {
    /// An image file, an image of the store, or one in a registry [default: NAME-VERSION.tar of the project]
    #[arg(value_name = "IMAGE")]
    image: Option<String>,
    /// Write this kind of document
    #[arg(long, value_enum, default_value = "spdx")]
    format: Kind,
    /// Write it here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    from: From,
}

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// SPDX 2.3
    Spdx,
    /// CycloneDX 1.6
    Cyclonedx,
    /// SLSA provenance 1, as an in-toto statement
    Provenance,
}

impl std::convert::From<Kind> for Form {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Spdx => Self::Spdx,
            Kind::Cyclonedx => Self::CycloneDx,
            Kind::Provenance => Self::Provenance,
        }
    }
}

impl Sbom {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let read = |path: &Path| Ok(Facts::read(path)?);
        let facts = self.from.with_image(common, self.image, read)?;
        let document = Form::from(self.format).document(&facts);
        match self.output {
            Some(place) => disk::write_atomic(&place, &[&document, b"\n".as_slice()].concat())?,
            None => terminal::raw(&[&document, b"\n".as_slice()].concat()),
        }
        Ok(0)
    }
}
