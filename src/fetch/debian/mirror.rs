//! Mirror: where the archive stands: `[mirrors]`, else the host's own apt sources, else the primary.

use std::path::Path;

use crate::disk;
use crate::http::Http;
use crate::limits::TEXT_FILE_BYTES_MAX;

use super::DebianError;
use super::control::paragraphs;

/// The archive that stands for all its mirrors: `[mirrors]` rewrites this address.
pub const PRIMARY: &str = "http://ftp.debian.org/debian";
/// The archive of security updates, which most mirrors keep beside the other.
pub const PRIMARY_SECURITY: &str = "http://ftp.debian.org/debian-security";

/// Which of Debian's two archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mirror {
    Main,
    Security,
}

impl Mirror {
    /// Returns the archive that holds a suite.
    pub(super) fn of_suite(suite: &str) -> Self {
        if suite.ends_with("-security") { Self::Security } else { Self::Main }
    }

    fn primary(self) -> &'static str {
        match self {
            Self::Main => PRIMARY,
            Self::Security => PRIMARY_SECURITY,
        }
    }

    /// Returns the addresses to ask, one after the other, without a slash at their ends.
    pub(super) fn bases(self, http: &Http) -> Result<Vec<String>, DebianError> {
        let primary = self.primary();
        // The door to the web rewrites by itself; a rule for the primary beats what apt asks.
        let probe = format!("{primary}/");
        if http.mirrors().rewrite(&probe) != probe {
            return Ok(vec![primary.into()]);
        }
        let near = self.near(apt_sources(Path::new("/etc/apt"))?);
        Ok(near.into_iter().chain([primary.to_owned()]).collect())
    }

    /// Returns where what apt asks holds this archive. A host that has no security updates among its
    /// sources, as one made by debootstrap, finds them beside its main archive.
    fn near(self, uris: Vec<String>) -> Option<String> {
        let beside = uris.iter().find(|uri| Self::Main.is_served_at(uri));
        let beside = beside.filter(|_| self == Self::Security).map(|uri| format!("{uri}-security"));
        uris.into_iter().find(|uri| self.is_served_at(uri)).or(beside)
    }

    /// Returns the address that is asked first.
    pub(super) fn base(self, http: &Http) -> Result<String, DebianError> {
        Ok(self.bases(http)?.swap_remove(0))
    }

    fn is_served_at(self, uri: &str) -> bool {
        match self {
            Self::Main => uri.ends_with("/debian"),
            Self::Security => uri.ends_with("/debian-security"),
        }
    }
}

/// Returns every address that apt asks on this host, without slashes at their ends.
fn apt_sources(etc: &Path) -> Result<Vec<String>, DebianError> {
    let directory = etc.join("sources.list.d");
    let mut files = vec![etc.join("sources.list")];
    if disk::exists(&directory) {
        for name in disk::list(&directory)? {
            files.push(directory.join(String::from_utf8_lossy(&name).as_ref()));
        }
    }
    let mut uris = Vec::new();
    for file in files {
        // apt's own files are no business of ours: what cannot be read is passed over.
        let Ok(text) = disk::read_text(&file, TEXT_FILE_BYTES_MAX) else {
            continue;
        };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => uris.extend(deb822_uris(&text)),
            Some("list") => uris.extend(one_line_uris(&text)),
            _ => {}
        }
    }
    Ok(uris)
}

fn plain(uri: &str) -> Option<String> {
    let known = ["http://", "https://", "file:/"];
    known.iter().any(|scheme| uri.starts_with(scheme)).then(|| uri.trim_end_matches('/').to_owned())
}

fn deb822_uris(text: &str) -> Vec<String> {
    let text: String =
        text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect();
    let enabled = paragraphs(&text).filter(|paragraph| paragraph.field("Enabled") != Some("no"));
    let uris = enabled.map(|paragraph| paragraph.folded("URIs"));
    uris.collect::<Vec<_>>()
        .iter()
        .flat_map(|uris| uris.split_whitespace())
        .filter_map(plain)
        .collect()
}

fn one_line_uris(text: &str) -> Vec<String> {
    let source = |line: &str| {
        let rest = line.trim().strip_prefix("deb")?;
        let rest = rest.strip_prefix("-src").unwrap_or(rest);
        rest.split_whitespace().find_map(plain)
    };
    text.lines().filter_map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Mirrors, Network};

    #[test]
    fn apts_sources_are_read_in_both_forms() {
        let list = "# deb http://no.example/debian x main\n\
                    deb [arch=amd64 signed-by=/k] https://a.example/debian/ bookworm main\n\
                    deb-src file:/srv/debian x main\nnonsense\n";
        assert_eq!(one_line_uris(list), ["https://a.example/debian", "file:/srv/debian"]);
        let sources = "# note\nTypes: deb\nURIs: http://b.example/debian\n http://c.example/debian-security/\n\n\
                       Types: deb\nEnabled: no\nURIs: http://off.example/debian\n";
        assert_eq!(
            deb822_uris(sources),
            ["http://b.example/debian", "http://c.example/debian-security"]
        );
    }

    #[test]
    fn security_updates_are_looked_for_beside_the_main_archive_where_apt_names_none() {
        let uris = |uris: &[&str]| uris.iter().map(|uri| (*uri).to_owned()).collect::<Vec<_>>();
        let bare = uris(&["http://other.example/tools", "http://a.example/debian"]);
        let full = uris(&["http://a.example/debian", "http://s.example/debian-security"]);
        let near = |mirror: Mirror, uris: &Vec<String>| mirror.near(uris.clone());
        let some = |uri: &str| Some(uri.to_owned());
        assert_eq!(near(Mirror::Security, &bare), some("http://a.example/debian-security"));
        assert_eq!(near(Mirror::Security, &full), some("http://s.example/debian-security"));
        assert_eq!(near(Mirror::Main, &bare), some("http://a.example/debian"));
        assert_eq!(near(Mirror::Security, &uris(&["http://u.example/ubuntu"])), None);
    }

    #[test]
    fn a_rule_for_the_primary_beats_what_apt_asks() {
        let rules = [(PRIMARY.to_owned(), "http://near.example/debian".to_owned())];
        let http = Http::new(Network::Offline, Mirrors::new(rules.into()));
        assert_eq!(Mirror::Main.base(&http).unwrap(), PRIMARY);
        // The security archive begins with the same letters, so one rule moves both.
        assert_eq!(Mirror::Security.base(&http).unwrap(), PRIMARY_SECURITY);
        assert_eq!(http.mirrors().rewrite(PRIMARY_SECURITY), "http://near.example/debian-security");
    }
}
