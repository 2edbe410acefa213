//! Release: a suite's signed table of contents, `InRelease`, and whether it may be believed.
//!
//! The text counts only as far as the signature covers it. One good signature by an archive key that
//! rebeam carries is enough, as it is for apt; a bad one by such a key spoils the file.

use std::collections::BTreeMap;

use pgp::composed::{CleartextSignedMessage, Deserializable as _, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, VerifyingKey};

use crate::digest::Digest;

use super::control::Paragraph;
use super::{DebianError, Expiry};

/// Debian's archive keys, as its package `debian-archive-keyring` has them.
const ARCHIVE_KEYS: [&str; 9] = [
    include_str!("keys/bullseye-automatic.asc"),
    include_str!("keys/bullseye-security-automatic.asc"),
    include_str!("keys/bullseye-stable.asc"),
    include_str!("keys/bookworm-automatic.asc"),
    include_str!("keys/bookworm-security-automatic.asc"),
    include_str!("keys/bookworm-stable.asc"),
    include_str!("keys/trixie-automatic.asc"),
    include_str!("keys/trixie-security-automatic.asc"),
    include_str!("keys/trixie-stable.asc"),
];

/// The keys whose signatures count.
#[derive(Debug)]
pub(super) struct Keyring(Vec<SignedPublicKey>);

impl Keyring {
    /// Returns Debian's archive keys.
    pub(super) fn archive() -> Self {
        Self(ARCHIVE_KEYS.iter().flat_map(|text| read_keys(text)).collect())
    }

    /// Takes one key, for tests with a key of their own.
    #[cfg(test)]
    pub(super) fn of(key: SignedPublicKey) -> Self {
        Self(vec![key])
    }

    /// Checks one signature with the key that it names; `None` if that key is not ours.
    fn check(&self, signature: &Signature, text: &[u8]) -> Option<bool> {
        let mut verdict = None;
        for key in &self.0 {
            if is_issuer(signature, &key.primary_key) {
                verdict = Some(holds(signature, &key.primary_key, text));
            }
            for subkey in &key.public_subkeys {
                if is_issuer(signature, &subkey.key) {
                    verdict = Some(holds(signature, &subkey.key, text));
                }
            }
        }
        verdict
    }
}

fn read_keys(text: &str) -> Vec<SignedPublicKey> {
    let (keys, _) = SignedPublicKey::from_string_many(text).expect("the keys are data of ours");
    keys.map(|key| key.expect("the keys are data of ours")).collect()
}

fn is_issuer(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if fingerprints.is_empty() {
        return signature.issuer_key_id().contains(&&key.legacy_key_id());
    }
    fingerprints.contains(&&key.fingerprint())
}

fn holds(signature: &Signature, key: &impl VerifyingKey, text: &[u8]) -> bool {
    let strong = matches!(
        signature.hash_alg(),
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
    );
    // A certification of a name is a signature too, but not one of a document.
    let of_document = matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary));
    strong && of_document && signature.verify(key, text).is_ok()
}

/// What is believed.
#[derive(Debug)]
pub(super) struct Trust {
    /// Whose signatures count.
    pub(super) keyring: Keyring,
    /// Whether they count for ever.
    pub(super) expiry: Expiry,
}

/// What a suite's index files are, as its `InRelease` says.
#[derive(Debug)]
pub(super) struct Release {
    /// Whether index files are also found by their hash.
    pub(super) by_hash: bool,
    /// Digest and size of every index file, by its path below the suite's directory.
    pub(super) files: BTreeMap<String, (Digest, u64)>,
}

/// Believes an `InRelease` of `suite` or says why not.
pub(super) fn read(bytes: &[u8], suite: &str, trust: &Trust) -> Result<Release, DebianError> {
    let text = verified_text(bytes, suite, &trust.keyring)?;
    read_text(&text, suite, trust.expiry)
}

