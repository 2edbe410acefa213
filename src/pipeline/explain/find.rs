//! Find: who answers to a digest: the image, its layers and files, the lock, the store.

use super::tell::{Teller, deb_words, pinned};
use super::{ANSWERS_MAX, Explained, Wanted};
use crate::digest::Digest;
use crate::explain::Failure;
use crate::image::{EntryKind, Placed};
use crate::lock::Pin;

impl Teller<'_> {
    /// The image itself and its layers, by any of their names.
    pub(super) fn of_image(&self, wanted: &Wanted) -> Vec<Explained> {
        let image = &self.origins.holdings.inspected;
        let mut found = Vec::new();
        let names = image.names.join(", ");
        if wanted.is(image.image_id) {
            found.push(self.image(Explained::new("image id", image.image_id.to_string())));
        }
        if let Some(manifest) = image.manifest_digest.filter(|manifest| wanted.is(*manifest)) {
            found.push(self.image(Explained::new("manifest", manifest.to_string())));
        }
        let mut chain: Option<Digest> = None;
        for layer in &image.layers {
            let next = match chain {
                None => layer.diff_id,
                Some(before) => Digest::of(format!("{before} {}", layer.diff_id).as_bytes()),
            };
            chain = Some(next);
            let known = [
                ("layer", layer.digest, "its blob, as registries know it"),
                ("diff id", layer.diff_id, "its plain tar, as the configuration names it"),
                ("chain id", next, "it with all below it, as Docker keeps it"),
            ];
            // The lowest layer's chain is the layer itself.
            let mut seen = None;
            for (what, digest, words) in known {
                if wanted.is(digest) && seen != Some(digest) {
                    seen = Some(digest);
                    found.push(
                        self.layer(Explained::new(what, digest.to_string()), layer, words)
                            .with("image", names.clone()),
                    );
                }
            }
        }
        found
    }

    pub(super) fn of_files(&self, wanted: &Wanted) -> Result<Vec<Explained>, Failure> {
        let is_it = |placed: &&Placed| match placed.entry.kind {
            EntryKind::File { digest, .. } => wanted.is(digest),
            _ => false,
        };
        let files = self.origins.files.values().filter(is_it).take(ANSWERS_MAX);
        files.map(|placed| self.file(placed)).collect()
    }

    pub(super) fn of_lock(&self, wanted: &Wanted) -> Vec<Explained> {
        let Some(lock) = self.lock else {
            return vec![];
        };
        let mut found = Vec::new();
        for source in &lock.sources {
            let extra = match &source.pin {
                Pin::Git { commit, .. } => wanted.is_text(commit),
                Pin::Hex { outer, .. } => wanted.is(*outer),
                Pin::Url { sha256, .. } => wanted.is(*sha256),
                Pin::Path { .. } => false,
            };
            if extra || source.pin.tree().is_some_and(|tree| wanted.is(tree)) {
                let told =
                    Explained::new("source", format!("{} ({})", source.app, source.role.name()));
                found.push(pinned(told, source));
            }
        }
        for deb in lock.toolchain.debs.iter().filter(|deb| wanted.is(deb.sha256)) {
            let held = &self.origins.holdings.packages;
            let is_in = held.iter().any(|package| package.name == deb.package);
            let told = Explained::new("deb", deb_words(deb));
            found.push(told.with(
                "in the image",
                if is_in { "files of it" } else { "nothing of it; the build saw it" },
            ));
        }
        found
    }

    /// What the store knows by this digest: a step's output or its key.
    pub(super) fn of_store(&self, wanted: &Wanted) -> Result<Vec<Explained>, Failure> {
        let mut found = Vec::new();
        for (key, record) in self.store.made(&|_| true)? {
            let outputs = record.outputs.iter().filter(|(_, digest)| wanted.is(*digest));
            let is_key = wanted.is(key.digest());
            let Some(output) = outputs
                .map(|(_, digest)| *digest)
                .next()
                .or_else(|| record.outputs.first().filter(|_| is_key).map(|(_, digest)| *digest))
            else {
                continue;
            };
            if !record.inputs.starts_with("recipe ") || found.len() >= ANSWERS_MAX {
                continue;
            }
            let line = |head: &str| {
                record
                    .inputs
                    .lines()
                    .filter(|line| line.starts_with(head))
                    .map(|line| line.rsplit('\t').next().unwrap_or(line).to_owned())
                    .collect::<Vec<_>>()
            };
            found.push(
                Explained::new("step's output", output.to_string())
                    .with("key", key.digest().to_string())
                    .with("made of", line("copy ").join(", "))
                    .with("beside", line("read ").join(", "))
                    .with(
                        "by",
                        line("argument ")
                            .into_iter()
                            .map(|line| line.trim_start_matches("argument ").to_owned())
                            .collect::<Vec<_>>()
                            .join(" "),
                    ),
            );
        }
        Ok(found)
    }
}
