//! The signed registry, version 2: what a package's releases are, and who says so.
//!
//! A document is gzip over protobuf `Signed { payload, signature }`; the signature is RSA PKCS#1 v1.5
//! with SHA-512 over the payload. A mirror may lie about anything but that, so the payload must also
//! name the repository and package that were asked for. Wire types stay in this file.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;
use prost::Message;
use ring::signature::{RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey};

use crate::digest::Digest;
use crate::limits::INDEX_BYTES_MAX;

use super::{Advisory, Dependency, HexRepository, Release};

#[derive(Clone, PartialEq, Message)]
pub(super) struct SignedWire {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) payload: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) signature: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PackageWire {
    #[prost(message, repeated, tag = "1")]
    pub(super) releases: Vec<ReleaseWire>,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) repository: String,
    #[prost(message, repeated, tag = "4")]
    pub(super) advisories: Vec<AdvisoryWire>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AdvisoryWire {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) summary: String,
    #[prost(string, tag = "3")]
    pub(super) html_url: String,
    #[prost(int32, optional, tag = "4")]
    pub(super) severity: Option<i32>,
    #[prost(string, repeated, tag = "7")]
    pub(super) aliases: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReleaseWire {
    #[prost(string, tag = "1")]
    pub(super) version: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) inner_checksum: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    pub(super) dependencies: Vec<DependencyWire>,
    #[prost(message, optional, tag = "4")]
    pub(super) retired: Option<RetirementWire>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(super) outer_checksum: Option<Vec<u8>>,
    /// Places in the package's list of advisories.
    #[prost(uint32, repeated, tag = "6")]
    pub(super) advisory_indexes: Vec<u32>,
    #[prost(message, optional, tag = "7")]
    pub(super) published_at: Option<TimestampWire>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TimestampWire {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RetirementWire {
    #[prost(int32, tag = "1")]
    pub(super) reason: i32,
    #[prost(string, optional, tag = "2")]
    pub(super) message: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DependencyWire {
    #[prost(string, tag = "1")]
    pub(super) package: String,
    #[prost(string, tag = "2")]
    pub(super) requirement: String,
    #[prost(bool, optional, tag = "3")]
    pub(super) optional: Option<bool>,
    #[prost(string, optional, tag = "4")]
    pub(super) app: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub(super) repository: Option<String>,
}

/// Why a document was not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Distrust {
    /// It cannot be read.
    Damaged,
    /// Its signature is not the repository's.
    Signature,
    /// It speaks of another repository or package.
    Name { found: String },
    /// The repository's own key cannot be read.
    Key,
}

/// Reads a document about `package` and returns its releases, if the repository vouches for them.
pub(super) fn releases(
    document: &[u8],
    repository: &HexRepository,
    package: &str,
) -> Result<Vec<Release>, Distrust> {
    let payload = verified(document, &repository.public_key_pem)?;
    read(&payload, repository, package)
}

/// Reads what was signed.
pub(super) fn read(
    payload: &[u8],
    repository: &HexRepository,
    package: &str,
) -> Result<Vec<Release>, Distrust> {
    let wire = PackageWire::decode(payload).map_err(|_| Distrust::Damaged)?;
    // An organisation's repository is called `hexpm:acme` by people and `acme` by itself.
    let expected = repository.name.rsplit(':').next().unwrap_or_default();
    if wire.name != package || wire.repository != expected {
        let found = format!("{}/{}", wire.repository, wire.name);
        return Err(Distrust::Name { found });
    }
    let advisories: Vec<Advisory> = wire.advisories.into_iter().map(advisory).collect();
    wire.releases.into_iter().map(|wire| release(wire, &advisories)).collect()
}

/// Returns the payload of a signed document.
pub(super) fn verified(document: &[u8], public_key_pem: &str) -> Result<Vec<u8>, Distrust> {
    let key = rsa_public_key(public_key_pem).ok_or(Distrust::Key)?;
    let signed =
        SignedWire::decode(inflated(document)?.as_slice()).map_err(|_| Distrust::Damaged)?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA512, key)
        .verify(&signed.payload, &signed.signature)
        .map_err(|_| Distrust::Signature)?;
    Ok(signed.payload)
}

