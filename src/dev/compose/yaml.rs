//! Yaml: a document of Compose's, written so that nothing in it can be taken for anything else.
//!
//! Every text stands in quotes as JSON has them, which YAML reads as they are. The crates that write YAML are either given
//! up by their authors or leave texts bare where they think that they may.

use std::fmt::Write as _;

/// A value. What Compose puts values in for, `${NAME}`, stands as it is in [`Yaml::Compose`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    /// A text that means what it says.
    Text(String),
    /// A text in which Compose puts values in.
    Compose(String),
    /// Lines of a file in which Compose puts values in.
    Lines(String),
    Flag(bool),
    Number(u64),
    /// A value that another place of the document has.
    Alias(&'static str),
    /// Nothing: a variable is handed on.
    Nothing,
    /// Texts on one line.
    Words(Vec<Yaml>),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
    /// A map that other places speak of.
    Anchored(&'static str, Vec<(String, Yaml)>),
}

/// Writes that a text means what it says where Compose puts values in.
pub(super) fn plain(text: &str) -> String {
    text.replace('$', "$$")
}

/// Texts that mean what they say.
pub(super) fn texts(words: &[&str]) -> Vec<Yaml> {
    words.iter().map(|word| text(word)).collect()
}

/// Such texts on one line.
pub(super) fn words(words: &[&str]) -> Yaml {
    Yaml::Words(texts(words))
}

pub(super) fn text(text: &str) -> Yaml {
    Yaml::Text(text.to_owned())
}

/// A map, in the order in which it is given.
pub(super) fn map<const N: usize>(entries: [(&str, Yaml); N]) -> Yaml {
    Yaml::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

impl Yaml {
    /// Writes the entries of a map as a document.
    pub(super) fn document(entries: &[(String, Self)]) -> String {
        let mut document = String::new();
        entries_of(entries, 0, &mut document);
        document
    }

    /// Returns the value where it stands on the line of its key.
    fn short(&self) -> Option<String> {
        Some(match self {
            Self::Text(text) => quoted(&plain(text)),
            Self::Compose(text) => quoted(text),
            Self::Lines(text) if !is_block(text) => quoted(text),
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Alias(name) => format!("*{name}"),
            Self::Nothing => String::new(),
            Self::Words(words) => {
                let words: Vec<String> = words.iter().filter_map(Self::short).collect();
                format!("[{}]", words.join(", "))
            }
            Self::List(list) if list.is_empty() => "[]".into(),
            Self::Map(map) if map.is_empty() => "{}".into(),
            Self::Lines(_) | Self::List(_) | Self::Map(_) | Self::Anchored(..) => return None,
        })
    }
}

fn entries_of(entries: &[(String, Yaml)], depth: usize, document: &mut String) {
    for (key, value) in entries {
        indent(depth, document);
        document.push_str(&bare(key));
        document.push(':');
        below(value, depth, document);
    }
}

/// Writes what stands behind a colon or a dash.
fn below(value: &Yaml, depth: usize, document: &mut String) {
    if let Some(short) = value.short() {
        if !short.is_empty() {
            document.push(' ');
            document.push_str(&short);
        }
        document.push('\n');
        return;
    }
    match value {
        Yaml::Lines(lines) => {
            document.push_str(" |\n");
            for line in lines.lines() {
                if !line.is_empty() {
                    indent(depth + 1, document);
                    document.push_str(line);
                }
                document.push('\n');
            }
        }
        Yaml::List(list) => {
            document.push('\n');
            for item in list {
                indent(depth + 1, document);
                document.push('-');
                match item {
                    Yaml::Map(map) if !map.is_empty() => first_beside(map, depth + 1, document),
                    item => below(item, depth + 1, document),
                }
            }
        }
        Yaml::Map(map) => {
            document.push('\n');
            entries_of(map, depth + 1, document);
        }
        Yaml::Anchored(name, map) => {
            writeln!(document, " &{name}").expect("writing to a String cannot fail");
            entries_of(map, depth + 1, document);
        }
        _ => {}
    }
}

/// Writes a map as an item of a list: its first entry stands beside the dash.
fn first_beside(map: &[(String, Yaml)], depth: usize, document: &mut String) {
    let mut inner = String::new();
    entries_of(map, depth + 1, &mut inner);
    let width = 2 * (depth + 1);
    document.push(' ');
    document.push_str(&inner[width..]);
}

fn indent(depth: usize, document: &mut String) {
    for _ in 0..depth {
        document.push_str("  ");
    }
}

/// A key without quotes where it can be nothing but a name.
fn bare(key: &str) -> String {
    const WORDS: [&str; 8] = ["yes", "no", "on", "off", "true", "false", "null", "y"];
    let is_name = key.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && key.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
        && key != "n"
        && !WORDS.contains(&key.to_ascii_lowercase().as_str());
    match is_name || key == "<<" {
        true => key.to_owned(),
        false => quoted(key),
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text)
        .expect("a text is JSON")
        // Characters that JSON leaves as they are and YAML takes for ends of lines or for nothing.
        .replace('\u{85}', "\\u0085")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
        .replace('\u{feff}', "\\ufeff")
        .replace('\u{7f}', "\\u007f")
}

/// Tells whether a text can stand as lines of the document and come back as it is.
fn is_block(text: &str) -> bool {
    let is_plain = |letter: char| letter == '\n' || (' '..='~').contains(&letter);
    text.ends_with('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with([' ', '\n'])
        && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stand_in_quotes_and_mean_what_they_say() {
        let document = Yaml::document(&[
            ("a".into(), text("no: \"$X\"\n")),
            ("no".into(), Yaml::Compose("${X:-1}".into())),
            (
                "list".into(),
                Yaml::List(vec![map([("b", Yaml::Flag(true)), ("c", words(&["d", "$e"]))])]),
            ),
            ("file".into(), Yaml::Lines("one\n\n  two\n".into())),
            ("odd".into(), Yaml::Lines(" one\ttwo".into())),
            ("handed".into(), Yaml::Nothing),
        ]);
        let expected = r#"a: "no: \"$$X\"\n"
"no": "${X:-1}"
list:
  - b: true
    c: ["d", "$$e"]
file: |
  one

    two
odd: " one\ttwo"
handed:
"#;
        assert_eq!(document, expected);
    }
}
