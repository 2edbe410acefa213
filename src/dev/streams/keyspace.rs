//! Keyspace: sixteen databases of keys, each with its value, its end and its weight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::refusal::Refusal;
use super::stream::{NodeLimits, Stream};

pub(super) const DATABASES: usize = 16;
/// Bytes that bookkeeping takes for each key and each member of a collection.
const KEY_BYTES: usize = 96;
const MEMBER_BYTES: usize = 64;

/// What stands under a key.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(Bytes),
    Set(Members),
    Hash(Table),
    List(Row),
    Stream(Stream),
}

/// A set that knows its weight.
#[derive(Debug, Clone, Default)]
pub(super) struct Members {
    members: BTreeSet<Bytes>,
    bytes: usize,
}

/// A hash that knows its weight.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    fields: BTreeMap<Bytes, Bytes>,
    bytes: usize,
}

/// A list that knows its weight.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    items: VecDeque<Bytes>,
    bytes: usize,
}

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// A key's value and all about it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) value: Value,
    /// When it ends, in milliseconds since 1970.
    pub(super) expires_ms: Option<u64>,
    /// Rises with every change in the whole state: what `WATCH` looks at.
    pub(super) version: u64,
    weight: usize,
}

/// A key in its database.
pub(super) type Place = (usize, Bytes);

/// All keys.
#[derive(Debug)]
pub(super) struct Keyspace {
    databases: Vec<BTreeMap<Bytes, Held>>,
    /// Keys that end, soonest first.
    ends: BTreeSet<(u64, usize, Bytes)>,
    pub(super) bytes: usize,
    pub(super) node_limits: NodeLimits,
    version: u64,
}

impl Default for Keyspace {
    fn default() -> Self {
        Self {
            databases: (0..DATABASES).map(|_| BTreeMap::new()).collect(),
            ends: BTreeSet::new(),
            bytes: 0,
            node_limits: NodeLimits { bytes_max: 4096, entries_max: 100 },
            version: 0,
        }
    }
}

impl Keyspace {
    pub(super) fn get(&self, database: usize, key: &[u8]) -> Option<&Held> {
        self.databases[database].get(key)
    }

    pub(super) fn get_mut(&mut self, database: usize, key: &[u8]) -> Option<&mut Held> {
        self.databases[database].get_mut(key)
    }

    pub(super) fn keys(&self, database: usize) -> impl Iterator<Item = (&Bytes, &Held)> {
        self.databases[database].iter()
    }

    pub(super) fn len(&self, database: usize) -> usize {
        self.databases[database].len()
    }

    /// Puts a value under a key that ends at `expires_ms`, in place of what was there.
    pub(super) fn put(&mut self, place: &Place, value: Value, expires_ms: Option<u64>) {
        self.remove(place);
        let held = Held { value, expires_ms, version: 0, weight: 0 };
        if let Some(at) = expires_ms {
            self.ends.insert((at, place.0, place.1.clone()));
        }
        self.databases[place.0].insert(place.1.clone(), held);
        self.settle(place);
    }

    /// Puts a value there that its command fills before it ends.
    pub(super) fn put_empty(&mut self, place: &Place, value: Value) {
        let held = Held { value, expires_ms: None, version: 0, weight: 0 };
        self.databases[place.0].insert(place.1.clone(), held);
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, place: &Place) -> Option<Held> {
        let held = self.databases[place.0].remove(&place.1)?;
        if let Some(at) = held.expires_ms {
            self.ends.remove(&(at, place.0, place.1.clone()));
        }
        self.bytes -= held.weight;
        self.version += 1;
        Some(held)
    }

    /// Sets when a key ends; `None` for never.
    pub(super) fn set_end(&mut self, place: &Place, expires_ms: Option<u64>) {
        let Some(held) = self.databases[place.0].get_mut(&place.1) else {
            return;
        };
        if let Some(at) = std::mem::replace(&mut held.expires_ms, expires_ms) {
            self.ends.remove(&(at, place.0, place.1.clone()));
        }
        if let Some(at) = expires_ms {
            self.ends.insert((at, place.0, place.1.clone()));
        }
    }

    /// Weighs a key anew after a change, and takes it out if nothing is left in it.
    pub(super) fn settle(&mut self, place: &Place) {
        self.version += 1;
        let version = self.version;
        let Some(held) = self.databases[place.0].get_mut(&place.1) else {
            return;
        };
        let weight = KEY_BYTES + place.1.len() + held.value.weight();
        self.bytes = self.bytes - held.weight + weight;
        held.weight = weight;
        held.version = version;
        if held.value.is_empty() {
            self.remove(place);
        }
    }

    /// Exchanges two databases.
    pub(super) fn swap(&mut self, one: usize, other: usize) {
        self.databases.swap(one, other);
        self.version += 1;
        let version = self.version;
        self.ends.retain(|(_, database, _)| *database != one && *database != other);
        for database in [one, other] {
            for (key, held) in &mut self.databases[database] {
                held.version = version;
                if let Some(at) = held.expires_ms {
                    self.ends.insert((at, database, key.clone()));
                }
            }
        }
    }

