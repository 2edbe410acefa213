//! Tree: all subscriptions by the levels of their filters, and who wants a topic.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::limits::Overlap;
use super::session::Session;

/// One client's wish for one filter.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) session: Arc<Session>,
    pub(super) qos: u8,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) subscription: Option<u32>,
}

/// Clients that share a filter: each message goes to one of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) members: Vec<Wish>,
    /// Whose turn it is, shared by all copies of the group.
    pub(super) turn: Arc<AtomicUsize>,
}

/// Who wants a topic: a client once, however many of its filters match, or once for each.
#[derive(Debug, Default)]
pub(super) struct Targets {
    pub(super) clients: Vec<Target>,
    pub(super) groups: Vec<Group>,
}

/// A client that wants a topic.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) session: Arc<Session>,
    pub(super) qos: u8,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) subscriptions: Option<Arc<[u32]>>,
}

#[derive(Debug, Default)]
struct Wishes {
    single: Vec<Wish>,
    groups: BTreeMap<Box<str>, Group>,
}

/// A level; order does not matter and topics may be many, so it hashes.
#[derive(Debug, Default)]
struct Node {
    below: HashMap<Box<str>, Node>,
    any: Option<Box<Node>>,
    here: Wishes,
    all: Wishes,
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Tree {
    root: Node,
    count: usize,
}

/// Splits `$share/GROUP/FILTER`.
pub(super) fn shared(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}

/// Returns the filter that topics are held against.
pub(super) fn inner(filter: &str) -> &str {
    shared(filter).map_or(filter, |(_, inner)| inner)
}

/// Returns what a filter costs: its text in two places, and a node for each level that may be its own alone.
pub(super) fn filter_bytes(filter: &str) -> usize {
    const LEVEL_BYTES: usize = 256;
    2 * filter.len() + LEVEL_BYTES * (1 + filter.split('/').count())
}

impl Tree {
    /// Returns how many subscriptions there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Adds a wish, in place of the client's older one for the same filter.
    pub(super) fn insert(&mut self, filter: &str, wish: Wish) {
        let group = shared(filter).map(|(group, _)| group);
        let wishes = self.root.find_or_make(inner(filter));
        let list = match group {
            Some(group) => &mut wishes.groups.entry(group.into()).or_default().members,
            None => &mut wishes.single,
        };
        match list.iter_mut().find(|old| Arc::ptr_eq(&old.session, &wish.session)) {
            Some(old) => *old = wish,
            None => {
                list.push(wish);
                self.count += 1;
            }
        }
    }

    /// Takes a client's wish for a filter out.
    pub(super) fn remove(&mut self, filter: &str, session: &Arc<Session>) {
        let group = shared(filter).map(|(group, _)| group);
        let levels: Vec<&str> = inner(filter).split('/').collect();
        if self.root.remove(&levels, group, session) {
            self.count -= 1;
        }
    }

    /// Finds who wants `topic`.
    pub(super) fn find(&self, topic: &str, overlap: Overlap) -> Targets {
        let mut found = Found::default();
        let levels: Vec<&str> = topic.split('/').collect();
        // Wildcards on the first level do not reach the broker's own topics.
        let is_own = topic.starts_with('$');
        self.root.find(&levels, is_own, &mut found);
        found.targets(overlap)
    }
}

impl Node {
    fn find_or_make(&mut self, filter: &str) -> &mut Wishes {
        let mut node = self;
        for level in filter.split('/') {
            match level {
                "#" => return &mut node.all,
                "+" => node = node.any.get_or_insert_default(),
                _ => node = node.below.entry(level.into()).or_default(),
            }
        }
        &mut node.here
    }

    fn is_empty(&self) -> bool {
        self.below.is_empty() && self.any.is_none() && self.here.is_empty() && self.all.is_empty()
    }

    /// Removes a wish and every level that is empty without it; levels are bounded, so this may recurse.
    fn remove(&mut self, levels: &[&str], group: Option<&str>, session: &Arc<Session>) -> bool {
        let Some((level, rest)) = levels.split_first() else {
            return self.here.remove(group, session);
        };
        match *level {
            "#" => self.all.remove(group, session),
            "+" => {
                let Some(node) = &mut self.any else { return false };
                let removed = node.remove(rest, group, session);
                if node.is_empty() {
                    self.any = None;
                }
                removed
            }
            level => {
                let Some(node) = self.below.get_mut(level) else { return false };
                let removed = node.remove(rest, group, session);
                if node.is_empty() {
                    self.below.remove(level);
                }
                removed
            }
        }
    }

    fn find<'a>(&'a self, levels: &[&str], is_own: bool, found: &mut Found<'a>) {
        if !is_own {
            found.add(&self.all);
        }
        let Some((level, rest)) = levels.split_first() else {
            found.add(&self.here);
            return;
        };
        if !is_own && let Some(node) = &self.any {
            node.find(rest, false, found);
        }
        if let Some(node) = self.below.get(*level) {
            node.find(rest, false, found);
        }
    }
}

impl Wishes {
    fn is_empty(&self) -> bool {
        self.single.is_empty() && self.groups.is_empty()
    }

    fn remove(&mut self, group: Option<&str>, session: &Arc<Session>) -> bool {
        let list = match group {
            Some(group) => match self.groups.get_mut(group) {
                Some(group) => &mut group.members,
                None => return false,
            },
            None => &mut self.single,
        };
        let before = list.len();
        list.retain(|wish| !Arc::ptr_eq(&wish.session, session));
        let removed = list.len() < before;
        if let Some(name) = group
            && list.is_empty()
        {
            self.groups.remove(name);
        }
        removed
    }
}

#[derive(Default)]
struct Found<'a> {
    single: Vec<&'a Wish>,
    groups: Vec<Group>,
}

impl<'a> Found<'a> {
    fn add(&mut self, wishes: &'a Wishes) {
        self.single.extend(&wishes.single);
        self.groups.extend(wishes.groups.values().cloned());
    }

    /// Makes one target of all wishes of a client, the best quality and every subscription's number; or one of each.
    fn targets(mut self, overlap: Overlap) -> Targets {
        self.single.sort_by_key(|wish| Arc::as_ptr(&wish.session));
        let clients = self
            .single
            .chunk_by(|a, b| overlap == Overlap::Once && Arc::ptr_eq(&a.session, &b.session))
            .map(|wishes| {
                let numbers: Vec<u32> =
                    wishes.iter().filter_map(|wish| wish.subscription).collect();
                Target {
                    session: Arc::clone(&wishes[0].session),
                    qos: wishes.iter().map(|wish| wish.qos).max().unwrap_or(0),
                    no_local: wishes.iter().all(|wish| wish.no_local),
                    retain_as_published: wishes.iter().any(|wish| wish.retain_as_published),
                    subscriptions: (!numbers.is_empty()).then(|| numbers.into()),
                }
            })
            .collect();
        Targets { clients, groups: self.groups }
    }
}

/// Tells whether a filter without `$share` wants a topic.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') != filter.starts_with('$') {
        return false;
    }
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}
