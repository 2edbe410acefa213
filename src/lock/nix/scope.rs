//! Scope: which names an expression binds where, as far as its text says so.
//!
//! `let … in`, `rec { … }` and the parameters of functions bring names; a scope ends where the expression does that it is
//! of: at the `;` or the closing bracket behind it. What a name means is looked up from the inside out, and only what is
//! written as a string in the end means anything. A wrong guess could not pass for a right one: every pin is proved by its hash.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::scan::{Piece, Token};

/// Nested scopes whose names count.
const SCOPES_MAX: usize = 64;
/// Names that one value may lead through.
const NAMES_MAX: usize = 64;
/// What a function's parameters and their defaults may be written with.
const PATTERN_TOKENS_MAX: usize = 1000;

pub(super) type Tokens<'t, 'a> = &'t [(usize, Token<'a>)];
pub(super) type Bindings<'t, 'a> = BTreeMap<&'a str, Value<'t, 'a>>;

/// What a name is bound to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'t, 'a> {
    Written(Tokens<'t, 'a>),
    /// `inherit name;`: what it is further out.
    Outer,
    /// A parameter, or `inherit (…) name;`.
    Unknown,
}

/// Why the place where we are is within another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Bracket {
        has_scope: bool,
    },
    /// `with …;` and `assert …;`, up to their `;`.
    Before,
    /// A function's parameters, or a `let` behind its `in`.
    Names {
        has_scope: bool,
    },
    /// A `let` before its `in`.
    Let {
        has_scope: bool,
    },
}

#[derive(Debug, Default)]
pub(super) struct Scopes<'t, 'a> {
    frames: Vec<Frame>,
    scopes: Vec<Rc<Bindings<'t, 'a>>>,
}

impl<'t, 'a> Scopes<'t, 'a> {
    /// Goes past the token at this place.
    pub(super) fn pass(&mut self, tokens: Tokens<'t, 'a>, at: usize) {
        let before = at.checked_sub(1).map(|before| &tokens[before].1);
        let after = tokens.get(at + 1).map(|(_, token)| token);
        match &tokens[at].1 {
            Token::Word("let") => {
                let has_scope = self.enter(|| bindings(tokens, at + 1).0);
                self.frames.push(Frame::Let { has_scope });
            }
            Token::Word("in") => {
                self.leave_names();
                if let Some(Frame::Let { has_scope }) = self.frames.last().copied() {
                    self.frames.pop();
                    self.frames.push(Frame::Names { has_scope });
                }
            }
            Token::Word("with" | "assert") => self.frames.push(Frame::Before),
            Token::Word(name) if after == Some(&Token::Other(':')) => {
                self.parameters(&[*name]);
            }
            Token::Other('{') if before == Some(&Token::Word("rec")) => {
                let has_scope = self.enter(|| bindings(tokens, at + 1).0);
                self.frames.push(Frame::Bracket { has_scope });
            }
            Token::Other('{' | '(' | '[') => self.frames.push(Frame::Bracket { has_scope: false }),
            Token::Other('}' | ')' | ']') => {
                while let Some(frame) = self.frames.pop() {
                    self.forget(frame);
                    if matches!(frame, Frame::Bracket { .. }) {
                        break;
                    }
                }
            }
            Token::Other(';') if self.frames.last() == Some(&Frame::Before) => {
                self.frames.pop();
            }
            Token::Other(';') => self.leave_names(),
            _ => {}
        }
    }

    /// Brings a function's parameters in: nobody knows what they are.
    pub(super) fn parameters(&mut self, names: &[&'a str]) {
        let unknown = names.iter().map(|name| (*name, Value::Unknown));
        let has_scope = self.enter(|| unknown.collect());
        self.frames.push(Frame::Names { has_scope });
    }

    /// Makes these names known, too, until they are taken out.
    pub(super) fn bring_in(&mut self, names: Rc<Bindings<'t, 'a>>) {
        self.scopes.push(names);
    }

    /// Forgets the names that were brought in last.
    pub(super) fn take_out(&mut self) {
        self.scopes.pop();
    }

    /// The text of a name of the innermost scope; `None` where it is computed.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.look_up(name, self.scopes.len(), &mut 0)
    }

