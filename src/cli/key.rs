//! `rebeam key`: a pair of keys in cosign's format, and signatures of files.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use thiserror::Error;

use super::Common;
use crate::disk;
use crate::event::{Event, Observer as _};
use crate::evidence::{self, PrivateKey, PublicKey, SealedKey};
use crate::explain::{Blame, Explain, Failure};
use crate::limits::KEY_BYTES_MAX;
use crate::pipeline;
use crate::terminal::{self, Reasons};

/// Where the password of a key may stand, as for cosign.
const PASSWORD: &str = "COSIGN_PASSWORD";

#[derive(Debug, Args)]
#[command(after_help = "\
The pair is cosign's: `cosign sign --key cosign.key` takes what `rebeam key generate` writes, and `rebeam push --sign`
what `cosign generate-key-pair` writes. The password is COSIGN_PASSWORD, or asked for.

What lies in a project and is not ignored by git is a source of its builds: keep a private key elsewhere.")]
pub(super) struct Key {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a new pair: NAME.key, closed by a password, and NAME.pub
    Generate {
        /// Name the files so
        #[arg(long, value_name = "NAME", default_value = "cosign")]
        name: PathBuf,
    },
    /// Print the public key of a private one
    Public {
        /// The private key
        #[arg(value_name = "FILE", default_value = "cosign.key")]
        key: PathBuf,
    },
    /// Sign files: FILE.sig is written beside each, as `cosign sign-blob` does
    Sign {
        /// The private key
        #[arg(long, value_name = "FILE", default_value = "cosign.key")]
        key: PathBuf,
        /// What is signed
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
}

/// What stands between a person and a key.
#[derive(Debug, Error)]
enum KeyError {
    /// A file would be overwritten.
    #[error("`{}` is there already", path.display())]
    Exists { path: PathBuf },
    /// No password is known, and nobody can be asked.
    #[error("a password is needed for `{}`, and nobody is there to be asked", path.display())]
    NoPassword { path: PathBuf },
    /// Two passwords that should be one.
    #[error("the two passwords differ")]
    Differ,
}

impl Explain for KeyError {
    fn blame(&self) -> Blame {
        Blame::User
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Exists { .. } => {
                "what it signed needs it: keep it, and choose another name with `--name`".into()
            }
            Self::NoPassword { .. } => format!("set {PASSWORD}; an empty one counts too"),
            Self::Differ => "once more: `rebeam key generate`".into(),
        })
    }
}

impl Key {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        match self.verb {
            Verb::Generate { name } => generate(common, &name),
            Verb::Public { key } => {
                let pem = read_private(&key)?.public().to_pem();
                common.answer(
                    || json!({ "event": "public_key", "pem": pem }),
                    || pem.trim_end().to_owned(),
                );
                Ok(0)
            }
            Verb::Sign { key, files } => {
                let screen = common.screen(Reasons::Summed);
                let key = read_private(&key)?;
                for file in files {
                    let place = pipeline::sign_file(&file, &key)?;
                    let name = file.to_string_lossy();
                    let digest = disk::digest(&file)?;
                    let key = key.public().fingerprint();
                    screen.observe(&Event::Signed { name: &name, digest, key });
                    if common.mode() != terminal::Mode::Json {
                        terminal::data(&place.display().to_string());
                    }
                }
                Ok(0)
            }
        }
    }
}

fn generate(common: &Common, name: &Path) -> Result<u8, Failure> {
    let with = |ending: &str| {
        let mut path = name.as_os_str().to_owned();
        path.push(ending);
        PathBuf::from(path)
    };
    let (private, public) = (with(".key"), with(".pub"));
    for path in [&private, &public] {
        if disk::exists(path) {
            return Err(KeyError::Exists { path: path.clone() }.into());
        }
    }
    let password = password(&private, Asked::Twice)?;
    let (private_text, public_text) = evidence::generate(&password)?;
    disk::write_secret(&private, private_text.as_bytes())?;
    disk::write_atomic(&public, public_text.as_bytes())?;
    let [private, public] = [private, public].map(|path| path.display().to_string());
    common.answer(
        || json!({ "event": "key_generated", "private": private, "public": public }),
        || format!("{private}\n{public}"),
    );
    Ok(0)
}

/// How often a password is asked for: a new one could be mistyped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Once,
    Twice,
}

fn password(key: &Path, asked: Asked) -> Result<Vec<u8>, Failure> {
    use std::os::unix::ffi::OsStringExt as _;
    if let Some(password) = std::env::var_os(PASSWORD) {
        return Ok(password.into_vec());
    }
    let nobody = || KeyError::NoPassword { path: key.to_owned() };
    let ask = |words: &str| terminal::ask_secret(words).ok_or_else(nobody);
    let first = ask(&format!("password for {}: ", key.display()))?;
    if asked == Asked::Twice && ask("the same again: ")? != first {
        return Err(KeyError::Differ.into());
    }
    Ok(first)
}

/// Reads a private key's file, and opens it.
pub(super) fn read_private(path: &Path) -> Result<PrivateKey, Failure> {
    let file = path.display().to_string();
    let sealed = SealedKey::parse(&text(path)?, &file)?;
    Ok(sealed.open(&password(path, Asked::Once)?, &file)?)
}

/// Reads a public key's file.
pub(super) fn read_public(path: &Path) -> Result<PublicKey, Failure> {
    Ok(PublicKey::parse(&text(path)?, &path.display().to_string())?)
}

/// Reads a key's file. What is no text is no key, which its reader says better.
fn text(path: &Path) -> Result<String, Failure> {
    Ok(String::from_utf8_lossy(&disk::read(path, KEY_BYTES_MAX)?).into_owned())
}
