//! Export: a commit's files as they were committed, below a directory, submodules included.
//!
//! No filter, line ending rule or `export-ignore` applies: the files are the blobs, so that everybody's
//! content hash is the same. Nothing is followed and nothing is run.

use std::collections::BTreeMap;
use std::path::Path;

use git2::{ObjectType, Oid, Tree};

use crate::disk;
use crate::event::Event;
use crate::limits::{SOURCE_BYTES_MAX, SUBMODULE_DEPTH_MAX, TREE_ENTRIES_MAX};
use crate::tree::RelPath;

use super::origin::Origin;
use super::wire::Depth;
use super::{Git, GitError};

/// What a file begins with that stands for one kept elsewhere (git-lfs).
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Lays a commit's files out below `into`, which is made.
pub(super) fn export(
    git: Git<'_>,
    origin: &Origin<'_>,
    commit: Oid,
    subdir: Option<&str>,
    into: &Path,
) -> Result<(), GitError> {
    let mut export =
        Export { git, bytes_left: SOURCE_BYTES_MAX, entries_left: TREE_ENTRIES_MAX, depth: 0 };
    export.repository(origin, commit, subdir, into)
}

struct Export<'a> {
    git: Git<'a>,
    bytes_left: u64,
    entries_left: usize,
    /// Repositories around the one that is laid out.
    depth: usize,
}

/// One repository on its way out.
struct Layout<'a> {
    origin: &'a Origin<'a>,
    into: &'a Path,
    /// Submodules by their path from the repository's root.
    submodules: Vec<(String, RelPath, Oid)>,
    /// What stands before every path: the subdirectory, with a `/`.
    prefix: String,
}

impl Export<'_> {
    fn repository(
        &mut self,
        origin: &Origin<'_>,
        commit: Oid,
        subdir: Option<&str>,
        into: &Path,
    ) -> Result<(), GitError> {
        let top = origin.commit(commit)?;
        let top = top.tree().map_err(|error| origin.named().unread(top.tree_id(), error))?;
        let subdir = subdir.map(|text| text.trim_matches('/')).filter(|text| !text.is_empty());
        let tree = match subdir {
            None => top.clone(),
            Some(subdir) => find_subdir(origin, &top, commit, subdir)?,
        };
        disk::create_dir(into)?;
        let mut layout = Layout {
            origin,
            into,
            submodules: Vec::new(),
            prefix: subdir.map_or_else(String::new, |subdir| format!("{subdir}/")),
        };
        self.tree(&mut layout, &tree, None)?;
        if layout.submodules.is_empty() {
            return Ok(());
        }
        self.submodules(&layout, &top)
    }

    fn tree(
        &mut self,
        layout: &mut Layout<'_>,
        tree: &Tree<'_>,
        at: Option<&RelPath>,
    ) -> Result<(), GitError> {
        let named = layout.origin.named();
        for entry in tree {
            self.entries_left = self
                .entries_left
                .checked_sub(1)
                .ok_or_else(|| too_large(layout.origin, TREE_ENTRIES_MAX as u64, "entries"))?;
            let name = entry.name_bytes();
            let path = match at {
                Some(at) => at.join(name),
                None => RelPath::new(name),
            };
            let plain = !name.contains(&b'/') && !name.eq_ignore_ascii_case(b".git");
            let path = path.ok().filter(|_| plain).ok_or_else(|| GitError::UnsafeName {
                app: named.app.clone(),
                path: String::from_utf8_lossy(name).chars().take(200).collect(),
            })?;
            match entry.kind() {
                Some(ObjectType::Tree) => {
                    let below = layout.origin.repository().find_tree(entry.id());
                    let below = below.map_err(|error| named.unread(entry.id(), error))?;
                    disk::create_dir(&path.under(layout.into))?;
                    self.tree(layout, &below, Some(&path))?;
                }
                Some(ObjectType::Commit) => {
                    let from_root = format!("{}{path}", layout.prefix);
                    layout.submodules.push((from_root, path, entry.id()));
                }
                _ => self.blob(layout, entry.id(), entry.filemode(), &path)?,
            }
        }
        Ok(())
    }

    fn blob(
        &mut self,
        layout: &Layout<'_>,
        id: Oid,
        mode: i32,
        path: &RelPath,
    ) -> Result<(), GitError> {
        let named = layout.origin.named();
        let odb = layout.origin.odb()?;
        let unread = |error| named.unread(id, error);
        // The size is looked at first: a blob is read whole.
        let (size, _) = odb.read_header(id).map_err(unread)?;
        self.bytes_left = self
            .bytes_left
            .checked_sub(size as u64)
            .ok_or_else(|| too_large(layout.origin, SOURCE_BYTES_MAX, "bytes"))?;
        let blob = odb.read(id).map_err(unread)?;
        let on_disk = path.under(layout.into);
        if mode & 0o170_000 == 0o120_000 {
            return Ok(disk::symlink(blob.data(), &on_disk)?);
        }
        if blob.data().starts_with(LFS_POINTER) {
            self.warn(
                layout.origin,
                &format!("keeps `{path}` outside of git (LFS); its pointer is taken as it is"),
            );
        }
        let mut file = disk::create_new(&on_disk, mode & 0o100 != 0)?;
        Ok(disk::write_all(&mut file, &on_disk, blob.data())?)
    }

    fn submodules(&mut self, layout: &Layout<'_>, top: &Tree<'_>) -> Result<(), GitError> {
        if self.depth >= SUBMODULE_DEPTH_MAX {
            let limit = SUBMODULE_DEPTH_MAX as u64;
            return Err(too_large(layout.origin, limit, "repositories inside one another"));
        }
        let urls = submodule_urls(layout.origin, top)?;
        for (from_root, path, commit) in &layout.submodules {
            let into = path.under(layout.into);
            let Some(url) = urls.get(from_root) else {
                // Git itself leaves such a directory empty.
                self.warn(
                    layout.origin,
                    &format!("does not say where its submodule `{from_root}` is"),
                );
                disk::create_dir(&into)?;
                continue;
            };
            let address = layout.origin.address().submodule(url);
            let address = address.ok_or_else(|| GitError::BadAddress {
                app: layout.origin.app().to_owned(),
                url: url.clone(),
            })?;
            let inner = Origin::at(self.git, layout.origin.app(), address)?;
            inner.ensure(*commit, Depth::Tree)?;
            self.depth += 1;
            self.repository(&inner, *commit, None, &into)?;
            self.depth -= 1;
        }
        Ok(())
    }

    fn warn(&self, origin: &Origin<'_>, what: &str) {
        let message = format!("`{}`, the source of `{}`, {what}", origin.url(), origin.app());
        self.git.observer.observe(&Event::Warned { message: &message });
    }
}

