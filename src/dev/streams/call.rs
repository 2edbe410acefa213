//! Call: one command at work: what it was given, what it may look at and change, and what follows from it.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::keyspace::{Keyspace, Kind, Place, Value};
use super::refusal::Refusal;
use super::reply::Reply;
use super::wait::Wait;

/// What a command answers.
pub(super) type Answer = Result<Reply, Refusal>;

/// What a command did beside answering.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Keys that are no longer what they were.
    pub(super) touched: BTreeSet<Place>,
    /// Keys that may have what somebody waits for, in the order in which they came to have it.
    pub(super) ready: Vec<Place>,
    /// Commands that lead to the same state whenever they are run again, each of one key; `None`: the command
    /// itself does.
    pub(super) instead: Option<Vec<(Place, Vec<Bytes>)>>,
    /// The client is to wait.
    pub(super) wait: Option<Wait>,
}

/// A command at work.
pub(super) struct Call<'a> {
    pub(super) keys: &'a mut Keyspace,
    pub(super) database: usize,
    pub(super) now_ms: u64,
    /// The command's name and its arguments.
    pub(super) arguments: &'a [Bytes],
    /// A number that nobody could foresee.
    pub(super) luck: u64,
    pub(super) effects: Effects,
}

impl<'a> Call<'a> {
    pub(super) fn argument(&self, at: usize) -> &'a [u8] {
        &self.arguments[at]
    }

    /// Reads an argument as a whole number.
    pub(super) fn integer(&self, at: usize) -> Result<i64, Refusal> {
        integer(&self.arguments[at])
    }

    pub(super) fn is_option(&self, at: usize, name: &str) -> bool {
        self.arguments[at].eq_ignore_ascii_case(name.as_bytes())
    }

    /// Tells whether an option with a value stands here.
    pub(super) fn is_option_with_value(&self, at: usize, name: &str) -> bool {
        self.is_option(at, name) && at + 1 < self.arguments.len()
    }

    pub(super) fn place(&self, at: usize) -> Place {
        (self.database, self.arguments[at].clone())
    }

    /// Looks at a value, if the key is there and its time has not come.
    pub(super) fn value(&mut self, at: usize) -> Option<&Value> {
        self.expire(at);
        self.keys.get(self.database, &self.arguments[at]).map(|held| &held.value)
    }

    /// Looks at a value of the kind that the command is for.
    pub(super) fn read<K: Kind>(&mut self, at: usize) -> Result<Option<&K>, Refusal> {
        self.value(at).map(K::expect).transpose()
    }

    /// Takes a value of the kind that the command is for, to change it.
    pub(super) fn change<K: Kind>(&mut self, at: usize) -> Result<Option<&mut K>, Refusal> {
        self.read::<K>(at)?;
        let held = self.keys.get_mut(self.database, &self.arguments[at]);
        Ok(held.and_then(|held| K::of_mut(&mut held.value)))
    }

    /// Takes a value to change it, and puts an empty one there where none is.
    pub(super) fn change_or_make<K: Kind + Default>(
        &mut self,
        at: usize,
    ) -> Result<&mut K, Refusal> {
        if self.read::<K>(at)?.is_none() {
            let place = self.place(at);
            self.keys.put_empty(&place, K::default().into_value());
        }
        Ok(self.change::<K>(at)?.expect("it was just put there"))
    }

    /// Puts a value in place of what was there.
    pub(super) fn put(&mut self, at: usize, value: Value, expires_ms: Option<u64>) {
        let place = self.place(at);
        self.keys.put(&place, value, expires_ms);
        self.touch(at);
    }

    /// Takes a key out; tells whether it was there.
    pub(super) fn remove(&mut self, at: usize) -> bool {
        self.expire(at);
        let place = self.place(at);
        let was_there = self.keys.remove(&place).is_some();
        if was_there {
            self.note(place);
        }
        was_there
    }

    /// Notes that a key was changed, and weighs it.
    pub(super) fn touch(&mut self, at: usize) {
        let place = self.place(at);
        self.keys.settle(&place);
        self.note(place);
    }

    /// Notes that a place is no longer what it was; who waits for it is to look.
    pub(super) fn note(&mut self, place: Place) {
        if !self.effects.ready.contains(&place) {
            self.effects.ready.push(place.clone());
        }
        self.effects.touched.insert(place);
    }

    /// Says by which command the change can be made again.
    pub(super) fn instead(&mut self, place: Place, command: Vec<Bytes>) {
        self.effects.instead.get_or_insert_default().push((place, command));
    }

    /// Takes the key out if its time has come.
    pub(super) fn expire(&mut self, at: usize) {
        let key = &self.arguments[at];
        let held = self.keys.get(self.database, key);
        if held.and_then(|held| held.expires_ms).is_some_and(|end| end <= self.now_ms) {
            let place = self.place(at);
            self.keys.remove(&place);
            self.note(place);
        }
    }
}

/// Reads a whole number as Redis does: no plus, no zeros in front, no blanks.
pub(super) fn integer(text: &[u8]) -> Result<i64, Refusal> {
    let number = std::str::from_utf8(text).ok().and_then(|text| {
        let number: i64 = text.parse().ok()?;
        let is_plain =
            matches!(text.as_bytes(), [b'0'] | [b'-', b'1'..=b'9', ..] | [b'1'..=b'9', ..]);
        is_plain.then_some(number)
    });
    number.ok_or_else(Refusal::not_an_integer)
}

/// Reads a fraction.
pub(super) fn float(text: &[u8]) -> Result<f64, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| Refusal::not_a_float())?;
    let number: f64 = text.parse().map_err(|_| Refusal::not_a_float())?;
    if number.is_nan() { Err(Refusal::not_a_float()) } else { Ok(number) }
}

/// Reads how long to wait, in the unit that the command counts in; 0 is for ever.
pub(super) fn timeout_ms(text: &[u8], unit_ms: f64) -> Result<u64, Refusal> {
    let unreadable = if unit_ms > 1.0 {
        "timeout is not a float or out of range"
    } else {
        "timeout is not an integer or out of range"
    };
    let amount = match unit_ms > 1.0 {
        true => float(text).map_err(|_| Refusal::err(unreadable))? * unit_ms,
        #[expect(
            clippy::cast_precision_loss,
            reason = "a wait of a million years may be a second off"
        )]
        false => integer(text).map_err(|_| Refusal::err(unreadable))? as f64,
    };
    if amount < 0.0 {
        return Err(Refusal::err("timeout is negative"));
    }
    if amount > i64::MAX as f64 {
        return Err(Refusal::err("timeout is out of range"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it was just looked at"
    )]
    Ok(amount.ceil() as u64)
}
