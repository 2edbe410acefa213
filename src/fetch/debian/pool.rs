//! Pool: where package files stand, and whether they do.

use crate::event::Observer;
use crate::http::{Call, Http, Method, Request};
use crate::limits::DOWNLOADS_MAX;
use crate::lock::Deb;

use super::DebianError;
use super::each::each;
use super::mirror::Mirror;

/// Returns a package file's address.
pub(super) fn address(deb: &Deb, http: &Http) -> Result<String, DebianError> {
    let base = Mirror::of_suite(&deb.suite).base(http)?;
    Ok(format!("{base}/{}", deb.path))
}

/// Returns those packages of which the pool says that it does not have them.
///
/// Whatever else it answers is no reason to do without one: the download will tell.
pub(super) fn lacking<'a>(
    debs: &'a [Deb],
    (http, observer): (&Http, &dyn Observer),
) -> Result<Vec<&'a Deb>, DebianError> {
    let is_lacking = each(debs, DOWNLOADS_MAX, |deb| {
        let url = address(deb, http)?;
        let is_local = !http.mirrors().rewrite(&url).starts_with("http");
        if is_local {
            return Ok(false);
        }
        let request = Request {
            name: &deb.package,
            url: &url,
            limit: 0,
            headers: &[],
        };
        let call = Call {
            method: Method::Head,
            request,
            body: &[],
        };
        let answer = http.exchange(&call, observer)?;
        Ok::<_, DebianError>(matches!(answer.status, 404 | 410))
    })?;
    let lacking = debs
        .iter()
        .zip(is_lacking)
        .filter(|(_, is_lacking)| *is_lacking);
    Ok(lacking.map(|(deb, _)| deb).collect())
}
