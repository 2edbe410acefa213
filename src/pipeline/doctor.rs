//! Doctor: what this machine allows, looked at one by one.

use crate::event::Silent;
use crate::explain::Explain as _;
use crate::fetch::debian;
use crate::http::{Http, Mirrors, Network, Request};
use crate::sandbox::{self, Finding};
use crate::store::Store;

/// Bytes that a toolchain and the results of a few projects take.
const DISK_BYTES_WANTED: u64 = 4 << 30;

/// Looks at kernel, namespaces, disk and network.
pub fn examine(store: &Store, network: Network) -> Vec<Finding> {
    let mut findings = sandbox::probe();
    findings.push(disk(store));
    findings.push(reach(network));
    findings
}

fn disk(store: &Store) -> Finding {
    let place = store.root().display();
    let (ok, says) = match crate::disk::free_bytes(store.root()) {
        Ok(free) => (
            free >= DISK_BYTES_WANTED,
            format!("{} MB free for the store at `{place}`", free / 1_000_000),
        ),
        Err(error) => (false, error.to_string()),
    };
    let remedy =
        (!ok).then(|| "`rebeam store gc`, or a store on another disk: `--store DIR`".to_owned());
    Finding { name: "disk", ok, says, remedy }
}

/// Asks Debian's archive for the smallest thing it has.
fn reach(network: Network) -> Finding {
    let http = Http::new(network, Mirrors::default());
    let base = match debian::base_address(&http) {
        Ok(base) => base,
        Err(error) => {
            return Finding {
                name: "network",
                ok: false,
                says: error.to_string(),
                remedy: error.hint(),
            };
        }
    };
    let url = format!("{base}/dists/stable/InRelease");
    let request = Request { name: "InRelease", url: &url, limit: 4 << 20, headers: &[] };
    let (ok, says) = match http.get(&request, &Silent) {
        Ok(_) => (true, format!("`{base}` answers")),
        Err(error) => (false, error.to_string()),
    };
    let remedy = (!ok).then(|| {
        "look at proxy, DNS and SSL_CERT_FILE, or name a mirror in `[mirrors]`".to_owned()
    });
    Finding { name: "network", ok, says, remedy }
}
