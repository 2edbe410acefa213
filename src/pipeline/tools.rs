//! Tools: what is built from source is pinned before anything else, since configurations are evaluated with it.

use super::Desk;
use super::lock::{fetch, settled};
use crate::explain::Failure;
use crate::lock::{Lock, Pin, ProjectFacts, Request, Resolver, Settled, Source};
use crate::manifest::Tool;
use crate::manifest::rebar::{GitRef, RebarFacts, Wish, WishSource};
use crate::manifest::tools::known_tree;

/// Returns the tools that are wished for, as the project states them.
pub(super) fn wishes(desk: &Desk<'_>) -> Vec<Wish> {
    let tools = desk.manifest.wished_tools().into_iter();
    tools.map(|(app, source)| Wish { app, source }).collect()
}

/// Pins these tools; what the previous lock holds for the same wish stays.
pub(super) fn pin(
    desk: &Desk<'_>,
    tools: Vec<Wish>,
    previous: Option<&Lock>,
) -> Result<Vec<Source>, Failure> {
    let name = desk.manifest.project.name.clone();
    let facts = ProjectFacts { name, tools, ..ProjectFacts::default() };
    let nothing = Default::default();
    let mut resolver = Resolver::new(&facts, &nothing);
    if let Some(previous) = previous {
        resolver = resolver.with_previous(previous);
    }
    loop {
        let mut requests = resolver.next_level();
        if requests.is_empty() {
            return Ok(resolver.finish()?.sources);
        }
        requests.iter_mut().for_each(recall);
        let answers = requests.iter().map(|request| settle(desk, request));
        let answers: Vec<Settled> = answers.collect::<Result<_, Failure>>()?;
        resolver.settle(answers);
    }
}

/// A source that this very program names is pinned from the start, content and all.
fn recall(request: &mut Request) {
    if request.pinned.is_none()
        && let WishSource::Git { url, reference: GitRef::Commit(commit), .. } = &request.wish.source
        && let Some(tree) = known_tree(&request.wish.source)
    {
        let tree = tree
            .parse()
            .expect("the digests of this program are written out, and a test reads them");
        let (url, commit) = (url.clone(), commit.clone());
        request.pinned = Some(Pin::Git { url, commit, subdir: None, tree });
    }
}

fn settle(desk: &Desk<'_>, request: &Request) -> Result<Settled, Failure> {
    let found = fetch(desk, request)?;
    // What a tool is made of is its own affair: it must build without a network.
    Ok(settled(request, &found, Tool::Rebar3, RebarFacts::default()))
}
