//! Reference: the name of an image in a registry, read as Docker reads it.

use std::fmt;
use std::net::IpAddr;

use super::PushError;
use crate::image::{is_registry, is_repository, is_tag};

/// The registry that a name without one means.
const DOCKER: &str = "docker.io";

/// A place for an image: registry, repository and tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Host and port of the registry.
    pub registry: String,
    /// The repository.
    pub repository: String,
    /// The tag, where one is named.
    pub tag: Option<String>,
}

impl Reference {
    /// Reads `[HOST[:PORT]/]PATH[:TAG]`; a name without a host is one of Docker's own registry.
    pub fn parse(text: &str) -> Result<Self, PushError> {
        let bad = |what: &str| PushError::BadReference { text: text.to_owned(), what: what.into() };
        if text.contains("://") {
            return Err(bad("a registry is named without `https://`"));
        }
        if text.contains('@') {
            return Err(bad("the digest of what is pushed is the image's own; leave it out"));
        }
        let (registry, rest) = match text.split_once('/') {
            Some((first, rest)) if is_registry(first) || first.starts_with('[') => (first, rest),
            _ => (DOCKER, text),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        if !is_host(registry) {
            return Err(bad(&format!("`{registry}` is no host of a registry")));
        }
        if let Some(tag) = tag {
            check_tag(text, tag)?;
        }
        let registry = match registry.to_ascii_lowercase().as_str() {
            "index.docker.io" | "registry-1.docker.io" => DOCKER.to_owned(),
            other => other.to_owned(),
        };
        let repository = match registry == DOCKER && !path.contains('/') {
            true => format!("library/{path}"),
            false => path.to_owned(),
        };
        // With what Docker puts before it: that counts towards its length.
        if !is_repository(&repository) {
            let what =
                "a repository is lower-case words and digits, joined by `.`, `_`, `__` or dashes";
            return Err(bad(what));
        }
        Ok(Self { registry, repository, tag: tag.map(str::to_owned) })
    }

    /// Reads the name that an image bears, which says where it goes only if it names a registry.
    pub fn of_image(name: &str) -> Result<Self, PushError> {
        match name.split_once('/') {
            Some((first, _)) if is_registry(first) => Self::parse(name),
            _ => {
                let path = name.split(':').next().unwrap_or(name);
                Err(PushError::NoRegistry { name: path.to_owned() })
            }
        }
    }

    /// Returns the same place under another tag.
    pub fn tagged(&self, tag: &str) -> Result<Self, PushError> {
        check_tag(tag, tag)?;
        Ok(Self { tag: Some(tag.to_owned()), ..self.clone() })
    }

    /// Returns registry and repository.
    pub fn place(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns host and port at which the registry listens.
    pub(super) fn host(&self) -> &str {
        match self.registry.as_str() {
            DOCKER => "registry-1.docker.io",
            other => other,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

fn check_tag(text: &str, tag: &str) -> Result<(), PushError> {
    if is_tag(tag) {
        return Ok(());
    }
    let what = format!("`{tag}` is no tag: at most 128 letters, digits, `_`, `.` and dashes");
    Err(PushError::BadReference { text: text.to_owned(), what })
}

/// Tells whether this is a host, and a port perhaps.
fn is_host(text: &str) -> bool {
    let (name, port) = split_port(text);
    let port_ok = port.is_none_or(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name_ok = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.len() <= 253 && name.split('.').all(label),
    };
    port_ok && name_ok
}

/// Splits a port off a host.
pub(super) fn split_port(host: &str) -> (&str, Option<&str>) {
    let from = host.rfind(']').unwrap_or(0);
    match host[from..].rfind(':') {
        Some(colon) => (&host[..from + colon], Some(&host[from + colon + 1..])),
        None => (host, None),
    }
}

/// Returns the address that a host is, where it is no name.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    let (name, _) = split_port(host);
    name.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Tells whether a host can only be this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let (name, _) = split_port(host);
    name.eq_ignore_ascii_case("localhost") || literal(host).is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, String, Option<String>) {
        let reference = Reference::parse(text).unwrap();
        (reference.registry, reference.repository, reference.tag)
    }

    #[test]
    fn names_are_read_as_docker_reads_them() {
        for (text, registry, repository, tag) in [
            ("hello", "docker.io", "library/hello", None),
            ("team/hello:1.0", "docker.io", "team/hello", Some("1.0")),
            ("index.docker.io/team/hello", "docker.io", "team/hello", None),
            ("localhost/hello", "localhost", "hello", None),
            ("localhost:5000/hello", "localhost:5000", "hello", None),
            ("r.example/a/b/c:x", "r.example", "a/b/c", Some("x")),
            ("R.Example:443/a", "r.example:443", "a", None),
            ("[::1]:5000/a:1", "[::1]:5000", "a", Some("1")),
        ] {
            let expected = (registry.into(), repository.into(), tag.map(str::to_owned));
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_or_tag_that_no_registry_takes_is_refused() {
        for text in [
            "",
            "Hello",
            "a b",
            "r.example/",
            "r.example/A",
            "hello:",
            "hello:.x",
            "hello:a:b",
            "https://r.example/a",
            "hello@sha256:00",
            "r.example:0/a",
            "r.example:70000/a",
            "r_x.example/a",
            "-r.example/a",
            "[::g]/a",
            "r.example//a",
            "r.example:+1/a",
        ] {
            let error = Reference::parse(text).unwrap_err();
            assert!(matches!(error, PushError::BadReference { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn the_name_of_an_image_says_where_it_goes_only_with_a_registry() {
        assert_eq!(Reference::of_image("r.example/a:1").unwrap().to_string(), "r.example/a:1");
        for name in ["hello:1", "team/hello:1"] {
            let error = Reference::of_image(name).unwrap_err();
            assert!(matches!(error, PushError::NoRegistry { .. }), "{error}");
        }
    }

    #[test]
    fn loopback_is_told_from_what_looks_like_it() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:80"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "128.0.0.1", "r.example:127", "[::2]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
