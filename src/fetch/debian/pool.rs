//! Pool: where package files stand, and whether they do.

use std::path::Path;

use crate::each::each;
use crate::event::Observer;
use crate::http::{Call, Http, HttpError, Method, Request};
use crate::limits::{DEB_BYTES_MAX, DOWNLOADS_MAX};
use crate::lock::Deb;

use super::DebianError;
use super::mirror::Mirror;

/// Fetches a package file to the new file `into`, from the first address that has it.
///
/// A mirror may hold less than the primary; which of them gave the bytes does not matter, for they are
/// checked against the lock.
pub(super) fn download(
    deb: &Deb,
    into: &Path,
    (http, observer): (&Http, &dyn Observer),
) -> Result<(), DebianError> {
    let name = format!("{} {}", deb.package, deb.version);
    let mut first_error = None;
    for base in Mirror::of_suite(&deb.suite).bases(http)? {
        let request = Request {
            name: &name,
            url: &format!("{base}/{}", deb.path),
            limit: deb.size.min(DEB_BYTES_MAX),
            headers: &[],
        };
        match http.download(&request, into, observer) {
            Ok(_) => return Ok(()),
            Err(error @ HttpError::Disk(_)) => return Err(error.into()),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    match first_error.expect("there is always the primary") {
        error if error.is_gone() => Err(DebianError::Left {
            package: deb.package.clone(),
            version: deb.version.clone(),
            source: Box::new(error),
        }),
        error => Err(error.into()),
    }
}

/// Returns those packages of which the pool says that it does not have them.
///
/// Whatever else it answers is no reason to do without one: the download will tell.
pub(super) fn lacking<'a>(
    debs: &'a [Deb],
    (http, observer): (&Http, &dyn Observer),
) -> Result<Vec<&'a Deb>, DebianError> {
    let is_lacking = each(debs, DOWNLOADS_MAX, |deb| {
        let base = Mirror::of_suite(&deb.suite).base(http)?;
        let url = format!("{base}/{}", deb.path);
        let is_local = !http.mirrors().rewrite(&url).starts_with("http");
        if is_local {
            return Ok(false);
        }
        let request = Request { name: &deb.package, url: &url, limit: 0, headers: &[] };
        let call = Call { method: Method::Head, request, body: &[] };
        let answer = http.exchange(&call, observer)?;
        Ok::<_, DebianError>(matches!(answer.status, 404 | 410))
    })?;
    let lacking = debs.iter().zip(is_lacking).filter(|(_, is_lacking)| *is_lacking);
    Ok(lacking.map(|(deb, _)| deb).collect())
}
