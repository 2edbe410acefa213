//! Registry: an image file into a registry or an engine, whole or not at all.
//!
//! A registry takes an image as blobs and a manifest that names them; only the manifest makes them an image, so it is
//! sent last. A blob that is there is not sent again, which is all that it takes to go on after a failure. Nothing is
//! sent before the file was found sound, and nothing is said to be pushed before the registry said our digest.
//! Redirects, tokens and repetitions are followed here and not in `http`, for each has its rule about who may see
//! credentials. (The protocol: OCI distribution specification 1.1; tokens: Distribution's "Token Authentication".)

mod challenge;
mod chunks;
mod credentials;
mod documents;
mod engine;
mod error;
mod fetch;
pub(crate) mod fuzz;
mod listing;
mod origin;
mod papers;
mod pull;
mod pull_error;
mod reference;
mod referrers;
mod scheme;
mod session;
mod shelf;
mod upload;
mod token;
mod url;
mod watched;

pub use credentials::Credentials;
pub use engine::{EngineError, Loaded, Sockets, load};
pub use error::PushError;
pub use listing::{EMPTY_TYPE, Entry, Paper, fallback_tag};
pub use origin::{Origin, Platform};
pub use papers::{Listed, Repository, Written};
pub use pull::{LaidOut, Pulled, PulledLayer, Resolved, pull, resolve};
pub use pull_error::PullError;
pub use reference::Reference;
pub use session::{Door, Keys};
pub use shelf::Shelf;

use crate::digest::Digest;
use crate::event::Event;
use crate::image::{Contents, INDEX_TYPE, is_registry, is_repository};

use session::Session;
use upload::{Document, Traffic};

/// Whether a registry may be spoken to without encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Only one on this machine.
    Encrypted,
    /// Any: `--insecure`.
    Plain,
}

/// Where an image goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The repository.
    pub reference: Reference,
    /// The tags, at least one.
    pub tags: Vec<String>,
    /// Another repository of the registry that may have the same blobs.
    pub mount_from: Option<String>,
}

/// What a registry said it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Where, without a tag.
    pub place: String,
    /// The manifest's digest.
    pub manifest: Digest,
    /// Bytes of the blobs that were sent.
    pub sent_bytes: u64,
}

/// Reads the repository that blobs may be mounted from: of the same registry, with or without its name before.
pub fn mount_source(text: &str, registry: &str) -> Result<String, PushError> {
    let bad = || PushError::BadMount { from: text.to_owned(), registry: registry.to_owned() };
    let names_one = text.split_once('/').is_some_and(|(first, _)| is_registry(first));
    if !names_one && registry != "docker.io" {
        return if is_repository(text) { Ok(text.to_owned()) } else { Err(bad()) };
    }
    let source = Reference::parse(text)?;
    if source.registry != registry || source.tag.is_some() {
        return Err(bad());
    }
    Ok(source.repository)
}

/// Pushes an image whose file was checked, and returns when the registry has said its digest for every tag.
pub fn push(contents: &Contents, target: &Target, door: Door<'_>) -> Result<Pushed, PushError> {
    let document = Document::of(contents);
    push_tagged(&document, target, door, &|session, mount_from| {
        upload::blobs(session, contents, mount_from)
    })
}

/// Pushes the images of several machines whose files were checked, each under its digest, and then the index that names
/// them under every tag.
pub fn push_index(
    images: &[Contents],
    index: &[u8],
    target: &Target,
    door: Door<'_>,
) -> Result<Pushed, PushError> {
    let document = Document { kind: INDEX_TYPE, bytes: index, digest: Digest::of(index) };
    push_tagged(&document, target, door, &|session, mount_from| {
        let mut traffic = Traffic::default();
        for contents in images {
            let (document, place) = (Document::of(contents), contents.manifest_digest.to_string());
            if upload::has_manifest(session, &document, &place)? {
                continue;
            }
            let sent = upload::blobs(session, contents, mount_from)?;
            traffic.bytes += sent.bytes;
            traffic.blobs += sent.blobs;
            upload::put_manifest(session, &document, &place)?;
        }
        Ok(traffic)
    })
}

type Bring<'a> = dyn Fn(&Session<'_>, Option<&str>) -> Result<Traffic, PushError> + 'a;

/// Puts a document under every tag, after `bring` has brought all that it names.
fn push_tagged(
    document: &Document<'_>,
    target: &Target,
    door: Door<'_>,
    bring: &Bring<'_>,
) -> Result<Pushed, PushError> {
    let mount_from = target.mount_from.as_deref();
    let mount_from = mount_from.filter(|from| *from != target.reference.repository);
    let session = Session::new(door, &target.reference, mount_from);
    let mut missing = Vec::new();
    for tag in &target.tags {
        if !upload::has_manifest(&session, document, tag)? {
            missing.push(tag);
        }
    }
    // A registry that has the manifest has all that it names.
    let traffic = match missing.len() < target.tags.len() {
        true => Traffic::default(),
        false => bring(&session, mount_from)?,
    };
    for tag in missing {
        upload::put_manifest(&session, document, tag)?;
    }
    let place = target.reference.place();
    // What was sent is told once: a tag more costs nothing.
    let mut told = traffic;
    for tag in &target.tags {
        door.observer.observe(&Event::Pushed {
            reference: &format!("{place}:{tag}"),
            manifest: document.digest,
            sent_bytes: told.bytes,
            blobs_sent: told.blobs,
        });
        told = Traffic::default();
    }
    Ok(Pushed { place, manifest: document.digest, sent_bytes: traffic.bytes })
}

#[cfg(test)]
mod tests;
