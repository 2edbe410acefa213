//! Images: two images held against each other, from what names them down to the bytes of each file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::content::{self, Look, Trace};
use super::{Cause, CompareError, Comparison, Difference, Found, Level, Side, json};
use crate::image::{self, EntryKind, Inspected, LayerEntries, LayerEntry, Papers};

/// Compares two images.
pub(super) fn compare(
    one: &Path,
    other: &Path,
    traces: &[Trace],
) -> Result<Comparison, CompareError> {
    let (left, left_layers) = image::entries(one)?;
    let (right, right_layers) = image::entries(other)?;
    let (left_papers, right_papers) = (image::papers(one)?, image::papers(other)?);
    let mut differences = documents(&left_papers, &right_papers);
    let pairs = pairs(&left, &right);
    let mut unlike = BTreeMap::new();
    for &(first, second) in &pairs {
        let name = layer_name(&left, &right, (first, second));
        let (Some(first), Some(second)) = (first, second) else {
            let side = if first.is_some() { "first" } else { "second" };
            differences.push(difference(
                Level::Layer,
                name,
                Cause::Presence,
                format!("in the {side} only"),
            ));
            continue;
        };
        let (a, b) = (&left.layers[first], &right.layers[second]);
        if a.diff_id == b.diff_id {
            if a.digest != b.digest {
                let detail = format!("the same tar in {} and {} bytes", a.bytes, b.bytes);
                differences.push(difference(Level::Layer, name, Cause::Compression, detail));
            }
            continue;
        }
        let before = differences.len();
        let (a, b) = (&left_layers[first], &right_layers[second]);
        differences.extend(layer(&name, (a, b), &mut unlike, (first, second)));
        let contents = unlike.keys().any(|(layer, _)| *layer == first);
        if differences.len() == before && !contents {
            let cause = if same_order(a, b) { Cause::Layout } else { Cause::Order };
            differences.push(difference(
                Level::Layer,
                name,
                cause,
                "the same entries in another tar".into(),
            ));
        }
    }
    moved(&mut differences);
    differences.extend(contents((one, other), &unlike, traces)?);
    let side = |path: &Path, image: &Inspected| Side {
        name: path.display().to_string(),
        digest: Some(image.image_id),
        names: image.names.clone(),
    };
    Ok(Comparison { left: side(one, &left), right: side(other, &right), differences })
}

pub(super) fn difference(level: Level, place: String, cause: Cause, detail: String) -> Difference {
    Difference { level, place, noun: level.noun(), cause, details: vec![detail], inner: vec![] }
}

/// Index, manifest and configuration.
fn documents(left: &Papers, right: &Papers) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut hold = |level: Level, one: Option<&Vec<u8>>, other: Option<&Vec<u8>>| match (one, other)
    {
        (Some(one), Some(other)) if one == other => {}
        (Some(one), Some(other)) => {
            let places = json::places(one, other).unwrap_or_default();
            if places.is_empty() {
                differences.push(difference(
                    level,
                    "/".into(),
                    Cause::Layout,
                    "the same values".into(),
                ));
            }
            for place in places {
                let cause =
                    if follows(level, &place.at) { Cause::Consequence } else { Cause::Settings };
                differences.push(difference(level, place.at.clone(), cause, place.says()));
            }
        }
        (None, None) => {}
        // One file is only what `docker save` writes: that says nothing of the image.
        (one, _) => {
            let side = if one.is_some() { "first" } else { "second" };
            let detail = format!("in the {side} only");
            differences.push(difference(level, "/".into(), Cause::Consequence, detail));
        }
    };
    hold(Level::Index, left.index.as_ref(), right.index.as_ref());
    hold(Level::Manifest, left.manifest.as_ref(), right.manifest.as_ref());
    hold(Level::Config, Some(&left.config), Some(&right.config));
    said_twice(&mut differences);
    if left.names != right.names {
        let names = |papers: &Papers| papers.names.join(", ");
        let detail = format!("{} | {}", names(left), names(right));
        // A name is given to an image; it is nothing of it.
        differences.push(difference(Level::Index, "names".into(), Cause::Consequence, detail));
    }
    differences
}

