//! Edit: changes of a `rebeam.toml` that leave everything else in it as it was written, comments included.

use std::path::Path;

use thiserror::Error;
use toml_edit::{Array, DocumentMut, Item, Value};

use super::form::Form;
use crate::explain::Explain;

/// A change that cannot be made.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EditError {
    /// A name that no Debian package has.
    #[error("`{name}` is not the name of a Debian package")]
    BadName {
        /// The name.
        name: String,
    },
    /// A package that is not among the manifest's.
    #[error("`{name}` is not among the packages of `[toolchain]` in rebeam.toml")]
    NotThere {
        /// The package.
        name: String,
        /// Those that are.
        known: Vec<String>,
    },
    /// The text cannot be read, or the key is no list.
    #[error("`{file}` cannot be changed: {what}")]
    Unfit {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
}

impl Explain for EditError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::BadName { .. } => Some("packages are called like `libexpat1-dev`".into()),
            Self::NotThere { known, .. } if known.is_empty() => {
                Some("none is listed there; the preset's own packages stay".into())
            }
            Self::NotThere { known, .. } => Some(format!("listed are {}", known.join(", "))),
            Self::Unfit { .. } => Some("`rebeam lock` says what is wrong with it".into()),
        }
    }
}

/// What happens to the list of packages beside the preset's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packages<'a> {
    /// These come in; those that are there stay.
    Add(&'a [String]),
    /// These go.
    Remove(&'a [String]),
}

/// Changes `packages` of `[toolchain]` in a manifest's text.
pub fn edit_packages(text: &str, file: &Path, change: Packages<'_>) -> Result<String, EditError> {
    let unfit = |what: String| EditError::Unfit { file: file.display().to_string(), what };
    let (Packages::Add(names) | Packages::Remove(names)) = change;
    if let Some(name) = names.iter().find(|name| !Form::Package.fits(name)) {
        return Err(EditError::BadName { name: name.chars().take(100).collect() });
    }
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| unfit(error.message().replace('\n', ", ")))?;
    let table = document.get_mut("toolchain").and_then(Item::as_table_like_mut);
    let table = table.ok_or_else(|| unfit("it has no `[toolchain]`".into()))?;
    let item = table.entry("packages").or_insert_with(|| Item::from(Array::new()));
    let array = item.as_array_mut().ok_or_else(|| unfit("`packages` is no list".into()))?;
    match change {
        Packages::Add(names) => names.iter().for_each(|name| add(array, name)),
        Packages::Remove(names) => {
            for name in names {
                remove(array, name)?;
            }
        }
    }
    if array.is_empty() {
        table.remove("packages");
    }
    Ok(document.to_string())
}

fn place(array: &Array, name: &str) -> Option<usize> {
    array.iter().position(|value| value.as_str() == Some(name))
}

/// Appends a name in the manner of the list: on a line of its own where the others have one.
fn add(array: &mut Array, name: &str) {
    if place(array, name).is_some() {
        return;
    }
    let mut value = Value::from(name);
    let last = array.len().checked_sub(1).and_then(|last| array.get_mut(last));
    let Some(last) = last else {
        array.push_formatted(value);
        return;
    };
    let indent = last_line(prefix(last)).map(str::to_owned);
    // What stands behind the last name is its comment and stays behind it.
    let behind = match array.trailing_comma() {
        true => array.trailing().as_str().unwrap_or_default().to_owned(),
        false => {
            let last = array.get_mut(array.len() - 1).expect("the list is not empty");
            let suffix = suffix(last).to_owned();
            last.decor_mut().set_suffix("");
            suffix
        }
    };
    match indent {
        Some(indent) => {
            let comment = behind.rsplit_once('\n').map_or(behind.trim_end(), |(above, _)| above);
            value.decor_mut().set_prefix(format!("{comment}\n{indent}"));
            let closing = last_line(&behind).unwrap_or_default();
            array.set_trailing(format!("\n{closing}"));
            array.set_trailing_comma(true);
        }
        None => value.decor_mut().set_prefix(" "),
    }
    array.push_formatted(value);
}

/// Takes a name out, with the comment behind it; the one behind the name before it stays.
fn remove(array: &mut Array, name: &str) -> Result<(), EditError> {
    let known = || array.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect();
    let place = place(array, name)
        .ok_or_else(|| EditError::NotThere { name: name.to_owned(), known: known() })?;
    let removed = array.remove(place);
    let before = prefix(&removed).to_owned();
    let Some(next) = array.get_mut(place) else {
        // It was the last one: what stands before the closing bracket is behind it now.
        if let (Some((kept, _)), true) = (before.split_once('\n'), array.trailing_comma()) {
            let closing = array.trailing().as_str().unwrap_or_default();
            let closing = last_line(closing).unwrap_or_default();
            array.set_trailing(format!("{kept}\n{closing}"));
        }
        return Ok(());
    };
    let after = prefix(next).to_owned();
    let joined = match (before.split_once('\n'), after.split_once('\n')) {
        (Some((kept, _)), Some((_, below))) => format!("{kept}\n{below}"),
        (None, None) => before,
        _ => after,
    };
    next.decor_mut().set_prefix(joined);
    Ok(())
}

