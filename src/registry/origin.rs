//! Origin: where an image comes from, and for which platform.

use std::fmt;

use super::{PushError, Reference};
use crate::digest::Digest;

/// The tag that is meant where none is named.
const LATEST: &str = "latest";

/// An image in a registry, by tag or by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Registry, repository and tag.
    pub place: Reference,
    /// The digest that counts, whatever the tag says today.
    pub digest: Option<Digest>,
}

impl Origin {
    /// Reads `[HOST[:PORT]/]PATH[:TAG][@sha256:DIGEST]`; without tag and digest it is the tag `latest`.
    pub fn parse(text: &str) -> Result<Self, PushError> {
        let bad = |what: &str| PushError::BadReference { text: text.to_owned(), what: what.into() };
        let (name, digest) = match text.split_once('@') {
            None => (text, None),
            Some((name, digest)) => {
                let hex = digest.strip_prefix("sha256:");
                let digest = hex.and_then(|hex| Digest::from_hex(hex).ok());
                let what = "behind `@` stands `sha256:` and 64 hex digits";
                (name, Some(digest.ok_or_else(|| bad(what))?))
            }
        };
        let place = Reference::parse(name).map_err(|error| match error {
            PushError::BadReference { what, .. } => bad(&what),
            other => other,
        })?;
        Ok(Self { place, digest })
    }

    /// Returns the same repository at a digest.
    pub fn at(&self, digest: Digest) -> Self {
        Self { place: self.place.clone(), digest: Some(digest) }
    }

    /// Returns what the registry is asked for.
    pub fn wanted(&self) -> String {
        match (self.digest, &self.place.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_else(|| LATEST.to_owned()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.digest, &self.place.tag) {
            (Some(digest), _) => write!(f, "{}@{digest}", self.place),
            (None, Some(_)) => write!(f, "{}", self.place),
            (None, None) => write!(f, "{}:{LATEST}", self.place),
        }
    }
}

/// What an image runs on. The system is Linux.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `amd64`, `arm64`, `arm`.
    pub architecture: String,
    /// `v8`, `v7`; `None` for the usual one.
    pub variant: Option<String>,
}

impl Platform {
    /// Names an architecture in its usual variant.
    pub fn of(architecture: &str) -> Self {
        Self { architecture: architecture.to_owned(), variant: None }
    }

    /// Reads `linux/ARCHITECTURE[/VARIANT]`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split('/');
        let plain = |word: &&str| {
            !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let system = words.next()?;
        let architecture = words.next().filter(plain)?.to_owned();
        let variant = words.next();
        let is_right = system == "linux" && variant.iter().all(plain) && words.next().is_none();
        is_right.then(|| Self { architecture, variant: variant.map(str::to_owned) })
    }

    /// Names what this program runs on.
    pub fn of_this_machine() -> Self {
        Self::of(match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        })
    }

    /// Tells how well an entry of an index fits: the lower, the better; `None` where it does not.
    pub(super) fn fit(&self, architecture: &str, variant: Option<&str>) -> Option<u8> {
        let usual = match architecture {
            "arm64" => "v8",
            "arm" => "v7",
            _ => "v1",
        };
        let variant = variant.filter(|variant| !variant.is_empty()).unwrap_or(usual);
        match &self.variant {
            _ if architecture != self.architecture => None,
            Some(wanted) => (variant == wanted).then_some(0),
            None => Some(u8::from(variant != usual)),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_by_tag_or_digest_or_both() {
        let digest = Digest::of(b"").to_string();
        for (text, printed, wanted) in [
            ("debian", "docker.io/library/debian:latest".to_owned(), "latest"),
            ("r.example/a:1", "r.example/a:1".into(), "1"),
            (&format!("r.example/a@{digest}"), format!("r.example/a@{digest}"), digest.as_str()),
            (&format!("a/b:1@{digest}"), format!("docker.io/a/b:1@{digest}"), digest.as_str()),
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!((origin.to_string(), origin.wanted().as_str()), (printed.clone(), wanted));
            assert_eq!(Origin::parse(&printed).unwrap().to_string(), printed);
        }
        for text in ["", "a@", "a@sha256:00", "a@sha512:00", "a@b@c", "A", "https://a/b"] {
            let error = Origin::parse(text).unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{text}` names")), "{error}");
        }
    }

    #[test]
    fn the_usual_variant_fits_best() {
        let arm64 = Platform::of("arm64");
        assert_eq!(arm64.fit("arm64", Some("v8")), Some(0));
        assert_eq!(arm64.fit("arm64", None), Some(0));
        assert_eq!(arm64.fit("arm64", Some("v9")), Some(1));
        assert_eq!(arm64.fit("amd64", None), None);
        let old = Platform { variant: Some("v6".into()), ..Platform::of("arm") };
        assert_eq!((old.fit("arm", Some("v6")), old.fit("arm", None)), (Some(0), None));
        assert_eq!(old.to_string(), "linux/arm/v6");
        assert_eq!(Platform::parse("linux/arm/v6"), Some(old));
        assert_eq!(Platform::parse("linux/arm64"), Some(arm64));
        for text in ["", "amd64", "linux/", "linux/a/", "linux/a/b/c", "windows/amd64", "linux/a b"]
        {
            assert_eq!(Platform::parse(text), None, "{text}");
        }
    }
}
