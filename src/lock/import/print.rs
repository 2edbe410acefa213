//! Print: a lock of ours in the text that rebar3 itself would write.

use crate::lock::import::rebar_sources;
use crate::lock::{Lock, Pin, Source};
use crate::terms::Term;

/// Columns within which Erlang's `~p` breaks lines.
const COLUMNS: usize = 80;

/// Writes what rebar3 itself would write for the default profile.
///
/// Two things differ from rebar3's own text: urls are normalised, and the inner checksums of
/// packages, which nothing needs any more, are left out.
pub fn rebar_lock_text(lock: &Lock) -> String {
    let sources: Vec<&Source> = rebar_sources(lock).collect();
    let mut entries: Vec<(Term, Term, Term)> = Vec::new();
    let mut sums: Vec<String> = Vec::new();
    for source in sources {
        let name = Term::binary(source.app.as_str());
        if let Pin::Hex { outer, .. } = &source.pin {
            let sum = Term::binary(outer.hex().to_uppercase());
            sums.push(format!(" {{{name}, {sum}}}"));
        }
        entries.push((name, source_term(&source.pin), Term::Integer(source.level.into())));
    }
    entries.sort();
    sums.sort();
    let list = list_text(&entries);
    if sums.is_empty() {
        return format!("{list}.\n");
    }
    format!("{{\"1.2.0\",\n{list}}}.\n[\n{{pkg_hash_ext,[\n{}]}}\n].\n", sums.join(",\n"))
}

fn source_term(pin: &Pin) -> Term {
    let reference = |commit: &str| Term::Tuple(vec![Term::atom("ref"), Term::string(commit)]);
    Term::Tuple(match pin {
        Pin::Git { url, commit, subdir: None, .. } => {
            vec![Term::atom("git"), Term::string(url.as_str()), reference(commit)]
        }
        Pin::Git { url, commit, subdir: Some(subdir), .. } => vec![
            Term::atom("git_subdir"),
            Term::string(url.as_str()),
            reference(commit),
            Term::string(subdir.as_str()),
        ],
        Pin::Hex { package, version, .. } => {
            vec![Term::atom("pkg"), Term::binary(package.as_str()), Term::binary(version.as_str())]
        }
        Pin::Url { url, .. } => vec![Term::atom("url"), Term::string(url.as_str())],
        Pin::Path { path } => vec![Term::atom("path"), Term::string(path.as_str())],
    })
}

/// Lays a lock's entries out as `~p` does: on one line where there is room, else one below another,
/// an entry that is too long with its parts below one another.
fn list_text(entries: &[(Term, Term, Term)]) -> String {
    let flat = |(name, source, level): &(Term, Term, Term)| format!("{{{name},{source},{level}}}");
    let whole = entries.iter().map(flat).collect::<Vec<_>>().join(",");
    if whole.len() + 2 < COLUMNS - 1 {
        return format!("[{whole}]");
    }
    let last = entries.len() - 1;
    let lines = entries.iter().enumerate().map(|(index, entry)| {
        let line = flat(entry);
        // The closing bracket stands behind the last one.
        if line.len() + usize::from(index == last) < COLUMNS - 2 {
            return line;
        }
        let (name, source, level) = entry;
        format!("{{{name},\n  {},\n  {level}}}", source_text(source))
    });
    format!("[{}]", lines.collect::<Vec<_>>().join(",\n "))
}

fn source_text(source: &Term) -> String {
    let line = source.to_string();
    let Some([tag, address, rest @ ..]) = source.as_tuple() else {
        return line;
    };
    if line.len() < COLUMNS - 3 {
        return line;
    }
    let indent = " ".repeat(tag.to_string().len() + 4);
    let rest: String = rest.iter().map(|part| format!(",\n{indent}{part}")).collect();
    format!("{{{tag},{address}{rest}}}")
}
