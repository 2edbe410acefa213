//! Edit: changes to a `rebeam.toml` that leave all else of it as its author wrote it.

use std::path::Path;

use toml_edit::{Array, DocumentMut, Item, Value};

use super::{Manifest, ManifestError};

/// Returns the manifest's text with these packages in `[toolchain]`, behind those that are there.
///
/// The text before and after is a manifest, or this is an error.
pub fn with_packages(
    text: &str,
    path: &Path,
    packages: &[String],
) -> Result<String, ManifestError> {
    Manifest::parse(text, path)?;
    let mut document: DocumentMut = text.parse().expect("what was parsed once parses again");
    let toolchain = document["toolchain"].as_table_like_mut().expect("the check saw a table");
    let list = toolchain.entry("packages").or_insert_with(|| Item::Value(Array::new().into()));
    let list = list.as_array_mut().expect("the check saw a list");
    for package in packages {
        let is_there = list.iter().any(|known| known.as_str() == Some(package));
        if !is_there {
            // An element of a list with one on each line stands like the one before it.
            let decor = list.iter().last().map(|last| last.decor().clone());
            let mut value = Value::from(package.as_str());
            if let Some(prefix) =
                decor.and_then(|decor| decor.prefix()?.as_str().map(str::to_owned))
            {
                let prefix = if prefix.is_empty() { " ".to_owned() } else { prefix };
                value.decor_mut().set_prefix(prefix);
                list.push_formatted(value);
            } else {
                list.push(value);
            }
        }
    }
    let text = document.to_string();
    Manifest::parse(&text, path)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(toolchain: &str, packages: &[&str]) -> Result<String, ManifestError> {
        let text = format!(
            "# ours\n[project]\nname = \"shop\"\nversion = \"1\"\n\n[toolchain] # tools\notp = \"25\"\n{toolchain}\n[image]\n"
        );
        let packages: Vec<String> = packages.iter().map(|&name| name.to_owned()).collect();
        let after = with_packages(&text, Path::new("/shop/rebeam.toml"), &packages)?;
        assert!(after.starts_with("# ours\n") && after.contains("[toolchain] # tools\n"));
        Ok(after
            .split_once("otp = \"25\"\n")
            .unwrap()
            .1
            .split_once("\n[image]")
            .unwrap()
            .0
            .to_owned())
    }

    #[test]
    fn packages_are_added_once_and_everything_else_stays() {
        assert_eq!(added("", &["libexpat1-dev"]).unwrap(), "packages = [\"libexpat1-dev\"]\n");
        let more = "packages = [\"libyaml-dev\"] # yaml";
        let expected = "packages = [\"libyaml-dev\", \"libexpat1-dev\"] # yaml";
        assert_eq!(added(more, &["libexpat1-dev", "libyaml-dev"]).unwrap(), expected);
        let lines = "packages = [\n    \"libyaml-dev\",\n]";
        let expected = "packages = [\n    \"libyaml-dev\",\n    \"libexpat1-dev\",\n]";
        assert_eq!(added(lines, &["libexpat1-dev"]).unwrap(), expected);
    }

    #[test]
    fn a_name_that_is_no_package_is_refused() {
        assert!(added("", &["not a package"]).is_err());
    }
}
