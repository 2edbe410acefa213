//! Stamp: the version in an `.app.src` that would have been asked of git, which the sandbox has not.

use std::fmt;

/// The version that an application is to state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stamp {
    /// Where it asks git for it.
    WhereAsked(String),
    /// Whatever it states.
    Everywhere(String),
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WhereAsked(version) => write!(f, "{version:?}"),
            Self::Everywhere(version) => write!(f, "{version:?} everywhere"),
        }
    }
}

impl Stamp {
    /// Returns the `.app.src` with the version in it; `None` if there is nothing to replace.
    pub(super) fn put_into(&self, text: &str) -> Option<String> {
        match self {
            Self::WhereAsked(version) => stamp(text, version, asks_git),
            Self::Everywhere(version) => stamp(text, version, any),
        }
    }
}

/// Replaces `{vsn, git}` and its kin by `{vsn, "VERSION"}`; `None` if there is nothing to replace.
///
/// rebar3 asks git for `git`, `"git"`, `semver` and `{git, short | long}` (its `rebar_utils:vcs_vsn`).
fn stamp(text: &str, version: &str, is_meant: fn(&str) -> Option<usize>) -> Option<String> {
    let (start, end) = stated(text, is_meant)?;
    Some(format!("{}\"{version}\"{}", &text[..start], &text[end..]))
}

/// Finds where the value of `vsn` stands, if it is meant.
fn stated(text: &str, is_meant: fn(&str) -> Option<usize>) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(found) = text[from..].find("vsn") {
        let key = from + found;
        from = key + 3;
        let opened = text[..key].trim_end().ends_with('{');
        let Some(value) = text[from..].trim_start().strip_prefix(',') else {
            continue;
        };
        let value = value.trim_start();
        let start = text.len() - value.len();
        if opened && let Some(length) = is_meant(value) {
            return Some((start, start + length));
        }
    }
    None
}

/// Returns the length of the value at the start of `text` if it asks git.
fn asks_git(text: &str) -> Option<usize> {
    for word in ["\"git\"", "git", "semver", "\"semver\""] {
        if let Some(rest) = text.strip_prefix(word)
            && rest.trim_start().starts_with('}')
        {
            return Some(word.len());
        }
    }
    let inside = text.strip_prefix('{')?;
    let close = inside.find('}')?;
    inside[..close].trim_start().starts_with("git").then_some(close + 2)
}

/// Returns the length of the value at the start of `text`, a string or a plain term.
fn any(text: &str) -> Option<usize> {
    let length = match text.strip_prefix('"') {
        Some(inside) => inside.find('"')? + 2,
        None => return asks_git(text).or_else(|| text.find('}')),
    };
    text[length..].trim_start().starts_with('}').then_some(length)
}

#[cfg(test)]
mod tests {
    use super::Stamp;

    fn stamp(text: &str, version: &str) -> Option<String> {
        Stamp::WhereAsked(version.into()).put_into(text)
    }

    #[test]
    fn a_version_of_the_manifest_counts_whatever_is_stated() {
        let stamped = Some("{application, a, [{vsn, \"1.2.9\"}, {x, git}]}.".to_owned());
        for value in ["git", "\"1.2.8\"", "{git, short}", "'COUCHDB_VERSION'"] {
            let text = format!("{{application, a, [{{vsn, {value}}}, {{x, git}}]}}.");
            assert_eq!(Stamp::Everywhere("1.2.9".into()).put_into(&text), stamped, "{value}");
        }
    }

    #[test]
    fn a_version_that_asks_git_is_stamped() {
        let stamped = Some("{application, a, [{vsn, \"1.2.3\"}, {x, git}]}.".to_owned());
        for value in ["git", "\"git\"", "semver", "{git, short}", "{ git , long }"] {
            let text = format!("{{application, a, [{{vsn, {value}}}, {{x, git}}]}}.");
            assert_eq!(stamp(&text, "1.2.3"), stamped, "{value}");
        }
    }

    #[test]
    fn a_version_that_is_written_out_stays() {
        for text in
            ["{vsn, \"1.0\"}", "{vsn, gitter}", "%% vsn, git", "{description, \"vsn, git\"}", "vsn"]
        {
            assert_eq!(stamp(text, "1.2.3"), None, "{text}");
        }
    }
}
