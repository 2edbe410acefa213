//! Payload: what cosign signs of an image: a short document that names its digest ("simple signing").

use serde::{Deserialize, Serialize};

use super::EvidenceError;
use crate::digest::Digest;

/// What the document says it is.
const KIND: &str = "cosign container image signature";

#[derive(Serialize, Deserialize)]
struct Document {
    critical: Critical,
    optional: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    r#type: String,
}

#[derive(Serialize, Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    docker_reference: String,
}

#[derive(Serialize, Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    docker_manifest_digest: String,
}

/// Writes the document for an image at a place in a registry.
pub fn write(place: &str, manifest: Digest) -> Vec<u8> {
    // cosign knows Docker's registry by its older name.
    let docker_reference = match place.strip_prefix("docker.io/") {
        Some(rest) => format!("index.docker.io/{rest}"),
        None => place.to_owned(),
    };
    let document = Document {
        critical: Critical {
            identity: Identity { docker_reference },
            image: Image { docker_manifest_digest: manifest.to_string() },
            r#type: KIND.into(),
        },
        optional: None,
    };
    serde_json::to_vec(&document).expect("the document has only text keys")
}

/// Reads the digest of the image that a document is about.
pub fn read(bytes: &[u8]) -> Result<Digest, EvidenceError> {
    let bad = |what: &str| EvidenceError::BadPayload { what: what.into() };
    let document: Document =
        serde_json::from_slice(bytes).map_err(|_| bad("it is not the JSON of simple signing"))?;
    if document.critical.r#type != KIND {
        return Err(bad(&format!("its type is `{}`", super::said(&document.critical.r#type))));
    }
    let digest = document.critical.image.docker_manifest_digest;
    digest.parse().map_err(|_| bad(&format!("it names the digest `{}`", super::said(&digest))))
}