/// Reads the text that was signed.
pub(super) fn read_text(text: &str, suite: &str, expiry: Expiry) -> Result<Release, DebianError> {
    let paragraph = Paragraph::new(text);
    let found = paragraph.field("Codename").unwrap_or_default();
    if found != suite {
        return Err(DebianError::WrongSuite { suite: suite.into(), found: found.into() });
    }
    if let (Expiry::CheckedAt(now), Some(until)) = (expiry, paragraph.field("Valid-Until")) {
        let end = seconds(until).ok_or_else(|| bad(suite, format!("the date `{until}`")))?;
        if end < now {
            return Err(DebianError::Expired { suite: suite.into(), until: until.into() });
        }
    }
    let file = |line: &str| {
        let mut words = line.split_whitespace();
        let digest = Digest::from_hex(words.next()?).ok()?;
        let size = words.next()?.parse().ok()?;
        Some((words.next()?.to_owned(), (digest, size)))
    };
    let files = paragraph
        .lines("SHA256")
        .map(|line| file(line).ok_or_else(|| bad(suite, format!("the line `{line}`"))));
    Ok(Release {
        by_hash: paragraph.field("Acquire-By-Hash") == Some("yes"),
        files: files.collect::<Result<_, _>>()?,
    })
}

fn bad(suite: &str, what: String) -> DebianError {
    DebianError::BadIndex { name: format!("{suite}/InRelease"), what }
}

/// Returns the text that a key of ours signed.
fn verified_text(bytes: &[u8], suite: &str, keyring: &Keyring) -> Result<String, DebianError> {
    let not_signed = |source| DebianError::NotSigned { suite: suite.into(), source };
    let (message, _) = CleartextSignedMessage::from_armor(bytes).map_err(not_signed)?;
    let text = message.signed_text();
    let mut good = 0;
    let mut unknown = Vec::new();
    for signature in message.signatures() {
        match keyring.check(signature, text.as_bytes()) {
            Some(true) => good += 1,
            Some(false) => {
                return Err(DebianError::BadSignature {
                    suite: suite.into(),
                    key: name_of_key(signature),
                });
            }
            None => unknown.push(name_of_key(signature)),
        }
    }
    if good == 0 {
        return Err(DebianError::UnknownKey { suite: suite.into(), keys: unknown.join(", ") });
    }
    Ok(text.replace("\r\n", "\n"))
}

fn name_of_key(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|f| f.to_string());
    let key_id = || signature.issuer_key_id().first().map(|id| id.to_string());
    fingerprint.or_else(key_id).map_or_else(|| "without a name".into(), |name| name.to_uppercase())
}

/// Reads `Fri, 06 Nov 2026 08:08:01 UTC` as seconds since 1970.
fn seconds(date: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, date) = date.split_once(", ")?;
    let words: Vec<&str> = date.split_whitespace().collect();
    let [day, month, year, time, "UTC" | "GMT" | "+0000"] = words[..] else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)?;
    let month = i64::try_from(month).ok()? + 1;
    let day: i64 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let year: i64 = year.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock = time.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let fits = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    if !fits || clock.next().is_some() {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Counts the days from 1970-01-01 in the Gregorian calendar. Years begin in March, so that the leap day is
/// the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = (year % 400) * 365 + (year % 400) / 4 - (year % 400) / 100 + day_of_year;
    (year / 400) * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_the_calendar_has_them() {
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(seconds("Fri, 06 Nov 2026 08:08:01 UTC"), Some(1_793_952_481));
        assert_eq!(seconds("Tue, 29 Feb 2028 23:59:59 UTC"), Some(1_835_481_599));
        for text in ["", "2026-11-06", "Fri, 06 Nov 2026", "Fri, 06 Foo 2026 08:08:01 UTC"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(text in "\\PC{0,200}", date in "\\PC{0,40}") {
            let trust = Trust { keyring: Keyring(Vec::new()), expiry: Expiry::CheckedAt(0) };
            let begin = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n";
            for text in [text.clone(), format!("{begin}{text}"), format!("{begin}x\n-----BEGIN PGP SIGNATURE-----\n\n{text}")] {
                proptest::prop_assert!(read(text.as_bytes(), "test", &trust).is_err());
            }
            seconds(&date);
        }
    }

    #[test]
    fn every_archive_key_is_bound_to_its_owner() {
        let keyring = Keyring::archive();
        assert_eq!(keyring.0.len(), ARCHIVE_KEYS.len());
        for key in &keyring.0 {
            key.verify_bindings().unwrap();
        }
    }
}
