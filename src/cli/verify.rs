//! `rebeam verify`.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _};
use serde_json::json;

use super::pull::From;
use super::{Cli, Common, diff, signed};
use crate::compare::Weight;
use crate::disk;
use crate::explain::Failure;
use crate::fetch::Doors;
use crate::http::{Http, Mirrors};
use crate::manifest::Manifest;
use crate::pipeline::{self, Claim, Vary, Verified, VerifyOptions};
use crate::terminal::{self, Mode, Reasons};

/// Differences that are shown of an image that is not good.
const SHOWN_MAX: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = "\
The image is built once more from the lock in it and from exactly the project that it names: the one in the
current directory (or -C DIR), or the commit that the image names, out of the repository around it. No result of
an earlier build is used; sources and packages are known by their hashes.

The second build differs in everything that no output may depend on:
  host     host name                 zone     time zone
  user     user and group            locale   language and its rules (the encoding stays UTF-8)
  umask    umask                     cores    cores and schedulers
  clock    time of day               and the store's directory on the host
The directory inside, /build, is part of the recipe, because compilers write it into what they make;
`--vary path` makes it another one, too, and says what depends on it.

It prints GOOD and exits with 0 if the same image came out, BAD and 1 with what differs and why if another
did, FAIL and 2 if it could not be built.

With --key nothing is built: the signatures and attestations that `rebeam push --sign` or cosign put beside an image
are checked, or that of a FILE in FILE.sig, as `rebeam key sign` and `cosign sign-blob` write it, or in the bundle
FILE.sigstore.json of cosign 3. Standard output gets NAME@DIGEST, one line for each whose signature holds.")]
pub(super) struct Verify {
    /// An image [default: NAME-VERSION.tar of the project]; with --key also images in registries and other files
    #[arg(value_name = "IMAGE|FILE|REF")]
    names: Vec<String>,
    /// Build nothing, but check that this public key's holder signed them
    #[arg(long, value_name = "FILE", requires = "names", conflicts_with_all = ["vary", "output", "html"])]
    key: Option<PathBuf>,
    #[command(flatten)]
    from: From,
    /// Vary this, too: `path`; or with `=` only these, by comma, or `none`
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = ["host", "user", "umask", "zone", "locale", "cores", "clock", "path", "none", "all"])]
    vary: Vec<String>,
    /// Keep the second image here
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write what differs into this file, for a browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Verify {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        if let Some(key) = &self.key {
            return signed::check(common, &self.names, key, &self.from);
        }
        if self.names.len() > 1 {
            let what = "one image is verified at a time; only with `--key` several are checked";
            drop(Cli::command().error(ErrorKind::TooManyValues, what).print());
            return Ok(2);
        }
        let verified = match self.verify(common) {
            Ok(verified) => verified,
            Err(failure) => {
                if common.mode() == Mode::People {
                    terminal::data("FAIL");
                }
                terminal::report(&failure, common.mode());
                return Ok(2);
            }
        };
        if let (Some(path), Some(comparison)) = (&self.html, &verified.comparison) {
            diff::write_page(path, comparison)?;
        }
        match common.mode() {
            Mode::Json => tell_json(&verified),
            Mode::People => tell(&verified),
            Mode::Quiet => {}
        }
        Ok(u8::from(!verified.is_good()))
    }

    fn verify(&self, common: &Common) -> Result<Verified, Failure> {
        let opened = self.from.open(common, self.names.first().map(String::as_str))?;
        let file = opened.path();
        let claim = Claim::read(file)?;
        let screen = common.screen(Reasons::Summed);
        // One handle knows the toolchain, the other one nothing that was ever built.
        let memory = common.open_store(&screen)?;
        let store = common.open_store(&screen)?.apart();
        let project = disk::canonical(&common.project)?;
        let http = Http::new(common.network(), Mirrors::default());
        let doors = Doors::new(&store, &http, &screen);
        let origin = pipeline::find_origin(&claim, &project, &doors)?;
        let manifest = Manifest::read(&origin.root)?;
        let options = VerifyOptions { vary: self.varied(), output: self.output.clone() };
        common.with_desk_at((&origin.root, &manifest), &store, &screen, |desk| {
            pipeline::verify(desk, &memory, file, (&claim, &origin), &options)
        })
    }

    fn varied(&self) -> Vec<Vary> {
        let named = |name: &str| self.vary.iter().any(|vary| vary == name);
        if named("none") {
            return vec![];
        }
        if named("all") {
            return Vary::ALL.to_vec();
        }
        let mut wanted: Vec<Vary> =
            self.vary.iter().filter_map(|name| Vary::from_name(name)).collect();
        if wanted.iter().all(|vary| *vary == Vary::Path) {
            wanted.extend(Vary::USUAL);
        }
        wanted.sort();
        wanted.dedup();
        wanted
    }
}

fn word(verified: &Verified) -> &'static str {
    if verified.is_good() { "GOOD" } else { "BAD" }
}

fn tell_json(verified: &Verified) {
    let comparison = verified.comparison.as_ref();
    let comparison = comparison.map(|comparison| diff::as_json(comparison, Weight::Form));
    let value = json!({
        "event": "verified", "verdict": word(verified), "image_id": verified.image_id,
        "rebuilt": verified.rebuilt, "same_blobs": verified.same_blobs, "varied": verified.varied,
        "notes": verified.notes, "duration_ms": verified.duration_ms, "comparison": comparison,
    });
    terminal::data(&value.to_string());
}

fn tell(verified: &Verified) {
    let time = terminal::duration(verified.duration_ms);
    terminal::data(&format!("{} {} in {time}", word(verified), verified.image_id));
    for note in &verified.notes {
        terminal::talk(&format!("note: {note}"));
    }
    match &verified.comparison {
        None if !verified.same_blobs => terminal::talk(
            "note: another program has packed or named its layers; what they hold is the same",
        ),
        None => {}
        Some(comparison) => {
            terminal::data(&format!("built {}\n", verified.rebuilt));
            terminal::data(&diff::as_text(comparison, Weight::Form, SHOWN_MAX));
        }
    }
}