fn find_subdir<'a>(
    origin: &'a Origin<'_>,
    top: &Tree<'_>,
    commit: Oid,
    subdir: &str,
) -> Result<Tree<'a>, GitError> {
    let entry = top.get_path(Path::new(subdir)).ok();
    let entry = entry.filter(|entry| entry.kind() == Some(ObjectType::Tree));
    let id = entry.map(|entry| entry.id()).ok_or_else(|| GitError::NoSubdir {
        app: origin.app().to_owned(),
        url: origin.url().to_owned(),
        commit: commit.to_string(),
        subdir: subdir.to_owned(),
    })?;
    let tree = origin.repository().find_tree(id);
    tree.map_err(|error| origin.named().unread(id, error))
}

/// Reads `.gitmodules`: the address of each submodule by its path.
fn submodule_urls(
    origin: &Origin<'_>,
    top: &Tree<'_>,
) -> Result<BTreeMap<String, String>, GitError> {
    let Some(entry) = top.get_name(".gitmodules") else {
        return Ok(BTreeMap::new());
    };
    let odb = origin.odb()?;
    let blob = odb.read(entry.id()).map_err(|error| origin.named().unread(entry.id(), error))?;
    Ok(parse_submodules(&String::from_utf8_lossy(blob.data())))
}

/// A reader of our own: libgit2's would follow `[include]` to files of this machine.
pub(super) fn parse_submodules(text: &str) -> BTreeMap<String, String> {
    let mut urls = BTreeMap::new();
    let (mut path, mut url) = (None, None);
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            (path, url) = (None, None);
        } else if let Some((name, value)) = line.split_once('=') {
            let value = value.trim().trim_matches('"').to_owned();
            match name.trim().to_ascii_lowercase().as_str() {
                "path" => path = Some(value),
                "url" => url = Some(value),
                _ => {}
            }
        }
        if let (Some(path), Some(url)) = (&path, &url) {
            urls.insert(path.clone(), url.clone());
        }
    }
    urls
}

fn too_large(origin: &Origin<'_>, limit: u64, unit: &'static str) -> GitError {
    GitError::TooLarge { app: origin.app().to_owned(), limit, unit }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn submodules_are_read_in_any_order_and_case() {
        let text = "[submodule \"a\"]\n\tURL = \"../a\"\n\tpath = lib/a\n[include]\n\tpath = /etc/passwd\n\
                    [submodule \"b\"]\npath=b\nurl=https://git.test/b\nbranch = main\n";
        let urls = parse_submodules(text);
        assert_eq!(urls.len(), 2);
        assert_eq!((urls["lib/a"].as_str(), urls["b"].as_str()), ("../a", "https://git.test/b"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_of_submodules_panic(text in "\\PC*") {
            parse_submodules(&text);
        }
    }
}
