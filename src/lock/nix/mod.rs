//! Nix: the pins of a Nix expression, read from its text. Nothing is evaluated.
//!
//! What is looked for is `fetchFromGitHub { owner = …; repo = …; rev = …; sha256 = …; }` with plain strings, or with names
//! that the text binds to such (`rev = version;`, `"v${version}"`, `inherit rev;`), which is how people write it. A
//! pin whose parts are computed in any other way is named with its line and not guessed at.

mod scan;
mod scope;

use std::collections::BTreeMap;
use std::rc::Rc;

use self::scan::{Scanner, Token};
use self::scope::{Bindings, Scopes, Tokens, bindings, pattern};
use crate::digest::Digest;

const FETCH: &str = "fetchFromGitHub";

/// One `fetchFromGitHub` of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NixPin {
    /// The line that it begins in, from 1.
    pub line: usize,
    /// `owner/repo`, as far as it could be read.
    pub repository: String,
    /// The commit or tag, and the content hash; or what could not be read.
    pub pinned: Result<(String, Digest), String>,
}

impl NixPin {
    /// The repository's address.
    pub fn url(&self) -> String {
        format!("https://github.com/{}.git", self.repository)
    }
}

/// A function around one `fetchFromGitHub`.
struct Function<'t, 'a> {
    states: Rc<Bindings<'t, 'a>>,
    /// What is said of it where nobody calls it.
    uncalled: Option<NixPin>,
}

