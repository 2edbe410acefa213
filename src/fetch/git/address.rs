//! Addresses of repositories, in one normal form.
//!
//! Manifests spell one repository in many ways. The normal form is what the lock holds: `https://`
//! (`git://` is dead on every forge, and `ssh://` and `git@host:path` want a key that a build has not),
//! the host in lower case, no `.git` and no `/` at the end, no name and password.

use crate::digest::Digest;

/// Hosts that take owner and repository names in any case, and that serve `https` only.
const FORGES: [&str; 4] = ["github.com", "gitlab.com", "bitbucket.org", "codeberg.org"];

/// A repository's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// The normal form.
    pub(super) url: String,
    /// As somebody wrote it.
    pub(super) written: String,
    /// `name:password`, where the address had them. Never shown and never locked.
    pub(super) secret: Option<String>,
}

impl Address {
    /// Reads an address; `None` if no repository can stand there.
    pub(super) fn new(written: &str) -> Option<Self> {
        let text = written.trim();
        let text = text.strip_prefix("git+").unwrap_or(text);
        let plain = |url: String| Self { url, written: written.trim().to_owned(), secret: None };
        if text.contains(|c: char| c.is_control() || c == ' ') {
            return None;
        }
        if let Some(path) = local(text) {
            return Some(plain(format!("file://{path}")));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            let (host, path) = text.split_once(':')?;
            let host = host.rsplit('@').next()?;
            return Some(plain(join("https", host, path)?));
        };
        let (authority, path) = rest.split_once('/')?;
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let scheme = scheme.to_ascii_lowercase();
        let url = match scheme.as_str() {
            "https" | "http" => join(&scheme, host, path)?,
            "git" | "ssh" => join("https", host.split(':').next()?, path)?,
            _ => return None,
        };
        let secret = (user.contains(':') && scheme == "https").then(|| user.to_owned());
        Some(Self { secret, ..plain(url) })
    }

    /// Tells whether the written form asks for a protocol that the normal form gives up.
    pub(super) fn changed_protocol(&self) -> bool {
        !self.url.starts_with("file://")
            && !self.written.starts_with("https://")
            && !self.written.starts_with("http://")
            && !self.written.starts_with("git+http")
    }

    /// Returns the text that is equal for two spellings of one repository.
    pub(super) fn key(&self) -> String {
        let host = self.url.split('/').nth(2).unwrap_or_default();
        if FORGES.contains(&host) { self.url.to_ascii_lowercase() } else { self.url.clone() }
    }

    /// Returns the name of the directory that mirrors the repository in the store.
    pub(super) fn directory(&self) -> String {
        Digest::of(self.key().as_bytes()).hex()
    }

    /// Returns the address of a submodule, which may be relative to this one.
    pub(super) fn submodule(&self, written: &str) -> Option<Self> {
        if !written.starts_with("./") && !written.starts_with("../") {
            return Self::new(written);
        }
        let mut url = self.url.as_str();
        let mut rest = written;
        loop {
            if let Some(after) = rest.strip_prefix("./") {
                rest = after;
            } else if let Some(after) = rest.strip_prefix("../") {
                rest = after;
                url = url.rsplit_once('/')?.0;
            } else {
                break;
            }
        }
        let mut address = Self::new(&format!("{url}/{rest}"))?;
        address.secret.clone_from(&self.secret);
        Some(address)
    }
}

/// Returns the plain path of an address on this machine.
fn local(text: &str) -> Option<String> {
    let path = text.strip_prefix("file://").unwrap_or(text);
    let path = path.starts_with('/').then(|| path.trim_end_matches('/'))?;
    (!path.is_empty()).then(|| path.to_owned())
}

fn join(scheme: &str, host: &str, path: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    if !is_host(&host) {
        return None;
    }
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let host = host.strip_suffix(default_port).unwrap_or(&host);
    let mut path = path.trim_matches('/');
    while let Some(shorter) = path.strip_suffix(".git") {
        path = shorter.trim_end_matches('/');
    }
    if path.is_empty() || path.contains('?') {
        return None;
    }
    let scheme = if FORGES.contains(&host) { "https" } else { scheme };
    Some(format!("{scheme}://{host}/{path}"))
}

