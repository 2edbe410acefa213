//! Wish: a dependency in each of the forms that rebar3 reads (`rebar_app_utils:parse_dep`).

use super::{GitRef, RebarError, Wish, WishSource};
use crate::terms::Term;

const NAME_BYTES_MAX: usize = 128;

/// Reads the dependencies of a list; `key` names it in errors.
pub(super) fn read_all(deps: &[Term], key: &str) -> Result<Vec<Wish>, RebarError> {
    deps.iter().map(|dep| read(dep, key)).collect()
}

fn read(dep: &Term, key: &str) -> Result<Wish, RebarError> {
    let bad = || RebarError::BadDep { key: key.to_owned(), dep: shorten(&dep.to_string()) };
    let items = match dep {
        Term::Tuple(items) => items.as_slice(),
        name => std::slice::from_ref(name),
    };
    let (name, rest) = items.split_first().ok_or_else(bad)?;
    let app = name.as_text().ok_or_else(bad)?;
    let source = match rest {
        [] => hex(&app, None),
        [source @ Term::Tuple(_)] => read_source(&app, source, None)?.ok_or_else(bad)?,
        [requirement] => hex(&app, Some(text(requirement).ok_or_else(bad)?)),
        // The level of a lock's entry, or options that rebar3 reads and ignores, rebar2's `[raw]`.
        [source @ Term::Tuple(_), Term::Integer(_) | Term::List(_)] => {
            read_source(&app, source, None)?.ok_or_else(bad)?
        }
        // The version in the middle is a requirement for packages and a leftover of rebar2 for others.
        [version, source @ Term::Tuple(_)]
        | [version, source @ Term::Tuple(_), Term::List(_) | Term::String(_)] => {
            read_source(&app, source, text(version))?.ok_or_else(bad)?
        }
        _ => return Err(bad()),
    };
    check_name(&app)?;
    if let WishSource::Hex { package, .. } = &source {
        check_name(package)?;
    }
    Ok(Wish { app, source })
}

/// Reads text that was not written as an atom.
fn text(term: &Term) -> Option<String> {
    match term {
        Term::Atom(_) => None,
        other => other.as_text(),
    }
}

fn hex(package: &str, requirement: Option<String>) -> WishSource {
    WishSource::Hex {
        package: package.to_owned(),
        requirement: requirement.filter(|requirement| !requirement.is_empty()),
        repository: None,
    }
}

/// Reads where a dependency comes from; `None` if no form fits.
fn read_source(
    app: &str,
    source: &Term,
    version: Option<String>,
) -> Result<Option<WishSource>, RebarError> {
    let Some((Term::Atom(kind), rest)) = source.as_tuple().and_then(<[Term]>::split_first) else {
        return Ok(None);
    };
    let read = match (kind.as_str(), rest) {
        ("pkg", [package]) => package.as_text().map(|package| hex(&package, version)),
        // A lock's entry brings its own version, and perhaps checksums.
        ("pkg", [package, version, ..]) => {
            package.as_text().map(|package| hex(&package, text(version)))
        }
        ("git", [url]) => git(url, None, None),
        ("git", [url, reference]) => git(url, Some(reference), None),
        ("git_subdir", [url, reference, directory]) => {
            let directory = text(directory).and_then(|directory| subdir(app, &directory));
            directory.and_then(|directory| git(url, Some(reference), Some(directory)))
        }
        ("pkg" | "git" | "git_subdir", _) => None,
        (kind, _) => {
            return Err(RebarError::Unsupported { app: app.to_owned(), kind: kind.to_owned() });
        }
    };
    Ok(read)
}

fn git(url: &Term, reference: Option<&Term>, subdir: Option<String>) -> Option<WishSource> {
    let url = text(url).filter(|url| is_plain(url))?;
    let reference = match reference {
        None => GitRef::Default,
        Some(reference) => git_ref(reference)?,
    };
    Some(WishSource::Git { url, reference, subdir })
}

