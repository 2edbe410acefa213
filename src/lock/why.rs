//! Why: the ways that lead from the project to a source, and the whole closure as a tree.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::lock::{Lock, Role, Source};

type Node<'a> = (Role, &'a str);

/// Returns why an application is in the lock: for each of its parents the shortest way from the
/// project, names from the project down to the application. Empty where it is not locked.
pub fn why(lock: &Lock, app: &str) -> Vec<Vec<String>> {
    let ways = ways(lock);
    let mut chains = BTreeSet::new();
    for source in lock.sources.iter().filter(|source| source.app == app) {
        for parent in &source.parents {
            let mut chain = match *parent == lock.project {
                true => vec![lock.project.clone()],
                false => shortest(lock, &ways, source, parent),
            };
            chain.push(app.to_owned());
            chains.insert(chain);
        }
    }
    let mut chains: Vec<Vec<String>> = chains.into_iter().collect();
    chains.sort_by_key(Vec::len);
    chains
}

/// The way to one parent; a dependency's parent is a dependency, a plugin's is either.
fn shortest(
    lock: &Lock,
    ways: &BTreeMap<Node<'_>, Vec<String>>,
    source: &Source,
    parent: &str,
) -> Vec<String> {
    let roles: &[Role] = match source.role {
        Role::Dep => &[Role::Dep],
        Role::Plugin | Role::Tool => &[Role::Dep, Role::Plugin, Role::Tool],
    };
    let known = roles.iter().filter_map(|role| ways.get(&(*role, parent)));
    let way = known.min_by_key(|way| way.len()).cloned();
    way.unwrap_or_else(|| vec![lock.project.clone(), parent.to_owned()])
}

/// The shortest way to each source, by name.
fn ways(lock: &Lock) -> BTreeMap<Node<'_>, Vec<String>> {
    let mut ways: BTreeMap<Node<'_>, Vec<String>> = BTreeMap::new();
    let children = children(lock);
    let start = vec![lock.project.clone()];
    let mut queue: VecDeque<(Node<'_>, Vec<String>)> = VecDeque::new();
    for source in lock.sources.iter().filter(|source| source.parents.contains(&lock.project)) {
        queue.push_back(((source.role, source.app.as_str()), start.clone()));
    }
    while let Some((node, mut way)) = queue.pop_front() {
        if ways.contains_key(&node) {
            continue;
        }
        way.push(node.1.to_owned());
        for child in children.get(&node).into_iter().flatten() {
            queue.push_back((*child, way.clone()));
        }
        ways.insert(node, way);
    }
    ways
}

/// What each source leads to: its dependencies, and the plugins that name it as a parent.
fn children(lock: &Lock) -> BTreeMap<Node<'_>, BTreeSet<Node<'_>>> {
    let mut children: BTreeMap<Node<'_>, BTreeSet<Node<'_>>> = BTreeMap::new();
    let names: BTreeSet<Node<'_>> =
        lock.sources.iter().map(|source| (source.role, source.app.as_str())).collect();
    for source in &lock.sources {
        let own = (source.role, source.app.as_str());
        for dep in &source.deps {
            children.entry(own).or_default().insert((source.role, dep));
        }
        for parent in source.parents.iter().filter(|_| source.role != Role::Dep) {
            let parents = [Role::Dep, Role::Plugin].map(|role| (role, parent.as_str()));
            for parent in parents.into_iter().filter(|parent| names.contains(parent)) {
                children.entry(parent).or_default().insert(own);
            }
        }
    }
    children
}

/// Draws the closure as a tree; what was drawn before is marked `(*)` and not opened again.
pub fn tree(lock: &Lock) -> String {
    let children = children(lock);
    let mut text = format!("{}\n", lock.project);
    let mut drawn: BTreeSet<Node<'_>> = BTreeSet::new();
    let roots = lock.sources.iter().filter(|source| source.parents.contains(&lock.project));
    let roots: Vec<Node<'_>> = roots.map(|source| (source.role, source.app.as_str())).collect();
    // A stack in place of recursion: each entry is a node, its indentation, and whether it is last.
    let mut stack: Vec<Twig<'_>> = Vec::new();
    push(&mut stack, &roots, "");
    while let Some((node, indent, is_last)) = stack.pop() {
        let branch = if is_last { "└── " } else { "├── " };
        let below: Vec<Node<'_>> = children.get(&node).into_iter().flatten().copied().collect();
        let is_again = !drawn.insert(node) && !below.is_empty();
        let again = if is_again { " (*)" } else { "" };
        text.push_str(&format!("{indent}{branch}{}{again}\n", label(lock, node)));
        if !is_again {
            let indent = format!("{indent}{}", if is_last { "    " } else { "│   " });
            push(&mut stack, &below, &indent);
        }
    }
    text
}

type Twig<'a> = (Node<'a>, String, bool);

fn push<'a>(stack: &mut Vec<Twig<'a>>, nodes: &[Node<'a>], indent: &str) {
    for (index, node) in nodes.iter().enumerate().rev() {
        stack.push((*node, indent.to_owned(), index + 1 == nodes.len()));
    }
}

fn label(lock: &Lock, (role, app): Node<'_>) -> String {
    let wanted = lock.find(role, app).map_or("", |source| source.wanted.as_str());
    match role {
        Role::Dep => format!("{app} {wanted}"),
        Role::Plugin | Role::Tool => format!("{app} {wanted} ({})", role.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Pin;

    fn source(role: Role, app: &str, parents: &[&str], deps: &[&str]) -> Source {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Source {
            parents: set(parents),
            deps: set(deps),
            ..Source::of(app, role, Pin::Path { path: app.into() }, "tag 1")
        }
    }

    fn lock() -> Lock {
        Lock::of(vec![
            source(Role::Dep, "cowboy", &["top", "web"], &["cowlib", "ranch"]),
            source(Role::Dep, "cowlib", &["cowboy", "gun"], &[]),
            source(Role::Dep, "gun", &["top"], &["cowlib"]),
            source(Role::Dep, "ranch", &["cowboy"], &[]),
            source(Role::Dep, "web", &["top"], &["cowboy"]),
            source(Role::Plugin, "pc", &["ranch"], &[]),
        ])
    }

    #[test]
    fn why_names_the_shortest_way_through_each_parent() {
        let chains = |app| -> Vec<String> {
            why(&lock(), app).iter().map(|chain| chain.join(" → ")).collect()
        };
        assert_eq!(chains("cowlib"), ["top → cowboy → cowlib", "top → gun → cowlib"]);
        assert_eq!(chains("cowboy"), ["top → cowboy", "top → web → cowboy"]);
        assert_eq!(chains("pc"), ["top → cowboy → ranch → pc"]);
        assert!(chains("nobody").is_empty());
    }

    #[test]
    fn the_tree_opens_each_source_once() {
        assert_eq!(
            tree(&lock()),
            "\
top
├── cowboy tag 1
│   ├── cowlib tag 1
│   └── ranch tag 1
│       └── pc tag 1 (plugin)
├── gun tag 1
│   └── cowlib tag 1
└── web tag 1
    └── cowboy tag 1 (*)
"
        );
    }
}
