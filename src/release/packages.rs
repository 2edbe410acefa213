//! Packages: what an image says of the Debian packages that its files are from, where scanners look for it.
//!
//! There is no dpkg in an image, and so no list of it. As in Google's distroless images each package has a file of its
//! own in `var/lib/dpkg/status.d`: the fields of its paragraph that name it, and beside it the MD5 of those of its files that
//! are in the image. Which vulnerabilities count is looked up by the system's release, so that is told, too. The
//! source package matters most: Debian's security tracker knows only those.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use md5::{Digest as _, Md5};

use super::closure::resolve;
use super::{
    Content, Inputs, Node, OS_RELEASE_PATH, Package, Part, ReleaseError, STATUS_DIRECTORY, at,
    system,
};
use crate::fetch::debian::Papers;
use crate::tree::RelPath;

/// The fields that a scanner reads.
const FIELDS: [&str; 5] = ["Package", "Source", "Version", "Architecture", "Maintainer"];
/// The files that name the system's release; some scanners read one, some the other.
const RELEASES: [&str; 2] = [OS_RELEASE_PATH, "etc/debian_version"];
/// The certificates of which the bundle in an image is made.
const CERTIFICATES: &str = "usr/share/ca-certificates/mozilla";

type Parts = BTreeMap<Part, BTreeMap<RelPath, Node>>;

/// Names the release of the system, as its own files do.
pub(super) fn system_release(inputs: &Inputs<'_>) -> Result<BTreeMap<RelPath, Node>, ReleaseError> {
    let mut entries = BTreeMap::new();
    for name in RELEASES {
        if let Some(real) = resolve(inputs.toolchain, &at(name))? {
            entries.insert(at(name), system::file(&real.under(inputs.toolchain), false)?);
        }
    }
    Ok(entries)
}

/// Returns the packages of every file that is taken from the toolchain as it stands there.
pub(super) fn owners(
    parts: &Parts,
    inputs: &Inputs<'_>,
) -> Result<BTreeSet<Package>, ReleaseError> {
    let mut owners = BTreeSet::new();
    for (path, _, place) in taken(parts, inputs) {
        owners.extend((inputs.owner)(&place));
        // The bundle is made here of a package's certificates.
        if path.as_bytes() == system::CA_BUNDLE.as_bytes() {
            let directory = at(CERTIFICATES).under(inputs.toolchain);
            let names = match crate::disk::exists(&directory) {
                true => crate::disk::list(&directory)?,
                false => Vec::new(),
            };
            if let Some(name) = names.first() {
                owners.extend((inputs.owner)(&at(CERTIFICATES).join(name)?));
            }
        }
    }
    Ok(owners)
}

/// Returns each file that is taken from the toolchain: where it is in the image, as what, and where it stands there.
fn taken<'a>(
    parts: &'a Parts,
    inputs: &'a Inputs<'_>,
) -> impl Iterator<Item = (&'a RelPath, &'a Node, RelPath)> {
    parts.values().flatten().filter_map(|(path, node)| {
        let (Content::File { path: on_disk, .. } | Content::Zone { path: on_disk, .. }) =
            &node.content
        else {
            return None;
        };
        let place = on_disk.strip_prefix(inputs.toolchain).ok()?;
        Some((path, node, RelPath::new(place.as_os_str().as_encoded_bytes()).ok()?))
    })
}

/// Writes what is said of the packages.
pub(super) fn status(
    packages: &BTreeSet<Package>,
    parts: &Parts,
    inputs: &Inputs<'_>,
) -> Result<BTreeMap<RelPath, Node>, ReleaseError> {
    let mut entries = BTreeMap::new();
    for package in packages {
        let Some(papers) = (inputs.papers)(package)? else {
            continue;
        };
        let place = at(STATUS_DIRECTORY).join(package.name.as_bytes())?;
        entries.insert(place, Node::text(paragraph(&papers.control)));
        let sums = sums(package, &papers, parts, inputs)?;
        if !sums.is_empty() {
            let name = format!("{}.md5sums", package.name);
            entries.insert(at(STATUS_DIRECTORY).join(name.as_bytes())?, Node::text(sums));
        }
    }
    Ok(entries)
}

fn paragraph(control: &str) -> String {
    let mut text = String::new();
    for field in FIELDS {
        let value = control.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        if let Some(value) = value {
            text += &format!("{field}: {}\n", value.trim());
        }
    }
    text
}

/// Returns the sums of the package's files that are in the image, under the paths and as what they are there.
fn sums(
    package: &Package,
    papers: &Papers,
    parts: &Parts,
    inputs: &Inputs<'_>,
) -> Result<String, ReleaseError> {
    let known: BTreeMap<&str, &str> = papers
        .md5sums
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(sum, path)| (path.trim_start_matches([' ', '*']), sum))
        .collect();
    let mut lines = BTreeMap::new();
    for (path, node, place) in taken(parts, inputs) {
        if (inputs.owner)(&place).as_ref() != Some(package) {
            continue;
        }
        let place = place.to_string();
        let find = |place: &str| known.get(place);
        // Packages of before know no merged `usr`.
        let Some(sum) = find(&place).or_else(|| find(place.strip_prefix("usr/")?)) else {
            continue;
        };
        let sum = match &node.content {
            Content::Zone { .. } => sum_of(&node.content)?,
            _ => (*sum).to_owned(),
        };
        lines.insert(path.to_string(), sum);
    }
    Ok(lines.into_iter().map(|(path, sum)| format!("{sum}  {path}\n")).collect())
}

/// Sums a file as the image holds it.
fn sum_of(content: &Content) -> Result<String, ReleaseError> {
    let mut bytes = Vec::new();
    if let Some((_, mut body)) = content.open()? {
        body.read_to_end(&mut bytes).expect("it is in memory");
    }
    Ok(Md5::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}
