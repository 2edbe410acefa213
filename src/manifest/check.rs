//! Check: walks a TOML document beside the table of keys and refuses what the table does not know.

use std::ops::Range;

use toml_edit::{Array, Document, Item, Table, TableLike, Value};

use super::error::{ManifestError, Place};
use super::form::Form;
use super::keys::{Key, Kind, TOP};

type Checked = Result<(), ManifestError>;

const MERGE_MARKERS: [&str; 4] = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];
const SHOWN_CHARS_MAX: usize = 80;
/// How alike two keys must be (Jaro-Winkler) for one to be named as the other's nearest.
const LIKENESS_MIN: f64 = 0.75;

/// Parses a text and checks it against the table of keys; `file` names it in errors.
pub(super) fn read(text: &str, file: &str) -> Result<Document<String>, ManifestError> {
    read_as(text, file, TOP)
}

/// Parses a text and checks it against some table of keys.
pub(super) fn read_as(
    text: &str,
    file: &str,
    keys: &'static [Key],
) -> Result<Document<String>, ManifestError> {
    let document = Document::parse(text.to_owned()).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        malformed(text, file, at, error.message())
    })?;
    let check = Check { text, file };
    check.table(document.as_table(), keys, &Spot::top())?;
    Ok(document)
}

/// A merge marker is the cause of other errors, so it is looked for where the text is no TOML.
fn malformed(text: &str, file: &str, at: usize, message: &str) -> ManifestError {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if let Some(marker) = MERGE_MARKERS.into_iter().find(|marker| line.starts_with(marker)) {
            let place = Place::at(file, text, offset);
            return ManifestError::MergeMarker { place, marker };
        }
        offset += line.len();
    }
    ManifestError::Malformed {
        place: Place::at(file, text, at),
        problem: message.trim().replace('\n', ", "),
    }
}

struct Check<'a> {
    text: &'a str,
    file: &'a str,
}

/// Where the walk is: the keys from the top, and the bytes of what stands there.
struct Spot {
    key: String,
    span: Range<usize>,
}

impl Spot {
    fn top() -> Self {
        Self { key: String::new(), span: 0..0 }
    }

    fn below(&self, key: &str, span: Option<Range<usize>>) -> Self {
        let dot = if self.key.is_empty() { "" } else { "." };
        Self { key: format!("{}{dot}{key}", self.key), ..self.here(span) }
    }

    fn here(&self, span: Option<Range<usize>>) -> Self {
        Self { key: self.key.clone(), span: span.unwrap_or_else(|| self.span.clone()) }
    }

    fn table(&self) -> String {
        if self.key.is_empty() { "the file".to_owned() } else { format!("`[{}]`", self.key) }
    }
}

