//! Evidence: what is put beside an image when it is pushed: what is in it, how it was made, and who says so.
//!
//! Documents that are nobody's word are kept as the registry's own referrers. With a key the image is signed, and the
//! same documents are attested, in the places where cosign looks for both. What is there already is not done again, so
//! that a second push changes nothing.

use std::collections::BTreeMap;

use thiserror::Error;

use super::signatures::{PAYLOAD_TYPE, SIGNATURE};
use crate::digest::Digest;
use crate::disk::{self, Status};
use crate::event::Event;
use crate::evidence::{
    Documents, ENVELOPE_TYPE, Envelope, EvidenceError, Facts, Form, PrivateKey, STATEMENT_TYPE,
    base64, payload, seal, unbase64,
};
use crate::explain::{Blame, Explain, Failure};
use crate::image::Contents;
use crate::limits::DOCUMENT_BYTES_MAX;
use crate::registry::{
    Door, Entry, Paper, PushError, Reference, Repository, Written, fallback_tag,
};
use crate::store::{BuildKey, Record, Store, StoreError};

/// Where the kind of a statement stands beside it.
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
/// The same, where cosign looks for it.
const COSIGN_PREDICATE_TYPE: &str = "predicateType";
/// When a document was made (OCI image specification, "Annotations").
const CREATED: &str = "org.opencontainers.image.created";

/// An image is pushed, and what proves it is not.
#[derive(Debug, Error)]
#[error("`{place}` is pushed, but what should stand beside it is not there")]
pub struct AttachFailure {
    place: String,
    #[source]
    source: PushError,
}

impl Explain for AttachFailure {
    fn blame(&self) -> Blame {
        self.source.blame()
    }

    fn hint(&self) -> Option<String> {
        let without = "a registry that takes no such documents takes the image alone: \
                       `--sbom none --no-provenance`";
        Some(self.source.hint().unwrap_or_else(|| without.into()))
    }
}

/// What goes beside an image.
#[derive(Clone, Copy)]
pub struct Backing<'a> {
    /// Kinds of documents.
    pub forms: &'a [Form],
    /// The key by which the image is signed and its documents are attested.
    pub key: Option<&'a PrivateKey>,
    /// Where what was read of an image file is kept, so that an unchanged file is not read again.
    pub memory: Option<&'a Store>,
}

/// Changes when the documents about the same image do.
const DOCUMENTS_VERSION: u32 = 1;

/// What goes beside one image, ready.
pub(super) struct Evidence<'a> {
    backing: Backing<'a>,
    documents: Documents,
}