/// Tells whether this is a name or an address in brackets, with a port or without.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((address, port)) => {
            if !address.chars().all(|c| c.is_ascii_hexdigit() || ":.".contains(c)) {
                return false;
            }
            (address, port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    !name.is_empty()
        && name.chars().all(plain)
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(written: &str) -> Option<String> {
        Some(Address::new(written)?.url)
    }

    #[test]
    fn every_spelling_of_a_repository_has_one_normal_form() {
        for written in [
            "https://github.com/wooga/eredis",
            "https://github.com/wooga/eredis.git",
            "https://github.com/wooga/eredis/",
            "https://github.com/wooga/eredis.git/",
            "http://GitHub.com/wooga/eredis",
            "git://github.com/wooga/eredis.git",
            "git://github.com:9418/wooga/eredis.git",
            "ssh://git@github.com/wooga/eredis.git",
            "ssh://git@github.com:22/wooga/eredis",
            "git+ssh://git@github.com/wooga/eredis",
            "git@github.com:wooga/eredis.git",
            "https://github.com:443/wooga/eredis",
            " https://name:secret@github.com/wooga/eredis ",
        ] {
            assert_eq!(
                normal(written).as_deref(),
                Some("https://github.com/wooga/eredis"),
                "{written}"
            );
        }
        assert_eq!(normal("http://git.test:8080/a.git").as_deref(), Some("http://git.test:8080/a"));
        assert_eq!(normal("/srv/git/a.git/").as_deref(), Some("file:///srv/git/a.git"));
        assert_eq!(normal("file:///srv/git/a").as_deref(), Some("file:///srv/git/a"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for written in [
            "",
            "a",
            "/",
            "https://",
            "https://host",
            "https://host/",
            "ftp://h/a",
            "a b:c",
            "x\n:y",
            "http://[::1]:80:80/a",
            "https://h:/a",
            "https://h:x/a",
            "https://[x]/a",
        ] {
            assert_eq!(normal(written), None, "{written:?}");
        }
    }

    #[test]
    fn a_password_is_kept_apart() {
        let address = Address::new("https://me:secret@git.test/a").unwrap();
        assert_eq!(address.secret.as_deref(), Some("me:secret"));
        assert!(!address.url.contains("secret"));
    }

    #[test]
    fn owners_are_one_in_any_case_on_forges_only() {
        let key = |written: &str| Address::new(written).unwrap().key();
        assert_eq!(
            key("https://github.com/Vagabond/Syslog"),
            key("https://github.com/vagabond/syslog.git")
        );
        assert_ne!(key("https://git.test/A"), key("https://git.test/a"));
    }

    #[test]
    fn a_submodule_may_stand_beside_its_parent() {
        let address = Address::new("https://git.test/group/a.git").unwrap();
        let url = |written: &str| Some(address.submodule(written)?.url);
        assert_eq!(url("../b.git").as_deref(), Some("https://git.test/group/b"));
        assert_eq!(url("../../other/b").as_deref(), Some("https://git.test/other/b"));
        assert_eq!(url("https://git.test/c").as_deref(), Some("https://git.test/c"));
        assert_eq!(url("../../../../../b"), None);
    }
    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*", below in "[./a-z]{0,20}") {
            if let Some(address) = Address::new(&text) {
                let again = Address::new(&address.url).map(|again| again.url);
                proptest::prop_assert_eq!(again.as_deref(), Some(address.url.as_str()));
                let _ = address.submodule(&below);
            }
        }

        #[test]
        fn a_normal_form_is_its_own_normal_form(text in "(https?|git|ssh)://[A-Za-z@:.0-9]{1,20}/[A-Za-z./]{0,20}") {
            if let Some(address) = Address::new(&text) {
                let again = Address::new(&address.url).map(|again| again.url);
                proptest::prop_assert_eq!(again.as_deref(), Some(address.url.as_str()));
            }
        }
    }
}
