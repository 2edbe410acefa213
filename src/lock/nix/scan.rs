//! Scan: cuts a Nix expression into tokens, without its comments.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name, with the dots of a path: `pkgs.fetchFromGitHub`.
    Word(&'a str),
    /// A string, in pieces.
    Text(Vec<Piece<'a>>),
    Other(char),
}

/// A piece of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Plain(String),
    /// `${name}`.
    Name(&'a str),
    /// `${…}` of anything else.
    Computed,
}

pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }
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

impl<'a> Scanner<'a> {
    /// Reads a string up to its end mark. One that never ends holds nothing that could be known.
    fn string(&mut self, end: &str) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(first) = rest.chars().next() else { return vec![Piece::Computed] };
            if rest.starts_with(end) {
                self.at += end.len();
                pieces.push(Piece::Plain(plain));
                return pieces;
            }
            if rest.starts_with("${") {
                let close = rest.find('}');
                let inside = rest[2..close.unwrap_or(rest.len())].trim();
                let is_name = !inside.is_empty() && inside.chars().all(is_word);
                pieces.push(Piece::Plain(std::mem::take(&mut plain)));
                pieces.push(if is_name { Piece::Name(inside) } else { Piece::Computed });
                self.at += close.map_or(rest.len(), |close| close + 1);
                continue;
            }
            self.at += first.len_utf8();
            let escaped =
                (first == '\\' && end == "\"").then(|| self.text[self.at..].chars().next());
            match escaped.flatten() {
                Some(character) => {
                    self.at += character.len_utf8();
                    plain.push(character);
                }
                None => plain.push(first),
            }
        }
    }
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '\'')
}
