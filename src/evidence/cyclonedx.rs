//! CycloneDX: the bill of materials in version 1.6 of OWASP's form (ECMA-424), as JSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::facts::{Component, Facts, Kind};
use super::purl::encoded;
use super::urn;

/// Writes the document.
pub(super) fn document(facts: &Facts) -> Value {
    let manifest = facts.manifest;
    let name = encoded(&facts.name.to_lowercase());
    let image = format!("pkg:oci/{name}@sha256%3A{}?arch={}", manifest.hex(), facts.architecture);
    let mut components: Vec<Value> = facts.components.iter().map(component).collect();
    if let Some(release) = &facts.release {
        components.push(json!({
            "type": "operating-system", "bom-ref": "os:debian", "name": "debian", "version": release,
        }));
    }
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": urn(manifest, "cyclonedx"),
        "version": 1,
        "metadata": {
            "timestamp": facts.created,
            "tools": { "components": [{ "type": "application", "name": "rebeam" }] },
            "component": {
                "type": "container",
                "bom-ref": image,
                "name": facts.name,
                "version": facts.version,
                "purl": image,
                "hashes": [{ "alg": "SHA-256", "content": manifest.hex() }],
            },
        },
        "components": components,
        "dependencies": dependencies(facts, &image),
    })
}

fn component(component: &Component) -> Value {
    let mut value = json!({
        "type": if component.kind == Kind::Own { "application" } else { "library" },
        "bom-ref": reference(component),
        "name": component.name,
        "version": component.version,
    });
    if let Some(purl) = &component.purl {
        value["purl"] = json!(purl);
    }
    if let Some(cpe) = &component.cpe {
        value["cpe"] = json!(cpe);
    }
    if let Some(digest) = component.sha256 {
        value["hashes"] = json!([{ "alg": "SHA-256", "content": digest.hex() }]);
    }
    if let Some((url, commit)) = &component.git {
        value["externalReferences"] = json!([{ "type": "vcs", "url": url }]);
        value["properties"] = json!([{ "name": "rebeam:commit", "value": commit }]);
    }
    value
}

/// Names a component within the document. The same package may be in two roles, as a name alone may.
fn reference(component: &Component) -> String {
    let kind = match component.kind {
        Kind::Deb => "deb",
        Kind::Otp => "system",
        _ => "app",
    };
    format!("{kind}:{}", component.name)
}

fn dependencies(facts: &Facts, image: &str) -> Vec<Value> {
    let wanted: BTreeSet<&String> =
        facts.components.iter().flat_map(|component| &component.deps).collect();
    let is_app = |component: &&Component| !matches!(component.kind, Kind::Deb | Kind::Otp);
    // The image asks for whatever nothing in it asks for.
    let top = facts.components.iter().filter(|component| {
        !is_app(component) || component.kind == Kind::Own || !wanted.contains(&component.name)
    });
    let mut lines = vec![line(image, top.map(reference).collect())];
    for component in &facts.components {
        let asked = facts.components.iter().filter(is_app);
        let asked = asked.filter(|other| component.deps.contains(&other.name)).map(reference);
        lines.push(line(&reference(component), asked.collect()));
    }
    lines
}

fn line(reference: &str, others: Vec<String>) -> Value {
    json!({ "ref": reference, "dependsOn": others })
}
