//! Referrers: what a registry itself lists about an image, page by page (OCI distribution specification 1.1).

use super::PushError;
use super::listing::{Entry, INDEX_TYPE};
use super::papers::{Repository, ask};
use super::url::Url;
use crate::digest::Digest;
use crate::http::{Answer, Method, Sent};
use crate::limits::DOCUMENT_BYTES_MAX;

/// Pages in which a registry may tell its list.
const PAGES_MAX: u32 = 100;

/// A page of the registry's own list.
struct Page {
    lines: Vec<Entry>,
    /// The address of the next page, where there is one.
    next: Option<String>,
}

impl Repository<'_> {
    /// Asks the registry for its own list; `None` from a registry that keeps none.
    pub(super) fn referrers(&self, image: Digest) -> Result<Option<Vec<Entry>>, PushError> {
        let mut url = self.session.url(&format!("referrers/{image}"));
        let mut lines = Vec::new();
        for number in 0..PAGES_MAX {
            let Some(page) = self.page(&url)? else {
                let what = || format!("page {} of its list of documents is none", number + 1);
                return if number == 0 { Ok(None) } else { Err(self.session.strange(what())) };
            };
            lines.extend(page.lines);
            self.bounded(lines.len())?;
            let Some(next) = page.next else { return Ok(Some(lines)) };
            url = next;
        }
        Err(self.session.strange(format!("its list of documents has more than {PAGES_MAX} pages")))
    }

    /// Asks for a page of the registry's own list.
    fn page(&self, url: &str) -> Result<Option<Page>, PushError> {
        let name = "the list of documents";
        let ask = ask(Method::Get, name, url, &[], Sent::Nothing);
        let found = self.session.again(name, || {
            let mut answer = self.session.call_within(&ask, DOCUMENT_BYTES_MAX)?;
            let kind = answer.headers.get("content-type").map_or("", String::as_str);
            // Registries without the list answer as they please: with an error, or with a page.
            if answer.status != 200 || !kind.starts_with(INDEX_TYPE) {
                return Ok(None);
            }
            let next = self.next(&answer)?;
            Ok(Some((self.read(name, &mut answer)?, next)))
        })?;
        let Some((bytes, next)) = found else { return Ok(None) };
        Ok(Some(Page { lines: self.index(&bytes)?.manifests.unwrap_or_default(), next }))
    }

    /// Returns where an answer says that its list goes on: in a header `Link` with `rel="next"` (RFC 8288).
    fn next(&self, answer: &Answer) -> Result<Option<String>, PushError> {
        let links = answer.headers.get("link").map_or("", String::as_str);
        let Some(target) = links.split(',').find_map(next_in) else { return Ok(None) };
        let here = self.session.admitted(&answer.url)?;
        let url = here.join(target);
        // Who asks is said to nobody else.
        let url = url.filter(|url| Url::parse(url).is_some_and(|there| there.same_server(&here)));
        let strange = || self.session.strange("its list of documents goes on elsewhere".into());
        Ok(Some(url.ok_or_else(strange)?))
    }
}

/// Returns where one link of a header leads, if it leads to the next page.
fn next_in(link: &str) -> Option<&str> {
    let (target, how) = link.split_once('>')?;
    let is_next = |how: &str| matches!(how.trim(), "rel=\"next\"" | "rel=next");
    how.split(';').any(is_next).then(|| target.trim_start().strip_prefix('<'))?
}
