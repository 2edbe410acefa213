//! Fields: one table of a lock, whose values are asked for by key and kind.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::digest::Digest;
use crate::lock::error::{LockError, Place};

pub(super) const TEXT: &str = "a text that is not empty and has no control characters";
const HEX_DIGEST: &str = "a SHA-256 in 64 hex digits";
const SRI_DIGEST: &str = "a SHA-256 as `sha256-` and base64";

type Result<T> = std::result::Result<T, LockError>;

pub(super) fn is_text(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

/// The text and its name, for places.
pub(super) struct Reader<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Reader<'_> {
    pub(super) fn line(&self, offset: usize) -> usize {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// One table of the lock.
pub(super) struct Fields<'a> {
    pub(super) reader: &'a Reader<'a>,
    /// What messages call it.
    pub(super) entry: String,
    /// Where it begins.
    pub(super) offset: usize,
    table: &'a DeTable<'a>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(
        reader: &'a Reader<'a>,
        entry: &str,
        table: &'a Spanned<DeTable<'a>>,
    ) -> Self {
        Self { reader, entry: entry.to_owned(), offset: table.span().start, table: table.get_ref() }
    }

    pub(super) fn line(&self) -> usize {
        self.reader.line(self.offset)
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        Place {
            file: self.reader.file.to_owned(),
            line: self.reader.line(offset),
            entry: self.entry.clone(),
        }
    }

    pub(super) fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    pub(super) fn unfit(&self, key: &'static str, expected: &'static str) -> LockError {
        let offset = self.value(key).map_or(self.offset, |value| value.span().start);
        LockError::Unfit { place: self.place(offset), key, expected }
    }

    pub(super) fn required(&self, key: &'static str) -> Result<&'a Spanned<DeValue<'a>>> {
        self.value(key).ok_or_else(|| LockError::MissingKey { place: self.place(self.offset), key })
    }

    pub(super) fn refuse_unknown(&self, known: &[&str]) -> Result<()> {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let similar = |other: &&&str| strsim::damerau_levenshtein(name, other);
            let nearest = known.iter().min_by_key(similar);
            let nearest = nearest.filter(|other| similar(other) <= 2);
            return Err(LockError::UnknownKey {
                place: self.place(key.span().start),
                key: name.chars().take(80).collect(),
                nearest: nearest.map(|other| (*other).to_owned()),
            });
        }
        Ok(())
    }

    pub(super) fn refuse_unknown_apps(
        &self,
        key: &'static str,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let value = self.required(key)?;
        let items = value.get_ref().as_array().into_iter().flat_map(|array| array.iter());
        for item in items {
            let app = item.get_ref().as_str().unwrap_or_default();
            if !is_known(app) {
                return Err(LockError::UnknownApp {
                    place: self.place(item.span().start),
                    key,
                    app: app.to_owned(),
                });
            }
        }
        Ok(())
    }

    pub(super) fn integer(&self, key: &'static str) -> Result<i64> {
        let integer = self.required(key)?.get_ref().as_integer();
        let number = integer.filter(|integer| integer.radix() == 10);
        number
            .and_then(|integer| integer.as_str().parse().ok())
            .ok_or_else(|| self.unfit(key, "a whole number"))
    }

    pub(super) fn fitting(
        &self,
        key: &'static str,
        expected: &'static str,
        fits: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let text = self.required(key)?.get_ref().as_str().filter(|text| fits(text));
        text.map(str::to_owned).ok_or_else(|| self.unfit(key, expected))
    }

    pub(super) fn text(&self, key: &'static str) -> Result<String> {
        self.fitting(key, TEXT, is_text)
    }

    pub(super) fn optional_text(&self, key: &'static str) -> Result<Option<String>> {
        match self.value(key) {
            Some(_) => self.text(key).map(Some),
            None => Ok(None),
        }
    }

    /// Tells whether something that is the rule is said not to be so here; it stands only where that is the case.
    pub(super) fn is_denied(&self, key: &'static str) -> Result<bool> {
        match self.value(key).map(Spanned::get_ref) {
            None => Ok(false),
            Some(DeValue::Boolean(false)) => Ok(true),
            Some(_) => Err(self.unfit(key, "`false`, or no such line")),
        }
    }

    pub(super) fn hex_digest(&self, key: &'static str) -> Result<Digest> {
        let text = self.required(key)?.get_ref().as_str();
        text.and_then(|text| Digest::from_hex(text).ok()).ok_or_else(|| self.unfit(key, HEX_DIGEST))
    }

    pub(super) fn sri_digest(&self, key: &'static str) -> Result<Digest> {
        let text = self.required(key)?.get_ref().as_str();
        let text = text.filter(|text| text.starts_with("sha256-"));
        text.and_then(|text| text.parse().ok()).ok_or_else(|| self.unfit(key, SRI_DIGEST))
    }

    pub(super) fn texts(
        &self,
        key: &'static str,
        expected: &'static str,
        fits: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>> {
        let array = self.required(key)?.get_ref().as_array();
        let array = array.ok_or_else(|| self.unfit(key, "a list"))?;
        let texts = array.iter().map(|item| {
            let text = item.get_ref().as_str().filter(|text| fits(text));
            text.map(str::to_owned).ok_or_else(|| LockError::Unfit {
                place: self.place(item.span().start),
                key,
                expected,
            })
        });
        texts.collect()
    }

    pub(super) fn optional_texts(&self, key: &'static str) -> Result<Vec<String>> {
        match self.value(key) {
            Some(_) => self.texts(key, TEXT, is_text),
            None => Ok(Vec::new()),
        }
    }

    pub(super) fn table(&self, key: &'static str, entry: &str, known: &[&str]) -> Result<Self> {
        let fields = self.entry_of(key, self.required(key)?, entry.to_owned())?;
        fields.refuse_unknown(known)?;
        Ok(fields)
    }

    pub(super) fn tables(&self, key: &'static str) -> Result<&'a [Spanned<DeValue<'a>>]> {
        let array = self.required(key)?.get_ref().as_array();
        array.map(|array| &array[..]).ok_or_else(|| self.unfit(key, "a list of tables"))
    }

    pub(super) fn entry_of(
        &self,
        key: &'static str,
        value: &'a Spanned<DeValue<'a>>,
        entry: String,
    ) -> Result<Self> {
        let offset = value.span().start;
        let table = value.get_ref().as_table().ok_or_else(|| LockError::Unfit {
            place: self.place(offset),
            key,
            expected: "a table",
        })?;
        Ok(Self { reader: self.reader, entry, offset, table })
    }
}
