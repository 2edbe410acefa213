//! `rebeam lock --from-nix`.

use std::path::Path;

use serde_json::json;
use thiserror::Error;

use super::Common;
use crate::disk;
use crate::explain::{Explain, Failure};
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::lock::read_nix;
use crate::pipeline::{self, Proof, Verdict};
use crate::terminal::{self, Mode, Reasons};

/// The expression pins nothing that could be proved.
#[derive(Debug, Error)]
#[error("`{file}` has no `fetchFromGitHub {{ … }}`")]
struct NoPins {
    file: String,
}

impl Explain for NoPins {
    fn hint(&self) -> Option<String> {
        Some("it must be the expression that pins the sources, with `owner`, `repo`, `rev` and `sha256`".into())
    }
}

/// Proves every pin of the expression in `file`: exit 1 if one differs or cannot be read, 3 if one cannot be fetched.
pub(super) fn prove(common: &Common, file: &Path) -> Result<u8, Failure> {
    let pins = read_nix(&disk::read_text(file, TEXT_FILE_BYTES_MAX)?);
    if pins.is_empty() {
        return Err(NoPins { file: file.display().to_string() }.into());
    }
    let proofs = common.with_desk(Reasons::Summed, |desk| pipeline::prove(desk, &pins))?;
    let count = |is: fn(&Verdict) -> bool| proofs.iter().filter(|proof| is(&proof.verdict)).count();
    let equal = count(|verdict| *verdict == Verdict::Equal);
    let unreachable = count(|verdict| matches!(verdict, Verdict::Unreachable(_)));
    if common.mode() == Mode::Json {
        for proof in &proofs {
            terminal::data(&as_json(proof).to_string());
        }
    } else {
        let head = ["repository", "rev", "in nix", "verdict"].map(str::to_owned).to_vec();
        let rows: Vec<_> = std::iter::once(head).chain(proofs.iter().map(as_row)).collect();
        terminal::data(&terminal::table(&rows));
        if common.mode() == Mode::People {
            terminal::talk(&format!("{equal} of {} pins are equal", proofs.len()));
        }
    }
    Ok(match proofs.len() - equal {
        0 => 0,
        others if others == unreachable => 3,
        _ => 1,
    })
}

fn as_row(proof: &Proof) -> Vec<String> {
    let (revision, hash) = match &proof.pin.pinned {
        Ok((revision, hash)) => (revision.clone(), hash.sri()),
        Err(_) => ("?".to_owned(), "?".to_owned()),
    };
    let verdict = match &proof.verdict {
        Verdict::Equal => "equal".to_owned(),
        Verdict::Different(found) => {
            let remark = proof.remark.map(|remark| format!(" ({remark})")).unwrap_or_default();
            format!("different: {}{remark}", found.sri())
        }
        Verdict::Unreachable(why) => format!("not fetched: {}", why.replace('\n', " ")),
        Verdict::Unread(why) => format!("not read, line {}: {why}", proof.pin.line),
    };
    vec![proof.pin.repository.clone(), revision, hash, verdict]
}

fn as_json(proof: &Proof) -> serde_json::Value {
    let (verdict, found, why) = match &proof.verdict {
        Verdict::Equal => ("equal", proof.pin.pinned.as_ref().ok().map(|(_, hash)| *hash), None),
        Verdict::Different(found) => ("different", Some(*found), None),
        Verdict::Unreachable(why) => ("not_fetched", None, Some(why)),
        Verdict::Unread(why) => ("not_read", None, Some(why)),
    };
    let pinned = proof.pin.pinned.as_ref().ok();
    json!({
        "event": "nix_pin",
        "line": proof.pin.line,
        "repository": proof.pin.repository,
        "rev": pinned.map(|(revision, _)| revision),
        "hash": pinned.map(|(_, hash)| hash.sri()),
        "verdict": verdict,
        "found": found.map(|found| found.sri()),
        "why": why,
        "remark": proof.remark,
    })
}
