//! SPDX: the bill of materials in version 2.3 of the Linux Foundation's form, as JSON.

use serde_json::{Value, json};

use super::facts::{Component, Facts, Kind};
use super::purl::encoded;
use super::urn;

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-image";

/// Writes the document.
pub(super) fn document(facts: &Facts) -> Value {
    let mut packages = vec![image(facts)];
    let mut relations = vec![relation(DOCUMENT, "DESCRIBES", IMAGE)];
    for component in &facts.components {
        packages.push(package(component));
        let id = id(component);
        relations.push(relation(IMAGE, "CONTAINS", &id));
        // What OTP consists of and what an application asks for are two things.
        let word = if component.kind == Kind::Otp { "CONTAINS" } else { "DEPENDS_ON" };
        let wanted = |other: &&Component| {
            component.deps.contains(&other.name) && !matches!(other.kind, Kind::Deb | Kind::Otp)
        };
        let others = facts.components.iter().filter(wanted);
        relations.extend(others.map(|other| relation(&id, word, &self::id(other))));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": format!("{} {}", facts.name, facts.version).trim(),
        "documentNamespace": urn(facts.manifest, "spdx"),
        "creationInfo": { "created": facts.created, "creators": ["Tool: rebeam"] },
        "packages": packages,
        "relationships": relations,
    })
}

fn image(facts: &Facts) -> Value {
    let (name, manifest) = (encoded(&facts.name.to_lowercase()), facts.manifest);
    json!({
        "SPDXID": IMAGE,
        "name": facts.name,
        "versionInfo": facts.version,
        "primaryPackagePurpose": "CONTAINER",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "checksums": [{ "algorithm": "SHA256", "checksumValue": manifest.hex() }],
        "externalRefs": [reference("PACKAGE-MANAGER", "purl", &format!(
            "pkg:oci/{name}@sha256%3A{}?arch={}", manifest.hex(), facts.architecture
        ))],
    })
}

fn package(component: &Component) -> Value {
    let mut package = json!({
        "SPDXID": id(component),
        "name": component.name,
        "versionInfo": component.version,
        "primaryPackagePurpose": if component.kind == Kind::Own { "APPLICATION" } else { "LIBRARY" },
        "downloadLocation": download(component),
        "filesAnalyzed": false,
    });
    let purl = component.purl.iter().map(|purl| reference("PACKAGE-MANAGER", "purl", purl));
    let cpe = component.cpe.iter().map(|cpe| reference("SECURITY", "cpe23Type", cpe));
    let references: Vec<Value> = purl.chain(cpe).collect();
    if !references.is_empty() {
        package["externalRefs"] = references.into();
    }
    if let Some(digest) = component.sha256 {
        package["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": digest.hex() }]);
    }
    package
}

fn reference(category: &str, kind: &str, locator: &str) -> Value {
    json!({
        "referenceCategory": category, "referenceType": kind, "referenceLocator": locator,
    })
}

/// Says where the source is, in the few ways that the form knows.
fn download(component: &Component) -> String {
    match &component.git {
        Some((url, commit)) if url.starts_with("https://") || url.starts_with("ssh://") => {
            format!("git+{url}@{commit}")
        }
        _ => "NOASSERTION".into(),
    }
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

/// Names a component within the document; letters, digits, dashes and dots are all that may be in a name.
fn id(component: &Component) -> String {
    let kind = match component.kind {
        Kind::Deb => "deb",
        Kind::Otp => "system",
        _ => "app",
    };
    let mut id = format!("SPDXRef-{kind}-");
    for byte in component.name.bytes() {
        match byte {
            b'-' => id.push('-'),
            byte if byte.is_ascii_alphanumeric() => id.push(char::from(byte)),
            // Two names that differ must not become one.
            byte => id += &format!(".{byte:02x}"),
        }
    }
    id
}