fn prefix(value: &Value) -> &str {
    value.decor().prefix().and_then(|raw| raw.as_str()).unwrap_or_default()
}

fn suffix(value: &Value) -> &str {
    value.decor().suffix().and_then(|raw| raw.as_str()).unwrap_or_default()
}

/// What stands behind the last line break, if there is one.
fn last_line(text: &str) -> Option<&str> {
    text.rsplit_once('\n').map(|(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(packages: &str, change: Packages<'_>) -> String {
        let head = "# what is built\n[project]\nname = \"a\"\nversion = \"1\"\n\n[toolchain]\notp = \"25\" # the preset\n";
        let tail = "\n[image] # last\n";
        let text = format!("{head}{packages}{tail}");
        let edited = edit_packages(&text, Path::new("rebeam.toml"), change).unwrap();
        let middle = edited.strip_prefix(head).unwrap().strip_suffix(tail).unwrap();
        middle.to_owned()
    }

    fn names(names: &str) -> Vec<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    fn added(packages: &str, more: &str) -> String {
        edited(packages, Packages::Add(&names(more)))
    }

    fn removed(packages: &str, less: &str) -> String {
        edited(packages, Packages::Remove(&names(less)))
    }

    #[test]
    fn a_list_is_begun_and_ended() {
        let begun = added("", "libexpat1-dev zlib1g-dev");
        assert_eq!(begun, "packages = [\"libexpat1-dev\", \"zlib1g-dev\"]\n");
        assert_eq!(removed(&begun, "zlib1g-dev"), "packages = [\"libexpat1-dev\"]\n");
        assert_eq!(removed(&begun, "libexpat1-dev"), "packages = [\"zlib1g-dev\"]\n");
        assert_eq!(removed(&begun, "libexpat1-dev zlib1g-dev"), "");
        assert_eq!(added(&begun, "zlib1g-dev"), begun);
    }

    #[test]
    fn comments_stay_with_the_names_that_they_speak_of() {
        let list =
            "packages = [\n  # for xmpp\n  \"libexpat1-dev\", # xml\n  \"zlib1g-dev\", # zip\n]\n";
        let more = added(list, "libyaml-dev");
        assert_eq!(
            more,
            "packages = [\n  # for xmpp\n  \"libexpat1-dev\", # xml\n  \"zlib1g-dev\", # zip\n  \"libyaml-dev\",\n]\n"
        );
        assert_eq!(removed(&more, "libyaml-dev"), list);
        assert_eq!(
            removed(list, "zlib1g-dev"),
            "packages = [\n  # for xmpp\n  \"libexpat1-dev\", # xml\n]\n"
        );
        let open = "packages = [\n  \"libexpat1-dev\"\n]\n";
        assert_eq!(
            added(open, "zlib1g-dev"),
            "packages = [\n  \"libexpat1-dev\",\n  \"zlib1g-dev\",\n]\n"
        );
    }

    #[test]
    fn an_inline_table_is_changed_in_its_place() {
        let text = "[project]\nname = \"a\"\nversion = \"1\"\n";
        let text = format!("toolchain = {{ otp = \"25\" }}\n{text}");
        let more = names("libexpat1-dev");
        let edited = edit_packages(&text, Path::new("rebeam.toml"), Packages::Add(&more)).unwrap();
        let manifest = super::super::Manifest::parse(&edited, Path::new("/x/rebeam.toml")).unwrap();
        assert_eq!(manifest.toolchain.packages, ["libexpat1-dev"], "{edited}");
    }

    #[test]
    fn names_that_no_package_has_and_packages_that_are_not_there_are_refused() {
        let text = "[toolchain]\notp = \"25\"\npackages = [\"libexpat1-dev\"]\n";
        let file = Path::new("rebeam.toml");
        let refused = |change| edit_packages(text, file, change).unwrap_err();
        let (odd, absent) = (names("Lib_X"), names("zlib1g-dev"));
        let bad = refused(Packages::Add(&odd));
        assert!(matches!(bad, EditError::BadName { .. }), "{bad:?}");
        let absent = refused(Packages::Remove(&absent));
        assert!(absent.hint().unwrap().contains("libexpat1-dev"));
        let error = edit_packages("[toolchain", file, Packages::Add(&names("aa"))).unwrap_err();
        assert!(matches!(error, EditError::Unfit { .. }), "{error:?}");
    }
}
