//! Documents: what is said about one image, ready to be sent or signed, and to be kept for the next time.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Facts, Form, cyclonedx, slsa, spdx, statement};
use crate::digest::Digest;

/// Documents about one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documents {
    /// The project's name.
    pub name: String,
    /// The image's time, which is every document's.
    pub created: String,
    /// The digest by which the documents name the image: of its manifest.
    pub manifest: Digest,
    /// What each form says of it, before it is wrapped in a statement.
    pub values: BTreeMap<Form, Value>,
}

impl Documents {
    /// Writes documents of these forms about an image.
    pub fn of(facts: &Facts, forms: &[Form]) -> Self {
        let value = |form: &Form| match form {
            Form::Spdx => spdx::document(facts),
            Form::CycloneDx => cyclonedx::document(facts),
            Form::Provenance => slsa::predicate(facts),
        };
        Self {
            name: facts.name.clone(),
            created: facts.created.clone(),
            manifest: facts.manifest,
            values: forms.iter().map(|form| (*form, value(form))).collect(),
        }
    }

    /// Returns a document that was written here, on one line.
    pub fn document(&self, form: Form) -> Vec<u8> {
        match form {
            // Provenance is nothing without what it is about.
            Form::Provenance => self.statement(form),
            _ => serde_json::to_vec(&self.values[&form]).expect("the document has only text keys"),
        }
    }

    /// Returns a document that was written here as a statement about the image, which can be signed.
    pub fn statement(&self, form: Form) -> Vec<u8> {
        let predicate = self.values[&form].clone();
        statement::write(&self.name, self.manifest, form.predicate_type(), predicate)
    }
}