/// The manifest's annotations repeat the configuration's labels.
fn said_twice(differences: &mut [Difference]) {
    let labels: BTreeSet<String> = differences
        .iter()
        .filter_map(|one| one.place.strip_prefix("/config/Labels/"))
        .map(str::to_owned)
        .collect();
    for one in differences.iter_mut().filter(|one| one.level == Level::Manifest) {
        if one.place.strip_prefix("/annotations/").is_some_and(|name| labels.contains(name)) {
            one.cause = Cause::Consequence;
        }
    }
}

/// Tells whether a value names a part that is compared by itself.
fn follows(level: Level, at: &str) -> bool {
    match level {
        Level::Index => true,
        Level::Manifest => {
            ["/layers/", "/config/"].iter().any(|part| at.starts_with(part))
                && ["/digest", "/size", "/mediaType"].iter().any(|part| at.ends_with(part))
        }
        _ => {
            at.starts_with("/rootfs/diff_ids/")
                || (at.starts_with("/history/") && at.ends_with("/comment"))
        }
    }
}

type Pair = (Option<usize>, Option<usize>);

/// Layers that rebeam made belong together by name; all others by their place.
fn pairs(left: &Inspected, right: &Inspected) -> Vec<Pair> {
    let ours = |image: &Inspected| {
        let names: BTreeSet<&String> = image.layers.iter().map(|layer| &layer.made_by).collect();
        names.len() == image.layers.len()
            && names.iter().all(|name| name.starts_with("rebeam layer="))
    };
    if !ours(left) || !ours(right) {
        let place =
            |number, image: &Inspected| Some(number).filter(|number| *number < image.layers.len());
        let count = left.layers.len().max(right.layers.len());
        return (0..count).map(|number| (place(number, left), place(number, right))).collect();
    }
    let find =
        |image: &Inspected, name: &str| image.layers.iter().position(|layer| layer.made_by == name);
    let mut pairs: Vec<Pair> = Vec::new();
    for (number, layer) in left.layers.iter().enumerate() {
        pairs.push((Some(number), find(right, &layer.made_by)));
    }
    for (number, layer) in right.layers.iter().enumerate() {
        if find(left, &layer.made_by).is_none() {
            pairs.push((None, Some(number)));
        }
    }
    pairs
}

fn layer_name(left: &Inspected, right: &Inspected, pair: Pair) -> String {
    let of = |image: &Inspected, number: Option<usize>| {
        let made_by = &image.layers.get(number?)?.made_by;
        made_by.strip_prefix("rebeam layer=").map(str::to_owned)
    };
    let number = pair.0.or(pair.1).unwrap_or_default() + 1;
    of(left, pair.0).or_else(|| of(right, pair.1)).unwrap_or_else(|| number.to_string())
}

fn same_order(one: &LayerEntries, other: &LayerEntries) -> bool {
    one.iter().zip(other).all(|((_, one), (_, other))| one.position == other.position)
}

/// Files whose bytes differ: the first image's layer and the path, the second's layer.
type Unlike = BTreeMap<(usize, String), usize>;

/// Holds the entries of two layers against each other; files with other bytes are noted for later.
pub(super) fn layer(
    name: &str,
    (one, other): (&LayerEntries, &LayerEntries),
    unlike: &mut Unlike,
    (first, second): (usize, usize),
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    for path in paths {
        let mut note = |cause, detail: String| {
            let mut one = difference(Level::Entry, path.clone(), cause, detail);
            one.details.push(format!("layer {name}"));
            differences.push(one);
        };
        match (one.get(path), other.get(path)) {
            (Some(a), Some(b)) => {
                for (cause, detail) in facts(a, b) {
                    note(cause, detail);
                }
                if is_unlike(&a.kind, &b.kind) {
                    unlike.insert((first, path.clone()), second);
                }
            }
            (one, _) => {
                let side = if one.is_some() { "first" } else { "second" };
                note(Cause::Presence, format!("in the {side} only"));
            }
        }
    }
    differences
}

