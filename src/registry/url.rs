//! Url: just as much of an address as it takes to follow one from another and to know whose it is.

/// An address of the web, in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// `http` or `https`.
    pub(super) scheme: &'a str,
    /// Host and port.
    pub(super) authority: &'a str,
    /// Path and query, from the slash on.
    pub(super) rest: &'a str,
}

impl<'a> Url<'a> {
    /// Reads an absolute address.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, behind) = text.split_once("://")?;
        let end = behind.find(['/', '?', '#']).unwrap_or(behind.len());
        let (authority, rest) = behind.split_at(end);
        let known = ["http", "https"].contains(&scheme);
        (known && !authority.is_empty()).then_some(Self { scheme, authority, rest })
    }

    /// Tells whether two addresses are of the same server: scheme, host and port.
    pub(super) fn same_server(&self, other: &Url<'_>) -> bool {
        self.scheme == other.scheme && self.server() == other.server()
    }

    fn server(&self) -> String {
        let standard = if self.scheme == "https" { ":443" } else { ":80" };
        let name = self.authority.to_ascii_lowercase();
        name.strip_suffix(standard).map_or(name.clone(), str::to_owned)
    }

    /// Returns the address that a `Location` in an answer of this address means.
    pub(super) fn join(&self, location: &str) -> Option<String> {
        let location = location.split('#').next().unwrap_or_default().trim();
        let Self { scheme, authority, .. } = self;
        if location.is_empty() {
            return None;
        }
        if location.contains("://") && !location.starts_with(['/', '?']) {
            return Url::parse(location).map(|_| location.to_owned());
        }
        if let Some(elsewhere) = location.strip_prefix("//") {
            let joined = format!("{scheme}://{elsewhere}");
            return Url::parse(&joined).is_some().then_some(joined);
        }
        if location.starts_with('/') {
            return Some(format!("{scheme}://{authority}{location}"));
        }
        let path = self.rest.split('?').next().unwrap_or_default();
        if location.starts_with('?') {
            return Some(format!("{scheme}://{authority}{path}{location}"));
        }
        let directory = path.rfind('/').map_or("/", |slash| &path[..=slash]);
        Some(format!("{scheme}://{authority}{directory}{location}"))
    }
}

/// Adds a parameter to an address that may have some.
pub(super) fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let joint = match url.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{url}{joint}{name}={}", encoded(value))
}

/// Writes a value as it may stand in a query.
pub(super) fn encoded(value: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            _ => write!(text, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_followed_from_where_it_was_said() {
        let url = Url::parse("https://r.example:5000/v2/a/uploads/?x=1").unwrap();
        for (location, expected) in [
            ("/v2/b?y=1", Some("https://r.example:5000/v2/b?y=1")),
            ("c", Some("https://r.example:5000/v2/a/uploads/c")),
            ("?z", Some("https://r.example:5000/v2/a/uploads/?z")),
            ("//s.example/d", Some("https://s.example/d")),
            ("http://s.example/d#e", Some("http://s.example/d")),
            ("ftp://s.example", None),
            ("", None),
            ("https://", None),
        ] {
            assert_eq!(url.join(location).as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn a_server_is_its_scheme_host_and_port() {
        let url = |text: &'static str| Url::parse(text).unwrap();
        assert!(url("https://r.example/a").same_server(&url("https://R.example:443/b")));
        for other in ["http://r.example/", "https://r.example:444/", "https://s.example/"] {
            assert!(!url("https://r.example/a").same_server(&url(other)), "{other}");
        }
    }

    #[test]
    fn a_parameter_is_added_behind_others() {
        let digest = "sha256:0";
        assert_eq!(with_parameter("/u", "digest", digest), "/u?digest=sha256%3A0");
        assert_eq!(with_parameter("/u?a=b", "digest", digest), "/u?a=b&digest=sha256%3A0");
        assert_eq!(with_parameter("/u?", "digest", digest), "/u?digest=sha256%3A0");
    }
}
