//! Stamp: the version in an `.app.src` that would have been asked of git, which the sandbox has not.

/// Replaces `{vsn, git}` and its kin by `{vsn, "VERSION"}`; `None` if there is nothing to replace.
///
/// rebar3 asks git for `git`, `"git"`, `semver` and `{git, short | long}` (its `rebar_utils:vcs_vsn`).
pub(super) fn stamp(text: &str, version: &str) -> Option<String> {
    let (start, end) = vcs_version(text)?;
    Some(format!("{}\"{version}\"{}", &text[..start], &text[end..]))
}

/// Finds where the value of `vsn` stands, if it asks git.
fn vcs_version(text: &str) -> Option<(usize, usize)> {
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
        if opened && let Some(length) = asks_git(value) {
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

#[cfg(test)]
mod tests {
    use super::stamp;

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
