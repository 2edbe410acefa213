//! Hex: the repositories that a manifest names, with their keys.

use std::path::Path;

use thiserror::Error;

use crate::disk;
use crate::explain::{Explain, Failure};
use crate::fetch::hex::{HEXPM, HexRepository};
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::manifest::{HexWish, Manifest};

/// A repository of packages cannot be used as the manifest has it.
#[derive(Debug, Error)]
pub enum RepositoryFailure {
    /// Only the public repository is known without this.
    #[error("`[hex.{name}]` in rebeam.toml lacks `{key}`")]
    Lacks {
        /// The repository.
        name: String,
        /// What is missing.
        key: &'static str,
        /// A line that would do.
        example: &'static str,
    },
}

impl Explain for RepositoryFailure {
    fn hint(&self) -> Option<String> {
        let Self::Lacks { example, .. } = self;
        Some(format!("add a line like `{example}`"))
    }
}

/// Returns the repositories that hex packages come from: the manifest's own by name, then the public one.
///
/// `variable` reads the environment. A key that is not there is no error: what is held already needs none, and
/// the repository itself refuses who lacks it.
pub fn repositories(
    manifest: &Manifest,
    root: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<HexRepository>, Failure> {
    let mut repositories = Vec::new();
    for (name, wish) in manifest.hex.iter().filter(|(name, _)| *name != HEXPM) {
        repositories.push(repository(name, wish, root, variable)?);
    }
    repositories.push(match manifest.hex.get(HEXPM) {
        Some(wish) => repository(HEXPM, wish, root, variable)?,
        None => HexRepository::hexpm(),
    });
    Ok(repositories)
}

fn repository(
    name: &str,
    wish: &HexWish,
    root: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<HexRepository, Failure> {
    let known = match name.split_once(':') {
        Some((HEXPM, organization)) => Some(HexRepository::organization(organization, "")),
        _ => (name == HEXPM).then(HexRepository::hexpm),
    };
    let lacks = |key, example| RepositoryFailure::Lacks { name: name.to_owned(), key, example };
    let url = wish.url.clone().map(|url| url.trim_end_matches('/').to_owned());
    let url = url
        .or_else(|| known.as_ref().map(|known| known.url.clone()))
        .ok_or_else(|| lacks("url", "url = \"https://hex.acme.test\""))?;
    let public_key_pem = match (&wish.public_key, known) {
        (Some(file), _) => disk::read_text(&root.join(file), TEXT_FILE_BYTES_MAX)?,
        (None, Some(known)) => known.public_key_pem,
        (None, None) => return Err(lacks("public-key", "public-key = \"hex-acme.pem\"").into()),
    };
    Ok(HexRepository {
        name: name.to_owned(),
        url,
        public_key_pem,
        auth_key: wish.auth_key_env.as_deref().and_then(variable),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(hex: &str) -> Result<Vec<HexRepository>, Failure> {
        let text = format!(
            "[project]\nname = \"shop\"\nversion = \"1\"\n[toolchain]\notp = \"25\"\n{hex}"
        );
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("acme.pem"), "the key").unwrap();
        let manifest = Manifest::parse(&text, &place.path().join("rebeam.toml")).unwrap();
        let variable = |name: &str| (name == "ACME_KEY").then(|| "secret".to_owned());
        repositories(&manifest, place.path(), &variable)
    }

    #[test]
    fn own_repositories_are_asked_before_the_public_one() {
        let own = "[hex.acme]\nurl = \"https://hex.acme.test/\"\npublic-key = \"acme.pem\"\nauth-key-env = \"ACME_KEY\"\n";
        let repositories = asked(own).unwrap();
        assert_eq!(
            repositories[0],
            HexRepository {
                name: "acme".into(),
                url: "https://hex.acme.test".into(),
                public_key_pem: "the key".into(),
                auth_key: Some("secret".into()),
            }
        );
        assert_eq!(repositories[1..], [HexRepository::hexpm()]);
    }

    #[test]
    fn an_organisation_needs_only_its_key() {
        let repositories = asked("[hex.\"hexpm:acme\"]\nauth-key-env = \"ACME_KEY\"\n").unwrap();
        assert_eq!(repositories[0], HexRepository::organization("acme", "secret"));
    }

    #[test]
    fn a_repository_without_a_key_is_refused() {
        let refused = asked("[hex.acme]\nurl = \"https://hex.acme.test\"\n").unwrap_err();
        assert!(format!("{refused:?}").contains("public-key"), "{refused:?}");
    }
}
