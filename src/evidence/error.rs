//! Error: what is wrong with a key, a signature, or a document about an image.

use std::path::PathBuf;

use thiserror::Error;

use crate::digest::Digest;
use crate::disk::DiskError;
use crate::explain::{Blame, Explain};
use crate::image::ImageError;
use crate::lock::LockError;

/// Evidence could not be made, or does not hold.
#[derive(Debug, Error)]
pub enum EvidenceError {
    /// The kernel gives no random numbers.
    #[error("the kernel gives no random numbers")]
    NoRandomness,
    /// A private key's file is damaged, or of another kind.
    #[error("`{file}` is no private key of cosign's: {what}")]
    BadPrivateKey {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// A public key's file is damaged, or of another kind.
    #[error("`{file}` is no public key that can be used: {what}")]
    BadPublicKey {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// A private key was given where the public one is asked for.
    #[error("`{file}` is a private key, and signatures are checked with the public one")]
    PrivateGiven {
        /// The file.
        file: String,
    },
    /// The password does not open the key, or the key's file is damaged: the cipher tells no difference.
    #[error("the password does not open `{file}`")]
    WrongPassword {
        /// The key's file.
        file: String,
    },
    /// A signed document of an image cannot be read.
    #[error("a signed document is no signature of an image: {what}")]
    BadPayload {
        /// What is wrong.
        what: String,
    },
    /// An envelope cannot be read.
    #[error("an attestation is no envelope: {what}")]
    BadEnvelope {
        /// What is wrong.
        what: String,
    },
    /// A bundle cannot be read.
    #[error("a bundle of signatures cannot be read: {what}")]
    BadBundle {
        /// What is wrong.
        what: String,
    },
    /// Signed with a certificate of the moment, which a key says nothing about.
    #[error(
        "`{name}` is signed with a certificate that was made for the moment (\"keyless\"), and by no key"
    )]
    Keyless {
        /// What is signed.
        name: String,
    },
    /// A statement cannot be read.
    #[error("an attestation holds no statement: {what}")]
    BadStatement {
        /// What is wrong.
        what: String,
    },
    /// Nothing is signed there.
    #[error("`{name}` has no signature")]
    Unsigned {
        /// What should be signed.
        name: String,
        /// Where a signature was looked for, if that is a file.
        looked_for: Option<PathBuf>,
    },
    /// Signed, but not by this key.
    #[error("`{name}` is signed, but not by the key `{key}` ({fingerprint})")]
    OtherKey {
        /// What is signed.
        name: String,
        /// The key's file.
        key: String,
        /// The key's fingerprint.
        fingerprint: Digest,
    },
    /// Signed by this key, but the signature is of something else.
    #[error("a signature at `{name}` is of another image\n  this:   {expected}\n  signed: {found}")]
    OtherImage {
        /// Where it was found.
        name: String,
        /// What it should be of.
        expected: Digest,
        /// What it is of.
        found: Digest,
    },
    /// An attestation of this key speaks of another image.
    #[error("an attestation at `{name}` (`{predicate}`) is about another image than {expected}")]
    OtherSubject {
        /// Where it was found.
        name: String,
        /// What kind of thing it says.
        predicate: String,
        /// What it should be about.
        expected: Digest,
    },
    /// A signature's file is not what `cosign sign-blob` writes.
    #[error("`{}` holds no signature in base64", path.display())]
    BadSignature {
        /// The file.
        path: PathBuf,
    },
    /// An image does not hold what a bill of materials is made of.
    #[error("`{}` does not hold the lock that it was made from", path.display())]
    NoLock {
        /// The image file.
        path: PathBuf,
    },
    /// The lock inside an image cannot be read.
    #[error("the lock in `{}` cannot be read", path.display())]
    BadLock {
        /// The image file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<LockError>,
    },
    /// The image file refused.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for EvidenceError {
    fn blame(&self) -> Blame {
        match self {
            Self::NoRandomness => Blame::World,
            Self::Image(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            _ => Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::BadPrivateKey { .. } => {
                "make one: `rebeam key generate`, or `cosign generate-key-pair`".into()
            }
            Self::BadPublicKey { .. } => {
                "`rebeam key public cosign.key` writes the public key of a private one".into()
            }
            Self::PrivateGiven { file } => format!("write it: `rebeam key public {file}`"),
            Self::WrongPassword { .. } => {
                "look at COSIGN_PASSWORD; if it is right, the file is damaged: copy it again".into()
            }
            Self::Unsigned { name, looked_for: Some(path) } => format!(
                "it was looked for in `{}`; sign it: `rebeam key sign --key cosign.key {name}`",
                path.display()
            ),
            Self::Unsigned { looked_for: None, .. } => {
                "sign it when it is pushed: `rebeam push --sign cosign.key`".into()
            }
            Self::BadBundle { .. } => "sign it again: `rebeam push --sign cosign.key`, `rebeam key sign`, or cosign".into(),
            Self::Keyless { name } => format!(
                "`cosign verify --certificate-identity WHO --certificate-oidc-issuer WHERE {name}` checks that; `rebeam push --sign` signs with a key"
            ),
            Self::OtherKey { .. } => {
                "ask who published it for the key; if the key is right, it was changed or signed by somebody else".into()
            }
            Self::OtherImage { .. } | Self::OtherSubject { .. } => {
                "somebody put evidence of another image there; do not trust it, and ask who published it".into()
            }
            Self::BadSignature { .. } => "sign it again: `rebeam key sign`".into(),
            Self::NoLock { .. } => "build it with `rebeam build`; other images have no lock inside".into(),
            Self::BadLock { .. } => {
                "build it again with this rebeam, or push it without documents: `--sbom none --no-provenance`".into()
            }
            Self::BadPayload { .. } | Self::BadEnvelope { .. } | Self::BadStatement { .. } => {
                "it bears the key's signature and another tool's form: ask who published it, or push and sign it again: `rebeam push --sign cosign.key`".into()
            }
            Self::NoRandomness => "look at the sandbox around this process: the call getrandom is refused".into(),
            Self::Image(error) => return error.hint(),
            Self::Disk(error) => return error.hint(),
        })
    }
}