fn is_unlike(one: &EntryKind, other: &EntryKind) -> bool {
    matches!((one, other), (EntryKind::File { digest: one, .. }, EntryKind::File { digest: other, .. }) if one != other)
}

/// What of two entries of one name differs, but for their bytes.
fn facts(one: &LayerEntry, other: &LayerEntry) -> Vec<(Cause, String)> {
    let mut facts = Vec::new();
    let kind = |entry: &LayerEntry| match &entry.kind {
        EntryKind::File { .. } => "a file",
        EntryKind::Directory => "a directory",
        EntryKind::Symlink(_) => "a link",
        EntryKind::Second(_) => "a second name",
    };
    match (&one.kind, &other.kind) {
        (EntryKind::Symlink(a), EntryKind::Symlink(b))
        | (EntryKind::Second(a), EntryKind::Second(b))
            if a != b =>
        {
            facts.push((Cause::Target, format!("{a} | {b}")));
        }
        _ if kind(one) != kind(other) => {
            facts.push((Cause::Kind, format!("{} | {}", kind(one), kind(other))));
        }
        _ => {}
    }
    if one.mode != other.mode {
        facts.push((Cause::Mode, format!("{:o} | {:o}", one.mode, other.mode)));
    }
    if (one.uid, one.gid) != (other.uid, other.gid) {
        let owners = format!("{}:{} | {}:{}", one.uid, one.gid, other.uid, other.gid);
        facts.push((Cause::Owner, owners));
    }
    if one.modified != other.modified {
        facts.push((Cause::Time, format!("{} | {}", one.modified, other.modified)));
    }
    facts
}

/// Says of what went from one layer to another that it did, in place of twice that it is missing.
fn moved(differences: &mut [Difference]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..differences.len() {
        let one = &differences[number];
        if one.level != Level::Entry || one.cause != Cause::Presence {
            continue;
        }
        if let Some(before) = seen.insert(one.place.clone(), number) {
            let to = one.details.last().cloned().unwrap_or_default();
            for which in [before, number] {
                differences[which].details.push(format!("it went to another {to}"));
            }
        }
    }
}

/// Looks into every file with other bytes.
fn contents(
    (one, other): (&Path, &Path),
    unlike: &Unlike,
    traces: &[Trace],
) -> Result<Vec<Difference>, CompareError> {
    let mut left: BTreeMap<(usize, String), Vec<u8>> = BTreeMap::new();
    let mut kept = 0;
    let mut differences = Vec::new();
    let mut seen = BTreeSet::new();
    // A layer at a time, so that no more than two of its files' bytes are held at once.
    let layers: BTreeSet<(usize, usize)> =
        unlike.iter().map(|((first, _), second)| (*first, *second)).collect();
    for (first, second) in layers {
        left.clear();
        let wanted = |path: &str| unlike.contains_key(&(first, path.to_owned()));
        image::each_file(
            one,
            &|layer, path| layer == first && wanted(path),
            &mut |_, path, bytes| {
                kept += bytes.len();
                left.insert((first, path.to_owned()), bytes);
            },
        )?;
        image::each_file(
            other,
            &|layer, path| layer == second && wanted(path),
            &mut |_, path, bytes| {
                if let Some(before) = left.remove(&(first, path.to_owned())) {
                    let look = Look { depth: 0, traces };
                    let found = content::compare(path, &before, &bytes, look);
                    differences.push(of_file(path, found));
                    seen.insert((first, path.to_owned()));
                }
            },
        )?;
    }
    for (layer, path) in unlike.keys().filter(|key| !seen.contains(*key)) {
        let detail = format!("layer {}: larger than what is looked into", layer + 1);
        differences.push(difference(Level::Content, path.clone(), Cause::Bytes, detail));
    }
    Ok(differences)
}

/// Makes a file's finding a difference.
pub(super) fn of_file(path: &str, found: Found) -> Difference {
    let Found { noun, cause, details, inner } = found;
    let inner = inner.unwrap_or_default();
    let inner = inner.into_iter().map(|(name, found)| of_file(&name, found)).collect();
    Difference { level: Level::Content, place: path.to_owned(), noun, cause, details, inner }
}
