//! Event: the facts that stages say, and Observer, who hears them.
//!
//! A stage never prints. The terminal, `--json` and the tests listen to the same facts.

use serde::Serialize;

use crate::digest::Digest;

/// A present or past fact of the flow. Sizes are in bytes, durations in milliseconds.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event<'a> {
    /// Something is worth a person's attention and nothing stops for it.
    Warned { message: &'a str },
    /// A download began; `bytes` where the size is known.
    FetchStarted { name: &'a str, bytes: Option<u64> },
    /// A download has received `bytes` in all so far.
    FetchProgress { name: &'a str, bytes: u64 },
    /// A download is complete and equals what was promised.
    Fetched { name: &'a str, bytes: u64 },
    /// A request failed in a way that may pass, and is made again after `delay_ms`.
    Retrying { name: &'a str, attempt: u32, delay_ms: u64, reason: &'a str },
    /// The toolchain root is being put together from `packages` packages.
    ToolchainStarted { suite: &'a str, packages: usize },
    /// One package of the toolchain was unpacked.
    PackageUnpacked { name: &'a str },
    /// The toolchain root stands in the store.
    ToolchainReady { suite: &'a str, packages: usize, reused: bool },
    /// The lock was settled; `changes` sums up what differs from the one before.
    Locked { sources: usize, packages: usize, changes: &'a [String], rewritten: bool },
    /// The build knows its plan.
    BuildPlanned { steps: usize },
    /// A step began to run in the sandbox.
    StepStarted { name: &'a str },
    /// A line that a step printed.
    StepOutput { name: &'a str, line: &'a str },
    /// A step's outputs were taken from the store.
    StepReused { name: &'a str, digest: Digest },
    /// A step ran; `reason` says why it was not reused.
    StepBuilt { name: &'a str, digest: Digest, duration_ms: u64, reason: &'a str },
    /// All steps stand in the store.
    Built { name: &'a str, version: &'a str, reused: usize, built: usize, duration_ms: u64 },
    /// A layer was taken from the store.
    LayerReused { name: &'a str, digest: Digest, bytes: u64 },
    /// A layer was made.
    LayerMade { name: &'a str, digest: Digest, bytes: u64 },
    /// The release started from exactly the image's files.
    BootChecked { duration_ms: u64 },
    /// The image file was written.
    ImageWritten {
        path: &'a str,
        image_id: Digest,
        manifest: Digest,
        bytes: u64,
        unpacked_bytes: u64,
    },
    /// The file that holds the images of several machines was written.
    LayoutWritten { path: &'a str, index: Digest, images: usize, bytes: u64 },
    /// The image file was there already and is up to date.
    ImageUpToDate { path: &'a str, image_id: Digest, manifest: Digest },
    /// A blob is being sent; once more from its start where an attempt failed.
    PushStarted { name: &'a str, bytes: u64 },
    /// So many bytes of it were sent.
    PushProgress { name: &'a str, bytes: u64 },
    /// A registry has the blob.
    BlobPushed { name: &'a str, digest: Digest, bytes: u64, arrival: Arrival },
    /// A registry has the image under this reference, and said its digest.
    Pushed { reference: &'a str, manifest: Digest, sent_bytes: u64, blobs_sent: usize },
    /// A registry has documents about the image beside it, and lists them.
    Attached { reference: &'a str, manifest: Digest, documents: &'a [String] },
    /// The image, or a file, is signed by the key with this fingerprint.
    Signed { name: &'a str, digest: Digest, key: Digest },
    /// A signature of the key holds, and so do these attestations.
    SignatureHolds { name: &'a str, digest: Digest, key: Digest, attestations: &'a [String] },
    /// An image of a registry stands in the store, and `received_bytes` of it were fetched.
    Pulled { reference: &'a str, manifest: Digest, received_bytes: u64, layers: usize },
    /// A container engine has the image under its names.
    Loaded { engine: &'a str, image_id: Digest, names: &'a [String], sent_bytes: u64 },
}

/// How a blob came to be in a registry's repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// It was there.
    Present,
    /// The registry took it from another repository of its own.
    Mounted,
    /// It was sent.
    Sent,
}

/// Hears the facts of the flow. Must not block for long.
pub trait Observer: Send + Sync {
    /// Takes note of one fact.
    fn observe(&self, event: &Event<'_>);
}

/// Hears nothing.
pub struct Silent;

impl Observer for Silent {
    fn observe(&self, _: &Event<'_>) {}
}

/// Keeps the facts as JSON, for tests.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Heard(pub(crate) std::sync::Mutex<Vec<String>>);

#[cfg(test)]
impl Observer for Heard {
    fn observe(&self, event: &Event<'_>) {
        let fact = serde_json::to_string(event).expect("an event is plain data");
        self.0.lock().expect("storing does not panic").push(fact);
    }
}

#[cfg(test)]
impl Heard {
    /// How many facts hold these words.
    pub(crate) fn count(&self, words: &str) -> usize {
        let facts = self.0.lock().expect("storing does not panic");
        facts.iter().filter(|fact| fact.contains(words)).count()
    }
}
