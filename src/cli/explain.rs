//! `rebeam explain`.

use clap::Args;
use serde_json::{Map, Value};

use super::Common;
use super::pull::From;
use crate::explain::Failure;
use crate::image;
use crate::pipeline::{self, Explained};
use crate::terminal::{self, Mode, Reasons};

#[derive(Debug, Args)]
#[command(after_help = "\
A path is one in the image, as it is seen in production: /app/lib/cowlib-2.12.1/ebin/cow_http.beam. A digest may be
an image's id or manifest, a layer's blob, diff id or chain id, the SHA-256 of a file in it, a commit, the hash of a
source or package of the lock, or the output or key of a build step; its first 7 digits are enough.

  rebeam explain /usr/lib/x86_64-linux-gnu/libcrypto.so.3
  rebeam explain sha256:9f2c41d0 --image hello:1.0.0")]
pub(super) struct Explain {
    /// A path in the image, or a digest
    #[arg(value_name = "DIGEST|PATH")]
    what: String,
    /// An image file, or NAME:VERSION or the id of one in the store [default: NAME-VERSION.tar of the project]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    #[command(flatten)]
    from: From,
}

impl Explain {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let store = common.open_store(&common.screen(Reasons::Summed))?;
        let mut image = self.image;
        // A digest may name an image of the store, or a layer of one, without being told which.
        if image.is_none()
            && let Ok(digest) = self.what.parse()
            && let Some(known) = image::known(&store)?.iter().find(|known| known.holds(digest))
        {
            image = Some(known.image_id.to_string());
        }
        let opened = self.from.open(common, image.as_deref())?;
        let found = pipeline::explain(opened.path(), &store, &self.what)?;
        match common.mode() {
            Mode::Json => {
                terminal::data(&Value::Array(found.iter().map(as_json).collect()).to_string());
            }
            _ => {
                let texts: Vec<String> = found.iter().map(as_text).collect();
                terminal::data(&texts.join("\n\n"));
            }
        }
        Ok(0)
    }
}

fn as_json(found: &Explained) -> Value {
    let facts = found.facts.iter();
    let facts = facts.map(|(name, value)| (name.replace(' ', "_"), Value::from(value.as_str())));
    let mut object: Map<String, Value> = facts.collect();
    object.insert("what".into(), found.what.into());
    Value::Object(object)
}

fn as_text(found: &Explained) -> String {
    let rows = found.facts.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]);
    terminal::table(&rows.collect::<Vec<_>>())
}