    /// Names the key that ends first, if its time has come.
    pub(super) fn due(&self, now_ms: u64) -> Option<Place> {
        let (at, database, key) = self.ends.first()?;
        (*at <= now_ms).then(|| (*database, key.clone()))
    }

    /// Says when the next key ends.
    pub(super) fn next_end(&self) -> Option<u64> {
        self.ends.first().map(|(at, _, _)| *at)
    }

    /// Returns what `WATCH` compares: 0 for a key that is not there.
    pub(super) fn version(&self, database: usize, key: &[u8]) -> u64 {
        self.get(database, key).map_or(0, |held| held.version)
    }
}

impl Held {
    pub(super) fn weight(&self) -> usize {
        self.weight
    }
}

impl Value {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Set(_) => "set",
            Self::Hash(_) => "hash",
            Self::List(_) => "list",
            Self::Stream(_) => "stream",
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Set(set) => set.bytes,
            Self::Hash(hash) => hash.bytes,
            Self::List(list) => list.bytes,
            Self::Stream(stream) => stream.weight(),
        }
    }

    /// Collections end with their last member; streams stay.
    fn is_empty(&self) -> bool {
        match self {
            Self::Set(set) => set.members.is_empty(),
            Self::Hash(hash) => hash.fields.is_empty(),
            Self::List(list) => list.items.is_empty(),
            Self::Text(_) | Self::Stream(_) => false,
        }
    }
}

/// A value that a command expects under its key.
pub(super) trait Kind: Sized {
    /// Sees it in a value.
    fn of(value: &Value) -> Option<&Self>;
    /// Sees it in a value, to change it.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    /// Makes a value of it.
    fn into_value(self) -> Value;

    /// Sees it in a value, or words the refusal.
    fn expect(value: &Value) -> Result<&Self, Refusal> {
        Self::of(value).ok_or_else(Refusal::wrong_type)
    }
}

macro_rules! kinds {
    ($($variant:ident: $kind:ty),*) => { $(
        impl Kind for $kind {
            fn of(value: &Value) -> Option<&Self> {
                if let Value::$variant(inner) = value { Some(inner) } else { None }
            }
            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                if let Value::$variant(inner) = value { Some(inner) } else { None }
            }
            fn into_value(self) -> Value {
                Value::$variant(self)
            }
        }
    )* };
}

kinds!(Text: Bytes, Set: Members, Hash: Table, List: Row, Stream: Stream);

impl Members {
    pub(super) fn insert(&mut self, member: Bytes) -> bool {
        let bytes = MEMBER_BYTES + member.len();
        let is_new = self.members.insert(member);
        self.bytes += if is_new { bytes } else { 0 };
        is_new
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let was_there = self.members.remove(member);
        self.bytes -= if was_there { MEMBER_BYTES + member.len() } else { 0 };
        was_there
    }

    pub(super) fn all(&self) -> &BTreeSet<Bytes> {
        &self.members
    }
}

impl FromIterator<Bytes> for Members {
    fn from_iter<T: IntoIterator<Item = Bytes>>(members: T) -> Self {
        let mut set = Self::default();
        for member in members {
            set.insert(member);
        }
        set
    }
}

impl Table {
    /// Sets a field; tells whether it is new.
    pub(super) fn insert(&mut self, field: Bytes, value: Bytes) -> bool {
        self.bytes += 2 * MEMBER_BYTES + field.len() + value.len();
        let field_bytes = field.len();
        match self.fields.insert(field, value) {
            Some(before) => {
                self.bytes -= 2 * MEMBER_BYTES + field_bytes + before.len();
                false
            }
            None => true,
        }
    }

    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let Some(before) = self.fields.remove(field) else {
            return false;
        };
        self.bytes -= 2 * MEMBER_BYTES + field.len() + before.len();
        true
    }

    pub(super) fn all(&self) -> &BTreeMap<Bytes, Bytes> {
        &self.fields
    }
}

impl Row {
    pub(super) fn items(&self) -> &VecDeque<Bytes> {
        &self.items
    }

    pub(super) fn push(&mut self, side: Side, item: Bytes) {
        self.bytes += MEMBER_BYTES + item.len();
        match side {
            Side::Left => self.items.push_front(item),
            Side::Right => self.items.push_back(item),
        }
    }

    pub(super) fn pop(&mut self, side: Side) -> Option<Bytes> {
        let item = match side {
            Side::Left => self.items.pop_front(),
            Side::Right => self.items.pop_back(),
        }?;
        self.bytes -= MEMBER_BYTES + item.len();
        Some(item)
    }

    /// Changes it in any way, and weighs it anew.
    pub(super) fn edit<T>(&mut self, change: impl FnOnce(&mut VecDeque<Bytes>) -> T) -> T {
        let result = change(&mut self.items);
        self.bytes = self.items.iter().map(|item| MEMBER_BYTES + item.len()).sum();
        result
    }
}
