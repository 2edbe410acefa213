//! Section: a table of a document that has been checked, read key by key.

use std::collections::BTreeMap;

use toml_edit::{Item, TableLike};

/// Says why a value can be read without an error: the walk over the table of keys came first.
pub(super) const CHECKED: &str = "the document was checked against the table of keys";

/// A table of the checked document, or none where it was left out.
#[derive(Clone, Copy)]
pub(super) struct Section<'a>(pub(super) Option<&'a dyn TableLike>);

impl<'a> Section<'a> {
    pub(super) fn get(self, key: &str) -> Option<&'a Item> {
        self.0?.get(key)
    }

    pub(super) fn section(self, key: &str) -> Self {
        Self(self.get(key).and_then(Item::as_table_like))
    }

    pub(super) fn flag(self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    pub(super) fn number(self, key: &str) -> Option<u64> {
        let number = self.get(key)?.as_integer()?;
        Some(u64::try_from(number).expect(CHECKED))
    }

    pub(super) fn text(self, key: &str) -> Option<String> {
        self.get(key)?.as_value().map(text)
    }

    pub(super) fn texts(self, key: &str) -> Option<Vec<String>> {
        Some(self.get(key)?.as_array()?.iter().map(text).collect())
    }

    pub(super) fn commands(self, key: &str) -> Vec<Vec<String>> {
        let commands = self.get(key).and_then(Item::as_array).into_iter().flatten();
        let commands = commands.filter_map(toml_edit::Value::as_array);
        commands.map(|command| command.iter().map(text).collect()).collect()
    }

    /// Returns the texts of a list whose order means nothing.
    pub(super) fn sorted_texts(self, key: &str) -> Vec<String> {
        let mut texts = self.texts(key).unwrap_or_default();
        texts.sort_unstable();
        texts.dedup();
        texts
    }

    pub(super) fn texts_by_name(self, key: &str) -> BTreeMap<String, String> {
        let entries = self.section(key).0.into_iter().flat_map(TableLike::iter);
        entries.filter_map(|(name, item)| Some((name.to_owned(), text(item.as_value()?)))).collect()
    }

    pub(super) fn sections<T>(self, key: &str, read: impl Fn(&Self) -> T) -> BTreeMap<String, T> {
        let entries = self.section(key).0.into_iter().flat_map(TableLike::iter);
        entries.map(|(name, item)| (name.to_owned(), read(&Self(item.as_table_like())))).collect()
    }

    /// Reads a list of tables, in brackets or under headers.
    pub(super) fn list<T>(self, key: &str, read: impl Fn(&Section<'_>) -> T) -> Vec<T> {
        match self.get(key) {
            Some(Item::ArrayOfTables(tables)) => {
                tables.iter().map(|table| read(&Section(Some(table)))).collect()
            }
            Some(item) => {
                let values = item.as_array().into_iter().flatten();
                let tables = values.filter_map(|value| value.as_inline_table());
                tables.map(|table| read(&Section(Some(table)))).collect()
            }
            None => Vec::new(),
        }
    }
}

/// Returns a text, or a number where one is as good.
fn text(value: &toml_edit::Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.as_integer().expect(CHECKED).to_string(),
    }
}