impl Check<'_> {
    fn place(&self, spot: &Spot) -> Box<Place> {
        Place::at(self.file, self.text, spot.span.start)
    }

    fn table(&self, table: &dyn TableLike, keys: &'static [Key], spot: &Spot) -> Checked {
        for (name, item) in table.iter() {
            let span = table.key(name).and_then(toml_edit::Key::span);
            let below = spot.below(name, span);
            let Some(key) = keys.iter().find(|key| key.name == name) else {
                return Err(self.unknown(name, keys, spot, &below));
            };
            self.item(item, key, &below)?;
        }
        let lacking = |key: &&Key| key.required.is_some() && !table.contains_key(key.name);
        match keys.iter().find(lacking) {
            None => Ok(()),
            Some(key) => Err(ManifestError::MissingKey {
                place: self.place(spot),
                table: spot.table(),
                key: key.name,
                example: key.required.unwrap_or_default(),
            }),
        }
    }

    fn unknown(
        &self,
        name: &str,
        keys: &'static [Key],
        table: &Spot,
        spot: &Spot,
    ) -> ManifestError {
        let known: Vec<_> = keys.iter().map(|key| key.name).collect();
        // Snake case is the likeliest slip, so it counts as no difference.
        let kebab = name.to_lowercase().replace('_', "-");
        let alike = |key: &&str| strsim::jaro_winkler(key, &kebab);
        let near = known.iter().copied().max_by(|a, b| alike(a).total_cmp(&alike(b)));
        ManifestError::UnknownKey {
            place: self.place(spot),
            table: table.table(),
            key: shorten(name),
            near: near.filter(|key| alike(key) >= LIKENESS_MIN),
            known,
        }
    }

    fn item(&self, item: &Item, key: &Key, spot: &Spot) -> Checked {
        let spot = &spot.here(item.span());
        let wrong = || self.wrong_type(item, &key.kind, spot);
        match &key.kind {
            Kind::Flag => item.as_bool().map(drop).ok_or_else(wrong),
            Kind::Number(least, most) => {
                let number = item.as_integer().ok_or_else(wrong)?;
                if (*least..=*most).contains(&number) {
                    return Ok(());
                }
                let expected = format!("a number from {least} to {most}");
                Err(self.bad_value(spot, expected, &number.to_string()))
            }
            Kind::Text(form) => self.text(item, *form, spot),
            Kind::Texts(form) => {
                let items = item.as_array().ok_or_else(wrong)?;
                self.texts(items, *form, spot)
            }
            Kind::Command => {
                let items = item.as_array().ok_or_else(wrong)?;
                if items.is_empty() {
                    let expected = "a command and its arguments".to_owned();
                    return Err(self.bad_value(spot, expected, "[]"));
                }
                self.texts(items, Form::Any, spot)
            }
            Kind::Commands => {
                let commands = item.as_array().ok_or_else(wrong)?;
                commands.iter().try_for_each(|value| {
                    let spot = spot.here(value.span());
                    let wrong = || self.wrong_value(value, "a list of commands", None, &spot);
                    let command = value.as_array().ok_or_else(wrong)?;
                    if command.is_empty() {
                        let expected = "a command and its arguments".to_owned();
                        return Err(self.bad_value(&spot, expected, "[]"));
                    }
                    self.texts(command, Form::Any, &spot)
                })
            }
            Kind::TextMap(names, form) => {
                let table = item.as_table_like().ok_or_else(wrong)?;
                self.each_name(table, *names, spot, |item, spot| self.text(item, *form, spot))
            }
            Kind::Table(keys) => self.table(item.as_table_like().ok_or_else(wrong)?, keys, spot),
            Kind::TableMap(names, keys) => {
                let table = item.as_table_like().ok_or_else(wrong)?;
                self.each_name(table, *names, spot, |item, spot| {
                    let wrong = || self.wrong_type(item, &Kind::Table(keys), spot);
                    self.table(item.as_table_like().ok_or_else(wrong)?, keys, spot)
                })
            }
            Kind::Tables(keys) => self.tables(item, keys, spot),
        }
    }

    /// Checks a list of tables, in brackets or under headers.
    fn tables(&self, item: &Item, keys: &'static [Key], spot: &Spot) -> Checked {
        if let Item::ArrayOfTables(tables) = item {
            let check = |table: &Table| self.table(table, keys, &spot.here(table.span()));
            return tables.iter().try_for_each(check);
        }
        let wrong = || self.wrong_type(item, &Kind::Tables(keys), spot);
        item.as_array().ok_or_else(wrong)?.iter().try_for_each(|value| {
            let spot = spot.here(value.span());
            let wrong = || self.wrong_value(value, "a list of tables", None, &spot);
            self.table(value.as_inline_table().ok_or_else(wrong)?, keys, &spot)
        })
    }

    /// Checks the free names of a table, and each value by `check`.
    fn each_name(
        &self,
        table: &dyn TableLike,
        names: Form,
        spot: &Spot,
        check: impl Fn(&Item, &Spot) -> Checked,
    ) -> Checked {
        for (name, item) in table.iter() {
            let named = spot.here(table.key(name).and_then(toml_edit::Key::span));
            if !names.fits(name) {
                let expected = format!("a table whose keys are each {}", names.expected());
                return Err(self.bad_value(&named, expected, name));
            }
            check(item, &named.below(name, item.span()))?;
        }
        Ok(())
    }

    fn texts(&self, items: &Array, form: Form, spot: &Spot) -> Checked {
        items.iter().try_for_each(|value| {
            let spot = spot.here(value.span());
            let wrong = || self.wrong_value(value, kind_name(&Kind::Texts(form)), None, &spot);
            self.fits(&text(value, form).ok_or_else(wrong)?, form, &spot)
        })
    }

    fn text(&self, item: &Item, form: Form, spot: &Spot) -> Checked {
        let text = item.as_value().and_then(|value| text(value, form));
        let wrong = || self.wrong_type(item, &Kind::Text(form), spot);
        self.fits(&text.ok_or_else(wrong)?, form, spot)
    }

    fn fits(&self, text: &str, form: Form, spot: &Spot) -> Checked {
        if form.fits(text) {
            return Ok(());
        }
        Err(self.bad_value(spot, form.expected(), text))
    }

    fn bad_value(&self, spot: &Spot, expected: String, value: &str) -> ManifestError {
        ManifestError::BadValue {
            place: self.place(spot),
            key: spot.key.clone(),
            expected,
            value: shorten(value),
        }
    }

    fn wrong_type(&self, item: &Item, kind: &Kind, spot: &Spot) -> ManifestError {
        let Some(value) = item.as_value() else {
            let found = match item {
                Item::ArrayOfTables(_) => "a list of tables",
                _ => "a table",
            };
            return self.mismatch(kind_name(kind), found, None, spot);
        };
        self.wrong_value(value, kind_name(kind), self.meant(value, kind, spot), spot)
    }

    fn wrong_value(
        &self,
        value: &Value,
        expected: &'static str,
        meant: Option<String>,
        spot: &Spot,
    ) -> ManifestError {
        let found = match value {
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Boolean(_) => "a boolean",
            Value::Datetime(_) => "a date",
            Value::Array(_) => "a list",
            Value::InlineTable(_) => "a table",
        };
        self.mismatch(expected, found, meant, spot)
    }

    fn mismatch(
        &self,
        expected: &'static str,
        found: &'static str,
        meant: Option<String>,
        spot: &Spot,
    ) -> ManifestError {
        ManifestError::WrongType {
            place: self.place(spot),
            key: spot.key.clone(),
            expected,
            found,
            meant,
        }
    }

    /// Guesses the line that was meant where only quotes or brackets are wrong.
    fn meant(&self, value: &Value, kind: &Kind, spot: &Spot) -> Option<String> {
        let written = self.text.get(value.span()?)?;
        if value.is_array() || value.is_inline_table() || written.contains('\n') {
            return None;
        }
        let (_, name) = spot.key.rsplit_once('.')?;
        match kind {
            Kind::Text(_) => Some(format!("{name} = \"{written}\"")),
            Kind::Texts(_) | Kind::Command if value.is_str() => {
                Some(format!("{name} = [{written}]"))
            }
            Kind::Texts(form) if form.takes_numbers() => Some(format!("{name} = [{written}]")),
            Kind::Flag | Kind::Number(..) => {
                let inner = value.as_str()?;
                let meant = match kind {
                    Kind::Flag => inner.parse::<bool>().is_ok(),
                    _ => inner.parse::<i64>().is_ok(),
                };
                meant.then(|| format!("{name} = {inner}"))
            }
            _ => None,
        }
    }
}

/// Returns the text of a value that is one, or a number where one is as good.
fn text(value: &Value, form: Form) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) if form.takes_numbers() => Some(number.value().to_string()),
        _ => None,
    }
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Flag => "`true` or `false`",
        Kind::Number(..) => "a number",
        Kind::Text(form) if form.takes_numbers() => "a string or number",
        Kind::Text(_) => "a string",
        Kind::Texts(form) if form.takes_numbers() => "a list of strings or numbers",
        Kind::Texts(_) | Kind::Command => "a list of strings",
        Kind::Commands => "a list of lists of strings",
        Kind::TextMap(..) => "a table of strings",
        Kind::Table(_) => "a table",
        Kind::TableMap(..) => "a table of tables",
        Kind::Tables(_) => "a list of tables",
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
