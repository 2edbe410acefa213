//! Purl: the name of a package that scanners compare (package URL, ECMA-427).

use crate::image::HeldPackage;
use crate::lock::Pin;

/// Hosts whose repositories have a kind of their own.
const FORGES: [(&str, &str); 3] =
    [("github.com", "github"), ("gitlab.com", "gitlab"), ("bitbucket.org", "bitbucket")];

/// Returns the name of a locked source in this version; `None` for a directory of the project.
pub(super) fn of_pin(app: &str, pin: &Pin) -> Option<String> {
    Some(match pin {
        Pin::Hex { repository, package, version, outer, .. } => {
            let namespace = match repository.as_str() {
                "hexpm" => String::new(),
                other => format!("{}/", encoded(other)),
            };
            let (package, version) = (encoded(&package.to_lowercase()), encoded(version));
            format!("pkg:hex/{namespace}{package}@{version}?checksum={outer}")
        }
        Pin::Git { url, commit, subdir, .. } => {
            let below = subdir.as_ref().map(|path| format!("#{}", path_encoded(path)));
            git(app, url, commit) + &below.unwrap_or_default()
        }
        Pin::Url { url, sha256, .. } => {
            let (app, url) = (encoded(app), path_encoded(url));
            format!("pkg:generic/{app}?checksum={sha256}&download_url={url}")
        }
        Pin::Path { .. } => return None,
    })
}

fn git(app: &str, url: &str, commit: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    if let Some((host, path)) = rest.split_once('/')
        && let Some((_, kind)) = FORGES.iter().find(|(forge, _)| *forge == host)
    {
        let path = path.trim_end_matches('/').trim_end_matches(".git").to_lowercase();
        return format!("pkg:{kind}/{}@{commit}", path_encoded(&path));
    }
    let (app, url) = (encoded(app), path_encoded(url));
    format!("pkg:generic/{app}@{commit}?vcs_url=git%2B{url}%40{commit}")
}

/// Returns the name of a Debian package.
pub(super) fn of_deb(package: &HeldPackage, codename: Option<&str>) -> String {
    let (name, version) = (encoded(&package.name), encoded(&package.version));
    let arch = encoded(&package.architecture);
    let distro = codename.map(|name| format!("&distro={}", encoded(name)));
    format!("pkg:deb/debian/{name}@{version}?arch={arch}{}", distro.unwrap_or_default())
}

/// Returns the name of something that has no registry: `pkg:generic/NAMESPACE/NAME@VERSION`.
pub(super) fn generic(name: &str, version: &str) -> String {
    format!("pkg:generic/{}@{}", path_encoded(name), encoded(version))
}

/// Encodes a part of a name; colons stay, as the standard wants.
pub(super) fn encoded(text: &str) -> String {
    encoded_but(text, b"")
}

/// Encodes a path or an address, whose slashes stay.
fn path_encoded(text: &str) -> String {
    encoded_but(text, b"/")
}

fn encoded_but(text: &str, kept: &[u8]) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte);
        if plain || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn git_pin(url: &str, subdir: Option<&str>) -> Pin {
        let (commit, subdir) = ("c".repeat(40), subdir.map(str::to_owned));
        Pin::Git { url: url.into(), commit, subdir, tree: Digest::of(b"") }
    }

    #[test]
    fn every_kind_of_source_has_its_name() {
        let commit = "c".repeat(40);
        let of = |pin: &Pin| of_pin("cowboy", pin).unwrap();
        for url in
            ["https://github.com/NineNines/Cowboy.git", "ssh://git@github.com/ninenines/cowboy"]
        {
            assert_eq!(
                of(&git_pin(url, None)),
                format!("pkg:github/ninenines/cowboy@{}", commit),
                "{url}"
            );
        }
        let inside = git_pin("https://github.com/a/b", Some("apps/x y"));
        assert_eq!(of(&inside), format!("pkg:github/a/b@{commit}#apps/x%20y"));
        let elsewhere = git_pin("https://git.example/a/b.git", None);
        let expected = format!(
            "pkg:generic/cowboy@{commit}?vcs_url=git%2Bhttps://git.example/a/b.git%40{commit}"
        );
        assert_eq!(of(&elsewhere), expected);
        let (outer, tree) = (Digest::of(b"x"), Digest::of(b""));
        let hex = |repository: &str| Pin::Hex {
            repository: repository.into(),
            package: "cowlib".into(),
            version: "2.12.1+b".into(),
            outer,
            tree,
        };
        assert_eq!(of(&hex("hexpm")), format!("pkg:hex/cowlib@2.12.1%2Bb?checksum={outer}"));
        assert_eq!(of(&hex("acme")), format!("pkg:hex/acme/cowlib@2.12.1%2Bb?checksum={outer}"));
        assert_eq!(of_pin("a", &Pin::Path { path: "apps/a".into() }), None);
    }

    #[test]
    fn a_debian_package_is_named_with_epoch_machine_and_release() {
        let package = HeldPackage {
            name: "libstdc++6".into(),
            version: "1:25.2.3+dfsg-1~deb12u1".into(),
            architecture: "amd64".into(),
            source: None,
        };
        let expected =
            "pkg:deb/debian/libstdc%2B%2B6@1:25.2.3%2Bdfsg-1~deb12u1?arch=amd64&distro=bookworm";
        assert_eq!(of_deb(&package, Some("bookworm")), expected);
    }
}
