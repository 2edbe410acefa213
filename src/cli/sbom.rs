//! `rebeam sbom`: what is in an image and how it was made, in the forms that scanners read.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Common;
use super::push::with_door;
use crate::disk;
use crate::evidence::{Facts, Form};
use crate::explain::Failure;
use crate::pipeline;
use crate::registry::Platform;
use crate::terminal::{self, Reasons};

#[derive(Debug, Args)]
#[command(after_help = "\
All of it is taken from the image, which carries its lock: the same image has the same document, byte for
byte. `rebeam push` puts the SPDX document and the provenance beside the image by itself.")]
pub(super) struct Sbom {
    /// An image file, or an image in a registry [default: NAME-VERSION.tar of the project]
    #[arg(value_name = "FILE|REF")]
    image: Option<String>,
    /// Write this kind of document
    #[arg(long, value_enum, default_value = "spdx")]
    format: Kind,
    /// Write it here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Speak plain HTTP to a registry that is not on this machine
    #[arg(long)]
    insecure: bool,
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

impl From<Kind> for Form {
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
        let facts = match self.image {
            Some(image) if pipeline::is_reference(&image) => {
                let screen = common.screen(Reasons::Summed);
                let store = common.open_store(&screen)?;
                let platform = Platform::of_this_machine();
                with_door(common, self.insecure, &screen, |door| {
                    let opened = pipeline::open_image(&image, &platform, &store, door)?;
                    Ok(Facts::read(opened.path())?)
                })?
            }
            image => Facts::read(&common.image_file(image.map(PathBuf::from))?)?,
        };
        let document = Form::from(self.format).document(&facts);
        match self.output {
            Some(place) => disk::write_atomic(&place, &[&document, b"\n".as_slice()].concat())?,
            None => terminal::raw(&[&document, b"\n".as_slice()].concat()),
        }
        Ok(0)
    }
}