fn git_ref(term: &Term) -> Option<GitRef> {
    let Some(tagged) = term.as_tuple() else {
        // rebar2's bare string, handed to `git checkout`.
        return Some(revision(text(term)?)).filter(is_plain_ref);
    };
    let [Term::Atom(kind), name] = tagged else {
        return None;
    };
    let name = name.as_text().filter(|name| !name.is_empty())?;
    let reference = match kind.as_str() {
        "tag" => GitRef::Tag(name),
        "branch" => GitRef::Branch(name),
        "ref" => revision(name),
        _ => return None,
    };
    Some(reference).filter(is_plain_ref)
}

/// Reads what `git checkout` would take for a commit, a tag or a branch of the origin.
pub(in crate::manifest) fn revision(name: String) -> GitRef {
    let name = name.strip_prefix("origin/").unwrap_or(&name);
    let numbered = name.strip_prefix('v').unwrap_or(name);
    if name.is_empty() || name == "HEAD" {
        GitRef::Default
    } else if (7..=40).contains(&name.len()) && name.chars().all(|c| c.is_ascii_hexdigit()) {
        GitRef::Commit(name.to_ascii_lowercase())
    } else if numbered.starts_with(|c: char| c.is_ascii_digit()) {
        GitRef::Tag(name.to_owned())
    } else {
        GitRef::Branch(name.to_owned())
    }
}

fn is_plain_ref(reference: &GitRef) -> bool {
    match reference {
        GitRef::Commit(name) | GitRef::Tag(name) | GitRef::Branch(name) => is_plain(name),
        GitRef::Default => true,
    }
}

/// An address or name without anything that would change the meaning of a line or an argument.
fn is_plain(text: &str) -> bool {
    let blank = |c: char| c.is_control() || c.is_whitespace();
    !text.is_empty() && !text.starts_with('-') && !text.contains(blank)
}

/// Returns the directory of the application inside the repository: rebar3 appends its name where
/// the path does not end in it. `None` if the path leaves the repository.
fn subdir(app: &str, directory: &str) -> Option<String> {
    let mut parts: Vec<_> =
        directory.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.last() != Some(&app) {
        parts.push(app);
    }
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

/// Names become directories and file names, so they must be nothing else.
fn check_name(name: &str) -> Result<(), RebarError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '-' | '+' | '.');
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(plain);
    if fits && !name.starts_with(['.', '-']) {
        return Ok(());
    }
    Err(RebarError::BadName { name: shorten(name) })
}

fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}

/// Writes a package's dependency in the form in which rebar3 takes it from the registry.
pub(super) fn package_term(wish: &Wish) -> Term {
    let name = Term::binary(wish.app.as_str());
    match &wish.source {
        WishSource::Hex { package, requirement, .. } => {
            let package = Term::Tuple(vec![Term::atom("pkg"), Term::binary(package.as_str())]);
            match requirement {
                Some(version) => Term::Tuple(vec![name, Term::binary(version.as_str()), package]),
                None => Term::Tuple(vec![name, package]),
            }
        }
        WishSource::Git { url, reference, subdir } => {
            Term::Tuple(vec![name, git_term(url, reference, subdir.as_deref())])
        }
        // What rebar3 has no form for stands as an address, for overrides to compare.
        WishSource::Url { url: address, .. } | WishSource::Path { path: address } => {
            Term::Tuple(vec![name, git_term(address, &GitRef::Default, None)])
        }
    }
}

fn git_term(url: &str, reference: &GitRef, subdir: Option<&str>) -> Term {
    let pair = |kind: &str, name: &str| Term::Tuple(vec![Term::atom(kind), Term::string(name)]);
    let reference = match reference {
        GitRef::Commit(name) => pair("ref", name),
        GitRef::Tag(name) => pair("tag", name),
        GitRef::Branch(name) => pair("branch", name),
        GitRef::Default => Term::string(""),
    };
    let mut items = vec![Term::atom("git"), Term::string(url), reference];
    if let Some(subdir) = subdir {
        items[0] = Term::atom("git_subdir");
        items.push(Term::string(subdir));
    }
    Term::Tuple(items)
}