    fn look_up(&self, name: &str, visible: usize, names: &mut usize) -> Option<String> {
        *names += 1;
        if *names > NAMES_MAX {
            return None;
        }
        let inside_out = self.scopes[..visible].iter().enumerate().rev();
        let (place, value) =
            inside_out.into_iter().find_map(|(place, scope)| Some((place, scope.get(name)?)))?;
        match value {
            Value::Unknown => None,
            Value::Outer => self.look_up(name, place, names),
            Value::Written([(_, Token::Word(word @ ("true" | "false")))]) => {
                Some((*word).to_owned())
            }
            // A set that is not `rec` names what is further out by the same name.
            Value::Written([(_, Token::Word(word))]) if *word == name => {
                self.look_up(word, place, names)
            }
            Value::Written([(_, Token::Word(word))]) => self.look_up(word, place + 1, names),
            Value::Written([(_, Token::Text(pieces))]) => {
                let piece = |piece: &Piece<'a>| match piece {
                    Piece::Plain(text) => Some(text.clone()),
                    Piece::Name(name) => self.look_up(name, place + 1, names),
                    Piece::Computed => None,
                };
                pieces.iter().map(piece).collect()
            }
            Value::Written(_) => None,
        }
    }

    fn enter(&mut self, scope: impl FnOnce() -> Bindings<'t, 'a>) -> bool {
        let has_room = self.scopes.len() < SCOPES_MAX;
        if has_room {
            self.scopes.push(Rc::new(scope()));
        }
        has_room
    }

    fn leave_names(&mut self) {
        while let Some(frame @ Frame::Names { .. }) = self.frames.last().copied() {
            self.frames.pop();
            self.forget(frame);
        }
    }

    fn forget(&mut self, frame: Frame) {
        if let Frame::Bracket { has_scope: true }
        | Frame::Names { has_scope: true }
        | Frame::Let { has_scope: true } = frame
        {
            self.scopes.pop();
        }
    }
}

/// Reads `name = value;` up to the closing brace or `in`, and where that is passed.
pub(super) fn bindings<'t, 'a>(tokens: Tokens<'t, 'a>, mut at: usize) -> (Bindings<'t, 'a>, usize) {
    let mut bindings = Bindings::new();
    while let Some((_, token)) = tokens.get(at) {
        at += 1;
        match token {
            Token::Other('}') | Token::Word("in") => break,
            // What stands behind the `;` of a `with`.
            Token::Other('{' | '(' | '[') => at = end_of_value(tokens, at) + 1,
            Token::Word(name) if matches!(tokens.get(at), Some((_, Token::Other('=')))) => {
                let end = end_of_value(tokens, at + 1);
                bindings.insert(name, Value::Written(&tokens[at + 1..end]));
                at = end;
            }
            // `inherit owner repo;` takes them from further out, `inherit (set) owner;` from a set.
            Token::Word("inherit") => {
                let end = end_of_value(tokens, at);
                let from_set = matches!(tokens.get(at), Some((_, Token::Other('('))));
                for (_, token) in &tokens[at..end] {
                    if let Token::Word(name) = token {
                        bindings.insert(name, if from_set { Value::Unknown } else { Value::Outer });
                    }
                }
                at = end;
            }
            _ => {}
        }
    }
    (bindings, at)
}

/// The place of the `;` or closing bracket that ends a value.
fn end_of_value(tokens: Tokens<'_, '_>, from: usize) -> usize {
    let mut depth = 0_usize;
    for (place, (_, token)) in tokens.iter().enumerate().skip(from) {
        match token {
            Token::Other(';' | '}' | ')' | ']') if depth == 0 => return place,
            // What stands between `let` and `in` has a `;` of its own.
            Token::Other('{' | '(' | '[') | Token::Word("let") => depth += 1,
            Token::Other('}' | ')' | ']') | Token::Word("in") => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    tokens.len()
}

/// Reads the parameters of a function that begins with this brace, and where its `:` is; `None` where it is a set.
pub(super) fn pattern<'a>(tokens: Tokens<'_, 'a>, open: usize) -> Option<(Vec<&'a str>, usize)> {
    let inside = tokens.iter().skip(open + 1).take(PATTERN_TOKENS_MAX);
    let is_plain = |token: &Token<'_>| !matches!(token, Token::Other('{' | '}' | '=' | ';'));
    let length = inside.take_while(|(_, token)| is_plain(token)).count();
    let close = open + 1 + length;
    let is_pattern = tokens.get(close).map(|(_, token)| token) == Some(&Token::Other('}'))
        && matches!(tokens.get(close + 1), Some((_, Token::Other(':' | '@'))));
    if !is_pattern {
        return None;
    }
    let mut names = Vec::new();
    for place in open..close {
        if let [(_, Token::Other('{' | ',')), (_, Token::Word(name)), ..] = &tokens[place..close] {
            names.push(*name);
        }
    }
    let colon =
        tokens.iter().skip(close).take(3).position(|(_, token)| *token == Token::Other(':'));
    Some((names, close + colon.unwrap_or(0)))
}
