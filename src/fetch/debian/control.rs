//! Control: paragraphs of `Field: value` lines (deb822(5)), and the relations that packages name.

use std::cmp::Ordering;

use super::version;

/// One paragraph, as text. Fields are looked up when they are asked for: an index has 60,000 paragraphs
/// of which a closure reads 150.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paragraph<'a>(&'a str);

impl<'a> Paragraph<'a> {
    /// Takes the whole text as one paragraph.
    pub(super) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// Returns a field's first line, trimmed. Field names are matched in any case, as in the format.
    pub(super) fn field(&self, name: &str) -> Option<&'a str> {
        self.lines_of(name).map(|(first, _)| first)
    }

    /// Returns a field's lines behind the first one, trimmed.
    pub(super) fn lines(&self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let rest = self.lines_of(name).map_or("", |(_, rest)| rest);
        rest.lines().take_while(|line| line.starts_with([' ', '\t'])).map(str::trim)
    }

    /// Returns a field's whole value: its lines joined by a space.
    pub(super) fn folded(&self, name: &str) -> String {
        let mut value = self.field(name).unwrap_or_default().to_owned();
        for line in self.lines(name) {
            value.push(' ');
            value.push_str(line);
        }
        value
    }

    fn lines_of(&self, name: &str) -> Option<(&'a str, &'a str)> {
        let mut rest = self.0;
        while !rest.is_empty() {
            let (line, behind) = rest.split_once('\n').unwrap_or((rest, ""));
            let value = line
                .get(..name.len())
                .filter(|start| start.eq_ignore_ascii_case(name))
                .and_then(|_| line[name.len()..].strip_prefix(':'));
            if let Some(value) = value {
                return Some((value.trim(), behind));
            }
            rest = behind;
        }
        None
    }
}

/// Splits a file into its paragraphs.
pub(super) fn paragraphs(text: &str) -> impl Iterator<Item = Paragraph<'_>> {
    text.split("\n\n")
        .map(|paragraph| paragraph.trim_matches('\n'))
        .filter(|paragraph| !paragraph.is_empty())
        .map(Paragraph)
}

/// `libc6 (>= 2.36)`: one package that a field names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    /// Its name, without `:any`.
    pub(super) name: String,
    /// The bound on its version.
    pub(super) bound: Option<(Operator, String)>,
}

/// How a version stands to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Before,
    UpTo,
    Exactly,
    From,
    After,
}

impl Operator {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "<<" => Self::Before,
            // A single sign is the old spelling and means the same (Debian policy 7.1).
            "<=" | "<" => Self::UpTo,
            "=" => Self::Exactly,
            ">=" | ">" => Self::From,
            ">>" => Self::After,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Before => "<<",
            Self::UpTo => "<=",
            Self::Exactly => "=",
            Self::From => ">=",
            Self::After => ">>",
        }
    }
}

impl Relation {
    /// Reads `name[:arch] [(op version)]`; `None` where the text is not one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (name, bound) = match text.split_once('(') {
            None => (text, None),
            Some((name, bound)) => {
                let bound = bound.strip_suffix(')')?.trim();
                let end = bound.find(|c| !"<>=".contains(c))?;
                let version = bound[end..].trim();
                if version.is_empty() || version.contains(char::is_whitespace) {
                    return None;
                }
                let operator = Operator::parse(&bound[..end])?;
                (name.trim_end(), Some((operator, version.to_owned())))
            }
        };
        let (name, _) = name.split_once(':').unwrap_or((name, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            return None;
        }
        Some(Self { name: name.to_owned(), bound })
    }

    /// Tells whether this version is within the bound.
    pub(super) fn admits(&self, found: &str) -> bool {
        let Some((operator, wanted)) = &self.bound else {
            return true;
        };
        let order = version::compare(found, wanted);
        match operator {
            Operator::Before => order == Ordering::Less,
            Operator::UpTo => order != Ordering::Greater,
            Operator::Exactly => order == Ordering::Equal,
            Operator::From => order != Ordering::Less,
            Operator::After => order == Ordering::Greater,
        }
    }
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.bound {
            None => f.write_str(&self.name),
            Some((operator, version)) => {
                write!(f, "{} ({} {version})", self.name, operator.name())
            }
        }
    }
}

/// Reads a relations field: clauses, each with its alternatives. An error is the text that is none.
pub(super) fn relations(field: &str) -> Result<Vec<Vec<Relation>>, String> {
    let alternative = |text: &str| Relation::parse(text).ok_or_else(|| text.trim().to_owned());
    field
        .split(',')
        .filter(|clause| !clause.trim().is_empty())
        .map(|clause| clause.split('|').map(alternative).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_found_in_any_case_and_with_their_lines() {
        let text = "Package: dash\nDEPENDS: a,\n b (>= 1)\nEmpty:\n\nPackage: bash\n";
        let all: Vec<_> = paragraphs(text).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].field("package"), Some("dash"));
        assert_eq!(all[0].folded("Depends"), "a, b (>= 1)");
        assert_eq!(all[0].field("Empty"), Some(""));
        assert_eq!(all[0].field("Depend"), None);
        assert_eq!(all[1].field("Package"), Some("bash"));
    }

    #[test]
    fn relations_have_alternatives_and_bounds() {
        let read = relations("libc6 (>= 2.36), mawk | gawk (<< 1:5), python3:any (=3.11)").unwrap();
        let names: Vec<Vec<String>> =
            read.iter().map(|clause| clause.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(
            names,
            [vec!["libc6 (>= 2.36)"], vec!["mawk", "gawk (<< 1:5)"], vec!["python3 (= 3.11)"]]
        );
        assert!(read[0][0].admits("2.36-9+deb12u10"));
        assert!(!read[0][0].admits("2.36~rc1"));
        assert!(!read[1][1].admits("1:5"));
    }

    #[test]
    fn what_is_no_relation_is_named() {
        for text in ["a (2)", "a (>= )", "a (>= 1", "a b", "ä", "a (>= 1) x"] {
            assert_eq!(relations(text), Err(text.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,60}", field in "[a-zé]{0,4}") {
            let _ = relations(&text);
            for paragraph in paragraphs(&text) {
                paragraph.folded(&field);
            }
        }
    }
}
