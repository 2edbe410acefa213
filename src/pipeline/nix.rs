//! Nix: what a Nix expression pins, fetched and compared with its content hashes.

use super::Desk;
use crate::digest::Digest;
use crate::disk;
use crate::each::each;
use crate::explain::{Blame, Explain as _, Failure};
use crate::fetch::FetchError;
use crate::limits::{DOWNLOADS_MAX, TEXT_FILE_BYTES_MAX};
use crate::lock::NixPin;
use crate::store::HeldTree;

/// A pin of a Nix expression beside what its repository has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The pin.
    pub pin: NixPin,
    /// What came of it.
    pub verdict: Verdict,
    /// What may make the two differ without anybody's fault.
    pub remark: Option<&'static str>,
}

/// What came of a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The commit's content hash is the one that Nix recorded.
    Equal,
    /// It is this one.
    Different(Digest),
    /// The commit could not be had.
    Unreachable(String),
    /// The expression does not say plainly what it pins.
    Unread(String),
}

/// Fetches what each pin names and compares content hashes.
///
/// What cannot be fetched is a verdict too. Only an error of this machine ends the work.
pub fn prove(desk: &Desk<'_>, pins: &[NixPin]) -> Result<Vec<Proof>, Failure> {
    let doors = desk.doors();
    let width = desk.jobs.max(DOWNLOADS_MAX);
    let proofs = each(pins, width, |pin| {
        let (revision, hash) = match &pin.pinned {
            Ok(pinned) => pinned,
            Err(why) => {
                let verdict = Verdict::Unread(why.clone());
                return Ok(Proof { pin: pin.clone(), verdict, remark: None });
            }
        };
        let (verdict, remark) = match doors.take_git(&pin.url(), revision) {
            Ok(held) if held.digest() == *hash => (Verdict::Equal, None),
            Ok(held) => (Verdict::Different(held.digest()), remark(&held)?),
            Err(FetchError::Store(error)) => return Err(error.into()),
            Err(error) if error.blame() == Blame::Bug => return Err(error.into()),
            Err(error) => (Verdict::Unreachable(Failure::from(error).messages().join(": ")), None),
        };
        Ok::<_, Failure>(Proof { pin: pin.clone(), verdict, remark })
    })?;
    desk.store.settle()?;
    Ok(proofs)
}

/// Nix hashes the archive that the server packs; the repository itself can say that this is not the commit's files.
fn remark(tree: &HeldTree) -> Result<Option<&'static str>, Failure> {
    if disk::exists(&tree.path().join(".gitmodules")) {
        return Ok(Some("it has submodules, which the server's archive leaves out"));
    }
    let attributes = tree.path().join(".gitattributes");
    if !disk::exists(&attributes) {
        return Ok(None);
    }
    let text = disk::read(&attributes, TEXT_FILE_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&text);
    let alters = text.contains("export-ignore") || text.contains("export-subst");
    Ok(alters.then_some("its .gitattributes let the server's archive differ from the commit"))
}
