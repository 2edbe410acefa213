//! Format: the text of a lock, written by hand so that equal locks are equal bytes.
//!
//! Everything is sorted, an entry stands in a few short lines and a package in one, so that a diff
//! shows what moved and nothing else. `reader` reads it back.

use std::fmt::Write as _;
use std::path::Path;

use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::lock::error::LockError;
use crate::lock::{
    Deb, FILE_NAME, IMAGE_FORMAT, Lock, Pin, Source, ToolchainLock, VERSION, reader,
};

const HEADER: &str = "\
# Made by rebeam from rebeam.toml and the build tool's configuration; not for editing by hand.
# It belongs under version control: it names every source of the image by its content.
# `rebeam lock` brings it up to date, `rebeam lock --check` says what is stale.
";

impl Lock {
    /// Reads the lock of the project in `directory`; `None` where there is none yet.
    pub fn read(directory: &Path) -> Result<Option<Self>, LockError> {
        let Some(lock) = Self::read_previous(directory)? else {
            return Ok(None);
        };
        lock.of_our_image_format(&directory.join(FILE_NAME)).map(Some)
    }

    /// Reads a lock whose pins are to be kept, whatever image format it was made for.
    pub fn read_previous(directory: &Path) -> Result<Option<Self>, LockError> {
        let path = directory.join(FILE_NAME);
        match disk::read_text(&path, TEXT_FILE_BYTES_MAX) {
            Ok(text) => reader::read(&text, &path).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a lock's text; `path` is what errors call it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, LockError> {
        reader::read(text, path)?.of_our_image_format(path)
    }

    /// Reads the text of a lock of former days, whatever image format it was made for.
    pub fn parse_previous(text: &str, path: &Path) -> Result<Self, LockError> {
        reader::read(text, path)
    }

    fn of_our_image_format(self, path: &Path) -> Result<Self, LockError> {
        if self.image_format == IMAGE_FORMAT {
            return Ok(self);
        }
        Err(LockError::OtherImageFormat { file: path.to_owned(), found: self.image_format })
    }

    /// Writes the lock into `directory`, unless the file there has these very bytes already.
    ///
    /// Returns whether it wrote.
    pub fn write(&self, directory: &Path) -> Result<bool, LockError> {
        let path = directory.join(FILE_NAME);
        let text = self.to_text();
        match disk::read(&path, TEXT_FILE_BYTES_MAX) {
            Ok(bytes) if bytes == text.as_bytes() => return Ok(false),
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
        disk::write_atomic(&path, text.as_bytes())?;
        Ok(true)
    }

    /// Returns the lock's text.
    pub fn to_text(&self) -> String {
        let mut text = String::from(HEADER);
        line(&mut text, format_args!(""));
        line(&mut text, format_args!("version = {VERSION}"));
        line(&mut text, format_args!("image_format = {}", self.image_format));
        line(&mut text, format_args!("\n[project]"));
        string(&mut text, "name", &self.project);
        line(&mut text, format_args!("epoch = {}", self.epoch));
        write_toolchain(&mut text, &self.toolchain);
        if let Some(base) = &self.base {
            line(&mut text, format_args!("\n[base]"));
            string(&mut text, "image", &base.image);
            string(&mut text, "digest", &base.digest.hex());
            line(&mut text, format_args!("manifests = ["));
            for (platform, digest) in &base.manifests {
                let (name, hex) = (platform.name(), digest.hex());
                line(&mut text, format_args!("  {{ platform = \"{name}\", digest = \"{hex}\" }},"));
            }
            line(&mut text, format_args!("]"));
        }
        for platform in &self.platforms {
            line(&mut text, format_args!("\n[[platform]]"));
            string(&mut text, "name", platform.platform.name());
            write_debs(&mut text, "debs", &platform.debs);
            write_debs(&mut text, "tools", &platform.tools);
        }
        for service in &self.services {
            line(&mut text, format_args!("\n[[service]]"));
            strings(&mut text, "packages", &service.wished);
            string(&mut text, "suite", &service.suite);
            write_debs(&mut text, "debs", &service.debs);
        }
        let mut sources: Vec<&Source> = self.sources.iter().collect();
        sources.sort_by(|a, b| (a.role, &a.app).cmp(&(b.role, &b.app)));
        for source in sources {
            write_source(&mut text, source);
        }
        text
    }
}

fn write_toolchain(text: &mut String, toolchain: &ToolchainLock) {
    line(text, format_args!("\n[toolchain]"));
    string(text, "otp", &toolchain.otp);
    string(text, "suite", &toolchain.suite);
    strings(text, "packages", &toolchain.wished);
    write_debs(text, "debs", &toolchain.debs);
}

fn write_debs(text: &mut String, key: &str, debs: &[Deb]) {
    let mut debs: Vec<&Deb> = debs.iter().collect();
    debs.sort();
    line(text, format_args!("{key} = ["));
    for deb in debs {
        line(
            text,
            format_args!(
                "  {{ package = {}, version = {}, architecture = {}, sha256 = \"{}\", size = {}, path = {}, suite = {} }},",
                quoted(&deb.package),
                quoted(&deb.version),
                quoted(&deb.architecture),
                deb.sha256.hex(),
                deb.size,
                quoted(&deb.path),
                quoted(&deb.suite),
            ),
        );
    }
    line(text, format_args!("]"));
}

fn write_source(text: &mut String, source: &Source) {
    line(text, format_args!("\n[[source]]"));
    string(text, "app", &source.app);
    string(text, "role", source.role.name());
    write_pin(text, &source.pin);
    string(text, "wanted", &source.wanted);
    if let Some(describe) = &source.describe {
        string(text, "describe", describe);
    }
    string(text, "tool", source.tool.name());
    if source.untouched {
        line(text, format_args!("autopatch = false"));
    }
    line(text, format_args!("level = {}", source.level));
    strings(text, "parents", &source.parents);
    strings(text, "deps", &source.deps);
    if !source.profiles.is_empty() {
        strings(text, "profiles", &source.profiles);
    }
    if !source.lost.is_empty() {
        line(text, format_args!("lost = ["));
        for lost in &source.lost {
            line(text, format_args!("  {},", quoted(lost)));
        }
        line(text, format_args!("]"));
    }
}

fn write_pin(text: &mut String, pin: &Pin) {
    match pin {
        Pin::Git { url, commit, subdir, .. } => {
            string(text, "kind", "git");
            string(text, "url", url);
            string(text, "commit", commit);
            if let Some(subdir) = subdir {
                string(text, "subdir", subdir);
            }
        }
        Pin::Hex { repository, package, version, outer, .. } => {
            string(text, "kind", "hex");
            string(text, "repository", repository);
            string(text, "package", package);
            string(text, "version", version);
            string(text, "outer", &outer.hex());
        }
        Pin::Url { url, sha256, .. } => {
            string(text, "kind", "url");
            string(text, "url", url);
            string(text, "sha256", &sha256.hex());
        }
        Pin::Path { path } => {
            string(text, "kind", "path");
            string(text, "path", path);
        }
    }
    if let Some(tree) = pin.tree() {
        string(text, "hash", &tree.sri());
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("writing to a String cannot fail");
}

fn string(text: &mut String, key: &str, value: &str) {
    line(text, format_args!("{key} = {}", quoted(value)));
}

fn strings<'a>(text: &mut String, key: &str, values: impl IntoIterator<Item = &'a String>) {
    let values: Vec<String> = values.into_iter().map(|value| quoted(value)).collect();
    line(text, format_args!("{key} = [{}]", values.join(", ")));
}

/// Spells a TOML basic string: only what must be escaped is.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            character if character.is_ascii_control() => {
                write!(text, "\\u{:04X}", u32::from(character))
                    .expect("writing to a String cannot fail");
            }
            character => text.push(character),
        }
    }
    text.push('"');
    text
}
