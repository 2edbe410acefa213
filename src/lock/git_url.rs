//! Git urls: one spelling for the addresses under which one repository is known.
//!
//! `git://` answers nowhere any more and scp-like addresses need a key that a build machine does not
//! have, so both become `https`. Names and passwords are cut off: what is written in a lock travels
//! inside the image. An address that only a key or password opens is rewritten by `[mirrors]`.

/// Forges that compare owners and names without case and answer `http` by pointing to `https`.
const FORGES: [&str; 4] = ["github.com", "gitlab.com", "bitbucket.org", "codeberg.org"];

/// Returns the one spelling of a repository's address.
///
/// What cutting one thing off uncovers is cut off too, so that a normal form is its own.
pub fn normalise(url: &str) -> String {
    let mut normal = cut(url);
    loop {
        let again = cut(&normal);
        if again == normal {
            return normal;
        }
        normal = again;
    }
}

fn cut(url: &str) -> String {
    let url = url.trim();
    let Some((scheme, rest)) = url.split_once("://") else {
        return match scp(url) {
            Some((host, path)) => address("https", host, path),
            None => without_slashes(url).to_owned(),
        };
    };
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    match scheme.as_str() {
        "git" | "ssh" | "git+ssh" => address("https", without_port(authority), path),
        "git+https" | "https" => address("https", authority, path),
        "http" if FORGES.contains(&host_of(authority).as_str()) => {
            address("https", authority, path)
        }
        "http" => address("http", authority, path),
        _ => format!("{scheme}://{}", without_slashes(rest)),
    }
}

/// Tells whether two addresses name one repository.
pub fn same(one: &str, other: &str) -> bool {
    let (one, other) = (normalise(one), normalise(other));
    if FORGES.iter().any(|forge| is_at(&one, forge)) {
        return one.eq_ignore_ascii_case(&other);
    }
    one == other
}

fn is_at(url: &str, forge: &str) -> bool {
    url.strip_prefix("https://")
        .and_then(|rest| rest.strip_prefix(forge))
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Splits `git@host:path`; a path of this machine has no `:` before its first `/`.
fn scp(url: &str) -> Option<(&str, &str)> {
    let (authority, path) = url.split_once(':')?;
    let is_host = !authority.is_empty() && !authority.contains('/') && !authority.starts_with('.');
    is_host.then(|| (authority, path.trim_start_matches('/')))
}

fn address(scheme: &str, authority: &str, path: &str) -> String {
    let host = host_of(authority);
    let path = without_slashes(path);
    let path = without_slashes(path.strip_suffix(".git").unwrap_or(path));
    if path.is_empty() {
        return format!("{scheme}://{host}");
    }
    format!("{scheme}://{host}/{path}")
}

/// Returns the host and its port in lower case, without a user.
fn host_of(authority: &str) -> String {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.trim().to_ascii_lowercase()
}

/// Cuts the port off: one of ssh or git says nothing about https.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn without_slashes(text: &str) -> &str {
    let short = text.trim_end_matches(|c: char| c == '/' || c.is_whitespace());
    // The root directory is a path too.
    if short.is_empty() { text.trim() } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_repository_becomes_one() {
        for url in [
            "https://github.com/ninenines/cowboy",
            "https://github.com/ninenines/cowboy.git",
            "https://github.com/ninenines/cowboy/",
            "https://github.com/ninenines/cowboy.git/",
            "http://github.com/ninenines/cowboy.git",
            "git://github.com/ninenines/cowboy.git",
            "git://GitHub.com/ninenines/cowboy",
            "git@github.com:ninenines/cowboy.git",
            "github.com:ninenines/cowboy",
            "ssh://git@github.com:22/ninenines/cowboy.git",
            "git+ssh://git@github.com/ninenines/cowboy.git",
            " https://me:secret@github.com/ninenines/cowboy ",
        ] {
            assert_eq!(normalise(url), "https://github.com/ninenines/cowboy", "{url}");
        }
    }

    #[test]
    fn what_is_not_on_the_web_keeps_its_spelling() {
        for (url, expected) in [
            ("file:///srv/git/a.git", "file:///srv/git/a.git"),
            ("/srv/git/a.git/", "/srv/git/a.git"),
            ("../a.git", "../a.git"),
            ("/", "/"),
            ("", ""),
            ("http://localhost:8080/a.git", "http://localhost:8080/a"),
        ] {
            assert_eq!(normalise(url), expected);
        }
    }

    #[test]
    fn a_forge_compares_owners_without_case_and_other_hosts_do_not() {
        assert!(same("git://github.com/Wooga/eredis/", "https://github.com/wooga/eredis.git"));
        assert!(!same("https://git.example/A/b", "https://git.example/a/b"));
    }

    proptest::proptest! {
        #[test]
        fn normalising_twice_changes_nothing(
            url in "\\PC{0,40}|(https?|git|ssh|file)://[ aA@:.]{0,6}(/[ aA@:.]{0,4}){0,3}(\\.git|/| ){0,4}"
        ) {
            let once = normalise(&url);
            proptest::prop_assert_eq!(normalise(&once), once.clone());
        }
    }
}