/// Reads every `fetchFromGitHub` of an expression, in its order. A function around one, `{ rev, sha256 }: fetchFromGitHub
/// { … }`, stands for as many as it has calls.
pub fn read_nix(text: &str) -> Vec<NixPin> {
    let tokens: Vec<(usize, Token<'_>)> = Scanner::of(text).collect();
    let mut reader = Reader {
        ends: text.match_indices('\n').map(|(place, _)| place).collect(),
        tokens: &tokens,
        scopes: Scopes::default(),
        functions: BTreeMap::new(),
        pins: Vec::new(),
    };
    let mut at = 0;
    while at < tokens.len() {
        at = reader.read(at);
    }
    let uncalled = reader.functions.into_values().filter_map(|function| function.uncalled);
    reader.pins.extend(uncalled);
    reader.pins.sort_by_key(|pin| pin.line);
    reader.pins
}

struct Reader<'t, 'a> {
    /// Where lines end.
    ends: Vec<usize>,
    tokens: Tokens<'t, 'a>,
    scopes: Scopes<'t, 'a>,
    functions: BTreeMap<&'a str, Function<'t, 'a>>,
    pins: Vec<NixPin>,
}

impl<'t, 'a> Reader<'t, 'a> {
    /// Reads what begins at this place, and returns the place behind it.
    fn read(&mut self, at: usize) -> usize {
        if let Token::Word(word) = self.tokens[at].1
            && (is_fetch(word) || self.functions.contains_key(word))
            && let Some(open) = self.set_behind(at)
        {
            let (names, end) = bindings(self.tokens, open + 1);
            let names = Rc::new(names);
            if is_fetch(word) {
                let found = self.pin(at, &names);
                match self.function_around(at) {
                    Some(name) => {
                        let function = Function { states: names, uncalled: Some(found) };
                        self.functions.insert(name, function);
                    }
                    None => self.pins.push(found),
                }
                return end;
            }
            if let Some(function) = self.functions.get_mut(word) {
                function.uncalled = None;
                let states = Rc::clone(&function.states);
                self.scopes.bring_in(names);
                let found = self.pin(at, &states);
                self.scopes.take_out();
                self.pins.push(found);
                return end;
            }
        }
        if let Some((names, colon)) = pattern(self.tokens, at) {
            self.scopes.parameters(&names);
            return colon + 1;
        }
        self.scopes.pass(self.tokens, at);
        at + 1
    }

    /// The brace of the set that is the argument of the function at this place.
    fn set_behind(&self, at: usize) -> Option<usize> {
        let skipped = |token: &Token<'_>| matches!(token, Token::Word("rec") | Token::Other('('));
        let mut behind = self.tokens.iter().enumerate().skip(at + 1);
        let (place, (_, token)) = behind.find(|(_, (_, token))| !skipped(token))?;
        (*token == Token::Other('{')).then_some(place)
    }

    /// The name of the function whose body begins at this place: `name = { … }: body`.
    fn function_around(&self, body: usize) -> Option<&'a str> {
        let before = self.tokens[..body].iter().rev().map(|(_, token)| token);
        let mut before = before.skip_while(|token| **token != Token::Other('{')).skip(1);
        match (before.next()?, before.next()?) {
            (Token::Other('='), Token::Word(name)) => {
                let open = self.tokens[..body]
                    .iter()
                    .rposition(|(_, token)| *token == Token::Other('{'))?;
                let (_, colon) = pattern(self.tokens, open)?;
                (colon + 1 == body).then_some(*name)
            }
            _ => None,
        }
    }

    fn pin(&mut self, at: usize, names: &Rc<Bindings<'t, 'a>>) -> NixPin {
        let offset = self.tokens[at].0;
        let line = self.ends.partition_point(|end| *end < offset) + 1;
        self.scopes.bring_in(Rc::clone(names));
        let pin = pin(line, |name| match names.contains_key(name) {
            true => self.scopes.text(name).ok_or_else(|| format!("`{name}` is computed")),
            false => Err(format!("`{name}` is missing")),
        });
        self.scopes.take_out();
        pin
    }
}

fn is_fetch(word: &str) -> bool {
    word.rsplit('.').next() == Some(FETCH)
}

fn pin(line: usize, text: impl Fn(&str) -> Result<String, String>) -> NixPin {
    let part = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let text = text(name)?;
        let fits = !text.is_empty() && !text.starts_with('.') && text.chars().all(plain);
        if fits { Ok(text) } else { Err(format!("`{name}` is no name")) }
    };
    let word = |name: &str| part(name).unwrap_or_else(|_| "?".into());
    let repository = format!("{}/{}", word("owner"), word("repo"));
    let either = |name: &str, other: &str| text(name).or_else(|why| text(other).map_err(|_| why));
    let pinned = (|| {
        part("owner")?;
        part("repo")?;
        let revision = either("rev", "tag")?;
        let digest = Digest::from_nix(&either("sha256", "hash")?);
        Ok((revision, digest.map_err(|error| error.to_string())?))
    })();
    NixPin { line, repository, pinned }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// SHA-256 of nothing, as Nix spells it.
    const EMPTY: &str = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";

    fn words(text: &str) -> Vec<String> {
        let word = |pin: &NixPin| match &pin.pinned {
            Ok((revision, digest)) => {
                assert_eq!(*digest, Digest::of(b""));
                format!("{} {} {revision}", pin.line, pin.repository)
            }
            Err(why) => format!("{} {}: {why}", pin.line, pin.repository),
        };
        read_nix(text).iter().map(word).collect()
    }

    #[test]
    fn pins_are_read_in_each_spelling_of_the_hash() {
        let sri = Digest::of(b"").sri();
        let hex = Digest::of(b"").hex();
        let text = format!(
            "{{ fetchFromGitHub, buildRebar3 }}: # fetchFromGitHub {{ owner = \"no\"; }}\n\
             let x = buildRebar3 {{\n  src = fetchFromGitHub {{\n    owner = \"ninenines\";\n    repo = \"cowboy\";\n\
             rev = \"2.9.0\"; sha256 = \"{EMPTY}\";\n  }};\n}};\n\
             y = pkgs.fetchFromGitHub rec {{ owner=\"a\"; repo=\"b.c\"; rev=\"{}\"; hash=\"{sri}\"; meta = {{ x = 1; }}; }};\n\
             z = fetchFromGitHub ({{ owner = \"a\"; repo = \"d\"; rev = \"1\"; sha256 = \"sha256:{hex}\"; }});\n\
             /* fetchFromGitHub {{ }} */ s = ''fetchFromGitHub {{''; in x",
            "1".repeat(40)
        );
        let commit = "1".repeat(40);
        assert_eq!(
            words(&text),
            ["3 ninenines/cowboy 2.9.0".to_owned(), format!("9 a/b.c {commit}"), "10 a/d 1".into()]
        );
    }

    #[test]
    fn what_is_computed_missing_or_no_hash_is_named_with_its_line() {
        let text = format!(
            "fetchFromGitHub {{ owner = \"a\"; repo = pname; rev = \"1\"; sha256 = \"{EMPTY}\"; }}\n\
             fetchFromGitHub {{ owner = \"a\"; repo = \"b\"; rev = \"v${{version}}\"; sha256 = \"{EMPTY}\"; }}\n\
             fetchFromGitHub {{ inherit owner; repo = \"b\"; rev = \"1\"; sha256 = \"{EMPTY}\"; }}\n\
             fetchFromGitHub {{ owner = \"a\"; repo = \"../b\"; rev = \"1\"; sha256 = \"{EMPTY}\"; }}\n\
             fetchFromGitHub {{ owner = \"a\"; repo = \"b\"; rev = \"1\"; sha256 = lib.fakeSha256; }}\n\
             fetchFromGitHub {{ owner = \"a\"; repo = \"b\"; rev = \"1\"; }}\n\
             fetchFromGitHub {{ owner = \"a\"; repo = \"b\"; rev = \"1\"; sha256 = \"e\"; }}"
        );
        let words = words(&text);
        assert_eq!(
            words[..6],
            [
                "1 a/?: `repo` is computed",
                "2 a/b: `rev` is computed",
                "3 ?/b: `owner` is computed",
                "4 a/?: `repo` is no name",
                "5 a/b: `sha256` is computed",
                "6 a/b: `sha256` is missing",
            ]
        );
        assert!(words[6].contains("is not a SHA-256"), "{}", words[6]);
    }

    #[test]
    fn names_that_the_text_binds_are_followed_and_functions_count_as_often_as_they_are_called() {
        let text = format!(
            "{{ fetchFromGitHub, version ? \"9\", ... }}@args:\n\
             let owner = \"a\"; hash = \"{EMPTY}\"; get = {{ rev, sha256 }}: fetchFromGitHub {{ inherit owner rev sha256; repo = \"f\"; }};\n\
             old = rec {{ version = \"2.1\"; pname = \"b\"; src = with lib; fetchFromGitHub {{\n\
             inherit owner; repo = pname; rev = \"v${{version}}\"; sha256 = hash; }}; }};\n\
             one = get {{ rev = \"1\"; sha256 = hash; }};\n\
             two = get {{ rev = old.version; sha256 = hash; }};\n\
             plain = {{ version = \"3\"; src = fetchFromGitHub {{ owner = \"a\"; repo = \"c\"; rev = version; sha256 = hash; }}; }};\n\
             in fetchFromGitHub {{ inherit owner; repo = \"d\"; rev = let v = \"4\"; in v; sha256 = hash; }}"
        );
        assert_eq!(
            words(&text),
            [
                "3 a/b v2.1",
                "5 a/f 1",
                "6 a/f: `rev` is computed",
                "7 a/c: `rev` is computed",
                "8 a/d: `rev` is computed",
            ]
        );
    }

    #[test]
    fn names_that_lead_in_a_circle_or_too_far_are_computed() {
        let attributes = format!("owner = \"a\"; repo = \"b\"; sha256 = \"{EMPTY}\"; rev = x0;");
        let chain: String = (0..100).map(|step| format!("x{step} = x{};", step + 1)).collect();
        let double: String =
            (0..40).map(|step| format!("x{step} = \"${{x{0}}}${{x{0}}}\";", step + 1)).collect();
        for names in ["x0 = x1; x1 = x0;", &chain, &double] {
            let text = format!("rec {{ {names} src = fetchFromGitHub {{ {attributes} }}; }}");
            assert_eq!(words(&text), ["1 a/b: `rev` is computed"]);
        }
    }

    #[test]
    fn a_function_that_nobody_calls_is_named_once() {
        let text = "get = { rev, sha256 }: fetchFromGitHub { inherit rev sha256; owner = \"a\"; repo = \"b\"; };";
        assert_eq!(words(text), ["1 a/b: `rev` is computed"]);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "([a-z{}()=;:,\"'$#/*\\\\ \n]|fetchFromGitHub|let |in |rec |with |inherit |\\$\\{|é){0,60}") {
            let _ = read_nix(&text);
        }
    }
}
