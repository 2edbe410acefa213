//! `rebeam image check`.

use std::path::Path;

use serde_json::json;

use super::Common;
use crate::explain::Failure;
use crate::image::{self, Contract, Native};
use crate::terminal::{self, Mode};

/// Tells an image's contract; exit code 1 where it cannot be kept.
pub(super) fn run(common: &Common, file: &Path) -> Result<u8, Failure> {
    let contract = image::contract(file)?;
    match common.mode() {
        Mode::Json => terminal::data(&as_json(&contract)),
        Mode::People => terminal::data(&as_text(&contract)),
        Mode::Quiet => {}
    }
    Ok(u8::from(!contract.problems.is_empty()))
}

fn version(kernel: [u32; 3]) -> String {
    kernel.map(|number| number.to_string()).join(".")
}

fn as_json(contract: &Contract) -> String {
    let image = &contract.image;
    let native = |native: &Native| json!({ "path": native.path, "own": native.is_own, "needs": native.needs, "glibc": native.glibc });
    json!({
        "image_id": image.image_id, "architecture": image.architecture, "entrypoint": image.entrypoint,
        "cmd": image.cmd, "user": image.user, "directory": image.directory, "env": image.env,
        "ports": image.ports, "volumes": image.volumes,
        "kernel": contract.kernel.map(version), "glibc_needed": contract.glibc_needed,
        "glibc_inside": contract.glibc_inside, "natives": contract.natives.iter().map(native).collect::<Vec<_>>(),
        "problems": contract.problems, "notes": contract.notes,
    })
    .to_string()
}

fn as_text(contract: &Contract) -> String {
    let image = &contract.image;
    let none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    let command = image.entrypoint.iter().chain(&image.cmd).cloned().collect::<Vec<_>>().join(" ");
    let unknown = || "unknown".to_owned();
    let glibc = match (&contract.glibc_needed, &contract.glibc_inside) {
        (Some(needed), Some(inside)) => format!("{needed} is needed, {inside} is inside"),
        (Some(needed), None) => format!("{needed} is needed, none is inside"),
        (None, _) => "not needed".into(),
    };
    let mut rows = [
        ["starts", &command],
        ["in", &image.directory],
        ["as user", &image.user],
        ["ports", &none(image.ports.join(" "))],
        ["volumes", &none(image.volumes.join(" "))],
        ["platform", &format!("linux/{}", image.architecture)],
        [
            "kernel",
            &contract.kernel.map_or_else(unknown, |kernel| format!("{} or newer", version(kernel))),
        ],
        ["glibc", &glibc],
    ]
    .map(|row| row.map(str::to_owned).to_vec())
    .to_vec();
    rows.extend(image.env.iter().map(|pair| vec!["env".to_owned(), pair.clone()]));
    for native in contract.natives.iter().filter(|native| native.is_own) {
        let glibc =
            native.glibc.as_ref().map(|glibc| format!(" (glibc {glibc})")).unwrap_or_default();
        rows.push(vec![
            "native".into(),
            format!("/{} loads {}{glibc}", native.path, none(native.needs.join(", "))),
        ]);
    }
    rows.extend(contract.notes.iter().map(|note| vec!["note".to_owned(), note.clone()]));
    rows.extend(
        contract.problems.iter().map(|problem| vec!["PROBLEM".to_owned(), problem.clone()]),
    );
    if contract.problems.is_empty() {
        rows.push(vec![
            "holds".into(),
            "every library is inside, and what is started is there".into(),
        ]);
    }
    terminal::table(&rows)
}
