//! Source: where something comes from, as one text of the manifest.
//!
//! `git+URL#tag=1.0` (or `branch=`, `commit=`, or just the head; `?dir=below` for a directory inside),
//! `https://…/x.tar.gz#sha256=…`, `./path`, `hex:package@~> 1.0`.

use super::rebar::{GitRef, WishSource};
use crate::digest::Digest;

const PATH_BYTES_MAX: usize = 1024;

/// Reads a source; `None` where the text is none.
pub(super) fn read(text: &str) -> Option<WishSource> {
    if text.contains(char::is_control) {
        return None;
    }
    if let Some(rest) = text.strip_prefix("git+") {
        return git(rest);
    }
    if let Some(rest) = text.strip_prefix("hex:") {
        return hex(rest);
    }
    if text.starts_with("./") || text.starts_with("../") {
        return path(text);
    }
    tarball(text)
}

fn git(text: &str) -> Option<WishSource> {
    let (url, reference) = match text.split_once('#') {
        Some((url, reference)) => (url, reference_of(reference)?),
        None => (text, GitRef::Default),
    };
    let (url, subdir) = match url.split_once("?dir=") {
        Some((url, dir)) if is_inside(dir) => (url, Some(dir.to_owned())),
        Some(_) => return None,
        None => (url, None),
    };
    is_address(url).then(|| WishSource::Git { url: url.to_owned(), reference, subdir })
}

fn reference_of(text: &str) -> Option<GitRef> {
    let is_plain = |name: &str| {
        !name.is_empty() && !name.starts_with('-') && !name.contains(char::is_whitespace)
    };
    let (kind, name) = text.split_once('=').unwrap_or(("commit", text));
    let name = Some(name).filter(|name| is_plain(name))?.to_owned();
    match kind {
        "tag" => Some(GitRef::Tag(name)),
        "branch" => Some(GitRef::Branch(name)),
        "commit" if is_commit(&name) => Some(GitRef::Commit(name)),
        _ => None,
    }
}

fn is_commit(text: &str) -> bool {
    (7..=40).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, 'a'..='f'))
}

fn hex(text: &str) -> Option<WishSource> {
    let (package, requirement) = match text.split_once('@') {
        Some((package, requirement)) => (package, Some(requirement.to_owned())),
        None => (text, None),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!package.is_empty() && package.chars().all(plain)).then(|| WishSource::Hex {
        package: package.to_owned(),
        requirement,
        repository: None,
    })
}

fn path(text: &str) -> Option<WishSource> {
    let text = text.trim_end_matches('/');
    // `..` may lead out of the project at the start and nowhere else, so that a path has one spelling.
    let rest = text.trim_start_matches("./").trim_start_matches("../");
    let fits = text.len() <= PATH_BYTES_MAX && (is_inside(rest) || rest == "..");
    fits.then(|| WishSource::Path { path: text.trim_start_matches("./").to_owned() })
}

fn is_inside(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn tarball(text: &str) -> Option<WishSource> {
    let (url, sha256) = text.split_once("#sha256=")?;
    let sha256: Digest = super::form::sha256(sha256)?;
    is_address(url).then(|| WishSource::Url { url: url.to_owned(), sha256 })
}

fn is_address(text: &str) -> bool {
    let scheme = |(scheme, rest): (&str, &str)| {
        !rest.is_empty() && scheme.chars().all(|c| c.is_ascii_lowercase())
    };
    !text.contains(char::is_whitespace)
        && (text.split_once("://").is_some_and(scheme)
            || text.split_once(':').is_some_and(|(host, path)| {
                host.contains('@') && !host.contains('/') && !path.is_empty()
            }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_source_is_read() {
        let git = |reference, subdir: Option<&str>| WishSource::Git {
            url: "https://host/a.git".into(),
            reference,
            subdir: subdir.map(str::to_owned),
        };
        let cases = [
            ("git+https://host/a.git", git(GitRef::Default, None)),
            ("git+https://host/a.git#tag=1.0", git(GitRef::Tag("1.0".into()), None)),
            ("git+https://host/a.git#branch=x/y", git(GitRef::Branch("x/y".into()), None)),
            ("git+https://host/a.git#0a1b2c3", git(GitRef::Commit("0a1b2c3".into()), None)),
            ("git+https://host/a.git?dir=b/c", git(GitRef::Default, Some("b/c"))),
            (
                "hex:cowboy@~> 2.0",
                WishSource::Hex {
                    package: "cowboy".into(),
                    requirement: Some("~> 2.0".into()),
                    repository: None,
                },
            ),
            ("./libs/a/", WishSource::Path { path: "libs/a".into() }),
            ("../../a", WishSource::Path { path: "../../a".into() }),
        ];
        for (text, source) in cases {
            assert_eq!(read(text), Some(source), "{text}");
        }
        let sha256 = Digest::of(b"");
        let text = format!("https://host/a.tar.gz#sha256={}", sha256.hex());
        let url = "https://host/a.tar.gz".into();
        assert_eq!(read(&text), Some(WishSource::Url { url, sha256 }));
    }

    #[test]
    fn what_is_no_source_is_refused() {
        for text in [
            "",
            "libs/a",
            "https://host/a.tar.gz",
            "https://host/a.tar.gz#sha256=12",
            "git+host",
            "git+https://host/a#tag=",
            "git+https://host/a#tag=-x",
            "git+https://host/a#master",
            "git+https://host/a?dir=../b",
            "./a/../b",
            "hex:",
            "hex:a/b",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
