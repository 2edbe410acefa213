//! Pool: sources of Debian's archive, where that gives them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rebeam::digest::Digest;
use rebeam::event::Silent;
use rebeam::fetch::debian::base_address;
use rebeam::http::{Http, Mirrors, Network, Request};

const TARBALL_BYTES_MAX: u64 = 16 << 20;

/// A tarball of the archive: its path below `pool`, and what its bytes hash to.
#[derive(Clone, Copy)]
pub(crate) struct Tarball {
    pub(crate) path: &'static str,
    pub(crate) sha256: &'static str,
}

impl Tarball {
    /// Returns where the tarball lies; `None`, and a line that says so, where the archive does not give it.
    pub(crate) fn fetched(self) -> Option<PathBuf> {
        match self.fetch() {
            Ok(path) => Some(path),
            Err(why) => {
                // Not by a macro, whose output a passing test keeps for itself.
                let line =
                    format!("skipped: the archive does not give pool/{}: {why}\n", self.path);
                std::io::stderr().write_all(line.as_bytes()).unwrap();
                None
            }
        }
    }

    fn fetch(self) -> Result<PathBuf, String> {
        let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pool-cache");
        fs::create_dir_all(&cache).unwrap();
        let name = self.path.rsplit('/').next().unwrap();
        let path = cache.join(name);
        if path.exists() {
            return Ok(path);
        }
        let http = Http::new(Network::Open, Mirrors::default());
        let base = base_address(&http).map_err(|error| error.to_string())?;
        let url = format!("{base}/pool/{}", self.path);
        let request = Request { name, url: &url, limit: TARBALL_BYTES_MAX, headers: &[] };
        let thread = std::thread::current().id();
        let part = cache.join(format!(".{name}.{}.{thread:?}", std::process::id()));
        http.download(&request, &part, &Silent).map_err(|error| error.to_string())?;
        let found = Digest::of(&fs::read(&part).unwrap()).hex();
        assert_eq!(found, self.sha256, "{} is not the pinned one", self.path);
        fs::rename(&part, &path).unwrap();
        Ok(path)
    }

    /// Unpacks the tarball into `place`, without its topmost directory.
    pub(crate) fn unpack(self, place: &Path) -> Option<()> {
        let path = self.fetched()?;
        fs::create_dir_all(place).unwrap();
        let mut tar = Command::new("tar");
        let output =
            tar.arg("-xJf").arg(path).arg("-C").arg(place).arg("--strip=1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(())
    }
}
