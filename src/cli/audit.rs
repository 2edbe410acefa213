//! `rebeam audit`.

use clap::Args;
use serde_json::{Value, json};

use super::Common;
use crate::explain::Failure;
use crate::fetch::hex::Advisory;
use crate::pipeline::{self, Finding, Matter};
use crate::terminal::{self, Mode, Reasons};

#[derive(Debug, Args)]
#[command(after_help = "\
The signed registries of hex packages say which releases were retired and which have security advisories.
What they say is kept in the store: after one audit, --offline answers from there.
Sources from git, tarballs and Debian packages are in no such registry; the audit says how many it cannot speak for.

Exit: 0 nothing found, 1 something found")]
pub(super) struct Audit {}

impl Audit {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let audit = common.with_desk(Reasons::Summed, pipeline::audit)?;
        if common.mode() == Mode::Json {
            for finding in &audit.findings {
                terminal::data(&as_json(finding).to_string());
            }
            let summary = json!({
                "event": "audited",
                "checked": audit.checked,
                "findings": audit.findings.len(),
                "not_covered": { "sources": audit.unspoken, "debian_packages": audit.packages },
            });
            terminal::data(&summary.to_string());
            return Ok(u8::from(!audit.findings.is_empty()));
        }
        if !audit.findings.is_empty() {
            let head = ["package", "version", "app", "matter", "severity", "about"];
            let head = head.map(str::to_owned).to_vec();
            let rows = audit.findings.iter().map(as_row);
            let table: Vec<_> = std::iter::once(head).chain(rows).collect();
            terminal::data(&terminal::table(&table));
        }
        if common.mode() == Mode::People {
            terminal::talk(&format!(
                "{} of {} releases of hex packages have findings",
                affected(&audit.findings),
                audit.checked
            ));
            terminal::talk(&format!(
                "not covered: {} sources that are no hex packages{}, {} Debian packages of the toolchain",
                audit.unspoken.len(),
                named(&audit.unspoken),
                audit.packages
            ));
        }
        Ok(u8::from(!audit.findings.is_empty()))
    }
}

/// Names a few of what the audit cannot speak for.
fn named(names: &[String]) -> String {
    const NAMES_MAX: usize = 8;
    match names.len() {
        0 => String::new(),
        1..=NAMES_MAX => format!(" ({})", names.join(", ")),
        _ => format!(" ({} …)", names[..NAMES_MAX].join(", ")),
    }
}

fn affected(findings: &[Finding]) -> usize {
    let releases: std::collections::BTreeSet<_> =
        findings.iter().map(|finding| (finding.role, &finding.app)).collect();
    releases.len()
}

fn as_row(finding: &Finding) -> Vec<String> {
    let (matter, severity, about) = match &finding.matter {
        Matter::Retired(reason) => ("retired".to_owned(), "-", reason.clone()),
        Matter::Gone => ("gone".to_owned(), "-", "the registry no longer has it".to_owned()),
        Matter::Advisory(advisory) => (
            advisory.id.clone(),
            advisory.severity.unwrap_or("-"),
            format!("{} {}", advisory.summary, advisory.url).trim().to_owned(),
        ),
    };
    vec![
        finding.package.clone(),
        finding.version.clone(),
        finding.app.clone(),
        matter,
        severity.to_owned(),
        about,
    ]
}

fn as_json(finding: &Finding) -> Value {
    let (matter, about) = match &finding.matter {
        Matter::Retired(reason) => ("retired", json!({ "reason": reason })),
        Matter::Gone => ("gone", Value::Null),
        Matter::Advisory(found) => ("advisory", advisory(found)),
    };
    json!({
        "event": "finding",
        "package": finding.package,
        "version": finding.version,
        "app": finding.app,
        "role": finding.role.name(),
        "matter": matter,
        "about": about,
    })
}

/// An advisory as scripts read it.
pub(super) fn advisory(advisory: &Advisory) -> Value {
    let Advisory { id, summary, url, severity, aliases } = advisory;
    json!({ "id": id, "summary": summary, "url": url, "severity": severity, "aliases": aliases })
}