/// Inflates a document; some mirrors hand it out inflated already.
fn inflated(document: &[u8]) -> Result<Vec<u8>, Distrust> {
    if !document.starts_with(&[0x1f, 0x8b]) {
        return Ok(document.to_vec());
    }
    let mut bytes = Vec::new();
    let mut decoder = MultiGzDecoder::new(document).take(INDEX_BYTES_MAX + 1);
    let read = decoder.read_to_end(&mut bytes);
    match read {
        Ok(_) if bytes.len() as u64 <= INDEX_BYTES_MAX => Ok(bytes),
        _ => Err(Distrust::Damaged),
    }
}

fn release(wire: ReleaseWire, advisories: &[Advisory]) -> Result<Release, Distrust> {
    let named = |index: &u32| {
        let index = usize::try_from(*index).map_err(|_| Distrust::Damaged)?;
        // A place that no advisory has must not make a release look sound.
        advisories.get(index).cloned().ok_or(Distrust::Damaged)
    };
    let advisories = wire.advisory_indexes.iter().map(named).collect::<Result<_, _>>()?;
    let digest = |bytes: Vec<u8>| {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| Distrust::Damaged)?;
        Ok(Digest::from_bytes(bytes))
    };
    Ok(Release {
        version: wire.version,
        inner: digest(wire.inner_checksum)?,
        outer: wire.outer_checksum.map(digest).transpose()?,
        retired: wire.retired.map(retirement),
        published: wire.published_at.map(|time| time.seconds),
        dependencies: wire.dependencies.into_iter().map(dependency).collect(),
        advisories,
    })
}

fn advisory(wire: AdvisoryWire) -> Advisory {
    let severities = ["none", "low", "medium", "high", "critical"];
    let severity = wire.severity.and_then(|number| usize::try_from(number).ok());
    Advisory {
        id: plain(&wire.id),
        summary: plain(&wire.summary),
        url: plain(&wire.html_url),
        severity: severity.and_then(|number| severities.get(number).copied()),
        aliases: wire.aliases.iter().map(|alias| plain(alias)).collect(),
    }
}

/// Puts a stranger's words on one line of what a terminal can show.
fn plain(text: &str) -> String {
    text.replace(char::is_control, " ").trim().to_owned()
}

fn retirement(wire: RetirementWire) -> String {
    let reason = match wire.reason {
        1 => "invalid",
        2 => "security",
        3 => "deprecated",
        4 => "renamed",
        _ => "other",
    };
    match wire.message.filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {}", plain(&message)),
        None => reason.to_owned(),
    }
}

fn dependency(wire: DependencyWire) -> Dependency {
    Dependency {
        app: wire.app.unwrap_or_else(|| wire.package.clone()),
        package: wire.package,
        requirement: wire.requirement,
        optional: wire.optional.unwrap_or(false),
        repository: wire.repository,
    }
}

/// Reads an RSA public key in PEM, and returns it in PKCS#1, the form that ring takes.
fn rsa_public_key(pem: &str) -> Option<Vec<u8>> {
    let body: String =
        pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(body).ok()?;
    if pem.contains("BEGIN RSA PUBLIC KEY") {
        return Some(der);
    }
    // SubjectPublicKeyInfo: a sequence of an algorithm and a bit string that holds the PKCS#1 key.
    let (0x30, inside, _) = element(&der)? else {
        return None;
    };
    let (0x30, _, rest) = element(inside)? else {
        return None;
    };
    let (0x03, bits, _) = element(rest)? else {
        return None;
    };
    let (0, key) = bits.split_first()? else {
        return None;
    };
    Some(key.to_vec())
}

/// Splits one DER element off: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(*first & 0x7f);
        let digits = rest.get(..count).filter(|_| count <= 4)?;
        let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        (length, &rest[count..])
    };
    Some((*tag, rest.get(..length)?, rest.get(length..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let repository = HexRepository::hexpm();
            let _ = releases(&bytes, &repository, "cowlib");
            let _ = PackageWire::decode(bytes.as_slice());
            let _ = SignedWire::decode(bytes.as_slice());
        }

        #[test]
        fn no_text_makes_the_key_reader_panic(bytes: Vec<u8>) {
            let _ = rsa_public_key(&STANDARD.encode(&bytes));
            let _ = rsa_public_key(&String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn the_key_of_hexpm_reads_as_an_rsa_key_of_2048_bits() {
        let key = rsa_public_key(&HexRepository::hexpm().public_key_pem).unwrap();
        assert_eq!(key.len(), 270);
    }
}
