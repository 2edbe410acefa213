//! Nix: the pins of a Nix expression, read from its text. Nothing is evaluated.
//!
//! What is looked for is `fetchFromGitHub { owner = …; repo = …; rev = …; sha256 = …; }` with plain strings, which is
//! how people write it. A pin whose parts are computed is named with its line and not guessed at.

use std::collections::BTreeMap;

use crate::digest::Digest;

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

/// Reads every `fetchFromGitHub` of an expression, in its order.
pub fn read_nix(text: &str) -> Vec<NixPin> {
    let tokens: Vec<(usize, Token<'_>)> = Scanner { text, at: 0 }.collect();
    let mut pins = Vec::new();
    let mut at = 0;
    while let Some((offset, token)) = tokens.get(at) {
        at += 1;
        let is_fetch = matches!(token, Token::Word(word) if word.rsplit('.').next() == Some("fetchFromGitHub"));
        if !is_fetch {
            continue;
        }
        let mut open = at;
        while matches!(tokens.get(open), Some((_, Token::Word("rec") | Token::Other('(')))) {
            open += 1;
        }
        if !matches!(tokens.get(open), Some((_, Token::Other('{')))) {
            continue;
        }
        let (attributes, end) = attributes(&tokens, open + 1);
        let line = text[..*offset].matches('\n').count() + 1;
        pins.push(pin(line, &attributes));
        at = end;
    }
    pins
}

/// Reads `name = value;` up to the closing brace; a value that is no plain string is `None`.
fn attributes<'a>(
    tokens: &[(usize, Token<'a>)],
    mut at: usize,
) -> (BTreeMap<&'a str, Option<String>>, usize) {
    let mut attributes = BTreeMap::new();
    while let Some((_, token)) = tokens.get(at) {
        at += 1;
        match token {
            Token::Other('}') => break,
            Token::Word(name) if matches!(tokens.get(at), Some((_, Token::Other('=')))) => {
                let end = end_of_value(tokens, at + 1);
                let value = match &tokens[at + 1..end] {
                    [(_, Token::Text(text))] => text.clone(),
                    [(_, Token::Word(word @ ("true" | "false")))] => Some((*word).to_owned()),
                    _ => None,
                };
                attributes.insert(*name, value);
                at = end;
            }
            // `inherit owner repo;` takes them from elsewhere.
            Token::Word("inherit") => {
                let end = end_of_value(tokens, at);
                for (_, token) in &tokens[at..end] {
                    if let Token::Word(name) = token {
                        attributes.insert(name, None);
                    }
                }
                at = end;
            }
            _ => {}
        }
    }
    (attributes, at)
}

/// The place of the `;` or `}` that ends a value.
fn end_of_value(tokens: &[(usize, Token<'_>)], from: usize) -> usize {
    let mut depth = 0_usize;
    for (place, (_, token)) in tokens.iter().enumerate().skip(from) {
        match token {
            Token::Other(';' | '}') if depth == 0 => return place,
            Token::Other('{' | '(' | '[') => depth += 1,
            Token::Other('}' | ')' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    tokens.len()
}

fn pin(line: usize, attributes: &BTreeMap<&str, Option<String>>) -> NixPin {
    let text = |name: &str| match attributes.get(name) {
        Some(Some(text)) => Ok(text.clone()),
        Some(None) => Err(format!("`{name}` is computed")),
        None => Err(format!("`{name}` is missing")),
    };
    let part = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let text = text(name)?;
        let fits = !text.is_empty() && !text.starts_with('.') && text.chars().all(plain);
        if fits { Ok(text) } else { Err(format!("`{name}` is no name")) }
    };
    let word = |name: &str| part(name).unwrap_or_else(|_| "?".into());
    let repository = format!("{}/{}", word("owner"), word("repo"));
    let pinned = (|| {
        part("owner")?;
        part("repo")?;
        let revision = text("rev").or_else(|why| text("tag").map_err(|_| why))?;
        let hash = match attributes.contains_key("sha256") {
            true => text("sha256")?,
            false => text("hash").map_err(|_| "`sha256` is missing".to_owned())?,
        };
        let digest = Digest::from_nix(&hash).map_err(|error| error.to_string())?;
        Ok((revision, digest))
    })();
    NixPin { line, repository, pinned }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token<'a> {
    /// A name, with the dots of a path: `pkgs.fetchFromGitHub`.
    Word(&'a str),
    /// A string; `None` where a part of it is computed.
    Text(Option<String>),
    Other(char),
}

/// Cuts an expression into tokens, without its comments.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Scanner<'a> {
    type Item = (usize, Token<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = &self.text[self.at..];
            let first = rest.chars().next()?;
            let start = self.at;
            if first.is_whitespace() {
                self.at += first.len_utf8();
            } else if rest.starts_with('#') {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += rest.find("*/").map_or(rest.len(), |end| end + 2);
            } else if rest.starts_with('"') {
                self.at += 1;
                return Some((start, Token::Text(self.string("\""))));
            } else if rest.starts_with("''") {
                self.at += 2;
                return Some((start, Token::Text(self.string("''"))));
            } else if is_word(first) {
                let end = rest.find(|c: char| !is_word(c) && c != '.').unwrap_or(rest.len());
                self.at += end;
                return Some((start, Token::Word(&rest[..end])));
            } else {
                self.at += first.len_utf8();
                return Some((start, Token::Other(first)));
            }
        }
    }
}

impl Scanner<'_> {
    /// Reads a string up to its end mark.
    fn string(&mut self, end: &str) -> Option<String> {
        let mut value = Some(String::new());
        loop {
            let rest = &self.text[self.at..];
            let first = rest.chars().next()?;
            if rest.starts_with(end) {
                self.at += end.len();
                return value;
            }
            if rest.starts_with("${") {
                self.at += rest.find('}').map_or(rest.len(), |close| close + 1);
                value = None;
                continue;
            }
            self.at += first.len_utf8();
            let escaped =
                (first == '\\' && end == "\"").then(|| self.text[self.at..].chars().next());
            let character = match escaped.flatten() {
                Some(character) => {
                    self.at += character.len_utf8();
                    character
                }
                None => first,
            };
            if let Some(value) = &mut value {
                value.push(character);
            }
        }
    }
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '\'')
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

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "([a-z{}()=;\"'$#/*\\\\ \n]|fetchFromGitHub|\\$\\{|é){0,60}") {
            let _ = read_nix(&text);
        }
    }
}