impl<'a> Backing<'a> {
    /// Checks every digest of the image before anything is pushed, and reads what is needed of it on the same way. Of a
    /// file that stands as it was left both are known.
    pub(super) fn prepare(&self, contents: &Contents) -> Result<Evidence<'a>, EvidenceError> {
        let key = self.memory_key(contents);
        if let Some(documents) = key.and_then(|key| self.recall(key, contents)) {
            return Ok(Evidence { backing: *self, documents });
        }
        let documents = self.read(contents)?;
        // What changed while it was read is looked at again the next time.
        if key.is_some() && key == self.memory_key(contents) {
            // Without the memory the next push is slower, and no less right.
            let _ = key.map(|key| self.remember(key, &documents));
        }
        Ok(Evidence { backing: *self, documents })
    }

    fn read(&self, contents: &Contents) -> Result<Documents, EvidenceError> {
        let facts = match self.forms {
            [] => None,
            _ => Some(Facts::read(&contents.path).map_err(|error| {
                // What is damaged is best named by its digest; else it is whole and something else is the matter.
                contents.check().err().map_or(error, Into::into)
            })?),
        };
        let layers: Vec<Digest> = contents.layers.iter().map(|layer| layer.digest).collect();
        // Of a file whose halves name different layers only one half was read.
        if facts.as_ref().is_none_or(|facts| facts.layers != layers) {
            contents.check()?;
        }
        let nothing = || Documents {
            name: String::new(),
            created: String::new(),
            manifest: contents.manifest_digest,
            values: BTreeMap::new(),
        };
        Ok(facts.map_or_else(nothing, |facts| Documents::of(&facts, self.forms)))
    }

    /// Names what the documents are made of: the file by its status, as a build knows it, and this program.
    fn memory_key(&self, contents: &Contents) -> Option<BuildKey> {
        self.memory?;
        let Status { size, identity, modified_ns, changed_ns, .. } =
            disk::status(&contents.path).ok()??;
        let names: Vec<&str> = self.forms.iter().map(|form| form.name()).collect();
        Some(BuildKey::of(&format!(
            "documents {DOCUMENTS_VERSION} {}\nfile {size} {identity:?} {modified_ns} {changed_ns}\nmanifest {}\nforms {}\n",
            env!("CARGO_PKG_VERSION"),
            contents.manifest_digest,
            names.join(", "),
        )))
    }

    fn recall(&self, key: BuildKey, contents: &Contents) -> Option<Documents> {
        let store = self.memory?;
        let record = store.recall(key).ok()??;
        let mut lines = record.inputs.lines().map(str::to_owned);
        let (name, created) = (lines.next()?, lines.next()?);
        let mut values = BTreeMap::new();
        for form in self.forms {
            let (_, digest) = record.outputs.iter().find(|(name, _)| name == form.name())?;
            let bytes = disk::read(store.blob(*digest).ok()??.path(), DOCUMENT_BYTES_MAX).ok()?;
            let value = (Digest::of(&bytes) == *digest).then(|| serde_json::from_slice(&bytes));
            values.insert(*form, value?.ok()?);
        }
        Some(Documents { name, created, manifest: contents.manifest_digest, values })
    }

    fn remember(&self, key: BuildKey, documents: &Documents) -> Result<(), StoreError> {
        let Some(store) = self.memory else {
            return Ok(());
        };
        let mut outputs = Vec::new();
        for (form, value) in &documents.values {
            let text = value.to_string();
            let blob = store.insert_blob(form.name(), text.as_bytes(), DOCUMENT_BYTES_MAX, None)?;
            outputs.push((form.name().to_owned(), blob.digest()));
        }
        let inputs = format!("{}\n{}\n", documents.name, documents.created);
        store.remember(key, &Record { inputs, outputs })
    }

    /// Signs the index of several machines' images, where there is a key: a tag means the index.
    pub(super) fn sign_index(
        &self,
        index: Digest,
        reference: &Reference,
        door: Door<'_>,
    ) -> Result<(), Failure> {
        let Some(key) = self.key else {
            return Ok(());
        };
        sign(&Repository::open(door, reference), index, reference, key)?;
        door.observer.observe(&Event::Signed {
            name: &format!("{}@{index}", reference.place()),
            digest: index,
            key: key.public().fingerprint(),
        });
        Ok(())
    }
}

impl Evidence<'_> {
    /// Puts everything beside the image, which is there already.
    pub(super) fn attach(
        &self,
        image: &Contents,
        reference: &Reference,
        door: Door<'_>,
    ) -> Result<(), Failure> {
        let repository = Repository::open(door, reference);
        let place = format!("{}@{}", reference.place(), image.manifest_digest);
        let documents = &self.documents;
        let has_documents = !documents.values.is_empty();
        if has_documents {
            let papers: Vec<Paper> =
                self.backing.forms.iter().map(|form| paper(*form, documents)).collect();
            let failed = |source| AttachFailure { place: place.clone(), source };
            repository.attach(image, &papers).map_err(failed)?;
            let names: Vec<String> = papers.into_iter().map(|paper| paper.name).collect();
            let manifest = image.manifest_digest;
            let event = Event::Attached { reference: &place, manifest, documents: &names };
            door.observer.observe(&event);
        }
        let Some(key) = self.backing.key else {
            return Ok(());
        };
        sign(&repository, image.manifest_digest, reference, key)?;
        if has_documents {
            let attest = || attest(&repository, self.backing.forms, documents, key);
            repository.settle("the list of attestations", attest)?;
        }
        door.observer.observe(&Event::Signed {
            name: &place,
            digest: image.manifest_digest,
            key: key.public().fingerprint(),
        });
        Ok(())
    }
}

