//! Asked: what rounds have asked for so far, and which of it the manifest chooses.

use std::collections::{BTreeMap, BTreeSet};

use super::walk::Candidates;
use super::{Asked, ResolveError, address, wanted};
use crate::lock::{Role, git_url};
use crate::manifest::DepOverride;
use crate::manifest::rebar::{Wish, WishSource};

/// Returns the wish under which an answer is kept: two spellings of an address are one wish.
pub(super) fn key(wish: &Wish) -> Wish {
    let mut key = wish.clone();
    if let WishSource::Git { url, .. } = &mut key.source {
        *url = git_url::normalise(url);
    }
    key
}

/// Adds what a round asked for to what was asked for before; tells whether anything is new.
pub(super) fn remember(candidates: &mut Candidates, asked: Candidates) -> bool {
    let mut is_news = false;
    for (node, list) in asked {
        let known = candidates.entry(node).or_default();
        for asked in list {
            for parent in &asked.parents {
                is_news |= add(known, &asked.source, parent);
            }
        }
    }
    is_news
}

pub(super) fn add(list: &mut Vec<Asked>, source: &WishSource, parent: &str) -> bool {
    if let Some(asked) = list.iter_mut().find(|asked| asked.source == *source) {
        return asked.parents.insert(parent.to_owned());
    }
    list.push(Asked { source: source.clone(), parents: BTreeSet::from([parent.to_owned()]) });
    true
}

/// Refuses a `use` that fits nothing that was asked for.
pub(super) fn check_choices(
    choices: &BTreeMap<String, DepOverride>,
    candidates: &Candidates,
) -> Result<(), ResolveError> {
    for (app, choice) in choices {
        let Some(choice) = &choice.use_source else {
            continue;
        };
        let asked = [Role::Dep, Role::Plugin, Role::Tool]
            .into_iter()
            .filter_map(|role| candidates.get(&(role, app.clone())))
            .flatten();
        let asked: Vec<&Asked> = asked.collect();
        if !asked.iter().any(|asked| is_chosen(choice, asked)) {
            return Err(ResolveError::UnknownChoice {
                app: app.clone(),
                choice: choice.clone(),
                candidates: asked.iter().map(ToString::to_string).collect(),
            });
        }
    }
    Ok(())
}

/// Tells whether `use = choice` means this source: by a parent's name, or as `url#ref`.
pub(in crate::lock) fn is_chosen(choice: &str, asked: &Asked) -> bool {
    if asked.parents.contains(choice) {
        return true;
    }
    let (url, reference) = match choice.rsplit_once('#') {
        Some((url, reference)) => (url, Some(reference)),
        None => (choice, None),
    };
    let words = wanted(&asked.source);
    // `tag 1.0` is meant by `#1.0` and by `#tag 1.0`.
    let fits = |reference: &str| words == reference || words.ends_with(&format!(" {reference}"));
    let same_address = match &asked.source {
        WishSource::Git { url: asked, .. } => git_url::same(asked, url),
        WishSource::Hex { package, .. } => package == url || address(&asked.source) == url,
        other => address(other) == url,
    };
    same_address && reference.is_none_or(fits)
}