fn paper(form: Form, documents: &Documents) -> Paper {
    let mut annotations = BTreeMap::from([(CREATED.to_owned(), documents.created.clone())]);
    if form.media_type() == STATEMENT_TYPE {
        annotations.insert(PREDICATE_TYPE.into(), form.predicate_type().into());
    }
    Paper {
        name: form.name().into(),
        media_type: form.media_type().into(),
        bytes: documents.document(form),
        annotations,
    }
}

/// Returns what stands under a tag of documents.
fn entries(repository: &Repository<'_>, tag: &str) -> Result<Vec<Entry>, Failure> {
    Ok(match repository.manifest(tag)? {
        Some(listed) => repository.layers(&listed)?,
        None => Vec::new(),
    })
}

/// Signs the image, beside the signatures of others.
fn sign(
    repository: &Repository<'_>,
    image: Digest,
    reference: &Reference,
    key: &PrivateKey,
) -> Result<(), Failure> {
    let tag = format!("{}.sig", fallback_tag(image));
    let bytes = payload::write(&reference.place(), image);
    let ours = crate::digest::Digest::of(&bytes);
    let (public, is_ours) = (key.public(), |entry: &&Entry| entry.digest == ours);
    repository.settle("the list of signatures", || {
        let kept = entries(repository, &tag)?;
        let signed = kept.iter().filter(is_ours).any(|entry| {
            let signature = entry.annotations.get(SIGNATURE).and_then(|text| unbase64(text));
            signature.is_some_and(|signature| public.verifies(&bytes, &signature))
        });
        if signed {
            return Ok(Written::Already);
        }
        let signature = base64(&key.sign(&bytes)?);
        let paper = Paper {
            name: "a signature".into(),
            media_type: PAYLOAD_TYPE.into(),
            annotations: BTreeMap::from([(SIGNATURE.to_owned(), signature)]),
            bytes: bytes.clone(),
        };
        repository.put_under(&tag, kept, &[paper])?;
        Ok(Written::Now)
    })
}

/// Attests every document. What the same key said before of the same kind gives way, what others said stays.
fn attest(
    repository: &Repository<'_>,
    forms: &[Form],
    documents: &Documents,
    key: &PrivateKey,
) -> Result<Written, Failure> {
    let tag = format!("{}.att", fallback_tag(documents.manifest));
    let public = key.public();
    let mut missing: Vec<(Form, Vec<u8>)> =
        forms.iter().map(|form| (*form, documents.statement(*form))).collect();
    let mut kept = Vec::new();
    for entry in entries(repository, &tag)? {
        let bytes = repository.blob("an attestation", entry.digest)?;
        let ours = Envelope::parse(&bytes).ok().filter(|envelope| envelope.is_signed_by(&public));
        let Some(envelope) = ours else {
            kept.push(entry);
            continue;
        };
        if let Some(at) = missing.iter().position(|(_, text)| text == envelope.payload()) {
            missing.remove(at);
            kept.push(entry);
        } else if !envelope.statement().is_ok_and(|statement| {
            forms.iter().any(|form| form.predicate_type() == statement.predicate_type)
        }) {
            kept.push(entry);
        }
    }
    if missing.is_empty() {
        return Ok(Written::Already);
    }
    let mut papers = Vec::new();
    for (form, statement) in missing {
        let kind = form.predicate_type().to_owned();
        let annotations =
            [(SIGNATURE.to_owned(), String::new()), (COSIGN_PREDICATE_TYPE.into(), kind)];
        papers.push(Paper {
            name: format!("the attestation of {}", form.name()),
            media_type: ENVELOPE_TYPE.into(),
            bytes: seal(&statement, key)?,
            annotations: annotations.into(),
        });
    }
    repository.put_under(&tag, kept, &papers)?;
    Ok(Written::Now)
}

#[cfg(test)]
mod tests;
