//! A registry on loopback that keeps what it is given and has the manners that a test wants.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::digest::Digest;
use crate::http::serve::{Asked, Reply, Server};
use crate::image::Contents;

/// What the registry has.
#[derive(Default)]
pub(super) struct Kept {
    /// Repository and digest, and the blob.
    pub(super) blobs: BTreeMap<(String, String), Vec<u8>>,
    /// Repository and tag, and the manifest.
    pub(super) manifests: BTreeMap<(String, String), Vec<u8>>,
    /// The header that opens it; `None` for a registry that is open to all.
    pub(super) key: Option<String>,
    /// What came in pieces so far.
    pub(super) pieces: Vec<u8>,
    /// Tokens that were made.
    pub(super) tokens: usize,
}

pub(super) struct Fake {
    pub(super) server: Server,
    pub(super) kept: Arc<Mutex<Kept>>,
}

impl Fake {
    pub(super) fn start() -> Self {
        Self::with(|_, _| None)
    }

    /// Starts a registry whose `quirk` answers in its place where it wants.
    pub(super) fn with(
        quirk: impl Fn(&Asked, &mut Kept) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        Self::refusing(|_| None, quirk)
    }

    /// Starts a registry that may refuse a body before it comes, too.
    pub(super) fn refusing(
        refuse: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static,
        quirk: impl Fn(&Asked, &mut Kept) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let own = Arc::clone(&kept);
        let server = Server::start_asked_first(refuse, move |asked, _| {
            let mut kept = own.lock().unwrap();
            quirk(asked, &mut kept).unwrap_or_else(|| kept.answer(asked))
        });
        Self { server, kept }
    }

    /// Demands this `Authorization` header from now on.
    pub(super) fn locked(self, key: &str) -> Self {
        self.kept.lock().unwrap().key = Some(key.into());
        self
    }

    /// Host and port.
    pub(super) fn host(&self) -> String {
        self.server.url("").trim_start_matches("http://").to_owned()
    }

    /// Returns method and path of all that was asked, without digests.
    pub(super) fn asked(&self, method: &str) -> Vec<String> {
        let asked = self.server.asked().into_iter().filter(|asked| asked.method == method);
        asked.map(|asked| asked.path).collect()
    }

    pub(super) fn tags(&self) -> BTreeSet<String> {
        let kept = self.kept.lock().unwrap();
        kept.manifests.keys().map(|(name, tag)| format!("{name}:{tag}")).collect()
    }
}

/// The challenge of a registry that makes its tokens itself.
pub(super) fn challenge(asked: &Asked) -> Reply {
    let host = &asked.headers["host"];
    let text = format!(
        r#"Bearer realm="http://{host}/token",service="fake",scope="repository:team/app:pull""#
    );
    Reply::status(401).header("WWW-Authenticate", &text)
}

impl Kept {
    fn answer(&mut self, asked: &Asked) -> Reply {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        if path == "/token" {
            self.tokens += 1;
            let token = self.key.as_deref().unwrap_or("Bearer any").trim_start_matches("Bearer ");
            return Reply::ok(format!(r#"{{"token":"{token}","expires_in":60}}"#));
        }
        let given = asked.headers.get("authorization");
        if self.key.is_some() && given != self.key.as_ref() {
            return challenge(asked);
        }
        let inside = path.strip_prefix("/v2/").unwrap_or_default();
        let Some((name, rest)) =
            inside.split_once("/blobs/").or_else(|| inside.split_once("/manifests/"))
        else {
            return Reply::status(404);
        };
        let key = (name.to_owned(), rest.to_owned());
        match (asked.method.as_str(), inside.contains("/manifests/")) {
            ("PUT", true) => {
                let digest = Digest::of(&asked.body).to_string();
                self.manifests.insert(key, asked.body.clone());
                Reply::status(201).header("Docker-Content-Digest", &digest)
            }
            (_, true) => self.manifests.get(&key).map_or(Reply::status(404), |manifest| {
                let digest = Digest::of(manifest).to_string();
                Reply::ok(manifest.clone()).header("Docker-Content-Digest", &digest)
            }),
            ("POST", _) => Reply::status(202)
                .header("Location", &format!("/v2/{name}/blobs/uploads/1?state=a%3D")),
            ("PATCH", _) => {
                let from = asked.headers["content-range"].split('-').next().unwrap();
                if from.parse() != Ok(self.pieces.len()) {
                    return Reply::status(416);
                }
                self.pieces.extend(&asked.body);
                let end = self.pieces.len() - 1;
                Reply::status(202)
                    .header("Location", &format!("/v2/{name}/blobs/uploads/1?state=a%3D"))
                    .header("Range", &format!("0-{end}"))
            }
            ("GET", _) if rest.starts_with("uploads/") => {
                let end = self.pieces.len().saturating_sub(1);
                Reply::status(204).header("Range", &format!("0-{end}"))
            }
            ("PUT", _) if asked.body.is_empty() && !self.pieces.is_empty() => {
                let digest = query.rsplit("digest=").next().unwrap().replace("%3A", ":");
                let blob = std::mem::take(&mut self.pieces);
                if Digest::of(&blob).to_string() != digest {
                    return Reply::status(400);
                }
                self.blobs.insert((name.to_owned(), digest.clone()), blob);
                Reply::status(201).header("Docker-Content-Digest", &digest)
            }
            ("PUT", _) => {
                let digest = query.rsplit("digest=").next().unwrap().replace("%3A", ":");
                if Digest::of(&asked.body).to_string() != digest
                    || !query.starts_with("state=a%3D&")
                {
                    return Reply::status(400);
                }
                self.blobs.insert((name.to_owned(), digest.clone()), asked.body.clone());
                Reply::status(201).header("Docker-Content-Digest", &digest)
            }
            _ => self.blobs.get(&key).map_or(Reply::status(404), |blob| Reply::ok(blob.clone())),
        }
    }
}

/// An image file that looks as rebeam's do; what its layers hold no registry knows.
pub(super) struct Packed {
    _directory: tempfile::TempDir,
    pub(super) path: PathBuf,
    pub(super) contents: Contents,
}

pub(super) fn packed() -> Packed {
    let system: Vec<u8> =
        (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    packed_of(&[("system", &system), ("app", b"a small layer")])
}

pub(super) fn packed_of(layers: &[(&str, &[u8])]) -> Packed {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app-1.0.0.tar");
    write(&path, layers);
    let contents = Contents::read(&path).unwrap();
    contents.check().unwrap();
    Packed { _directory: directory, path, contents }
}

fn write(path: &Path, layers: &[(&str, &[u8])]) {
    use serde_json::json;
    let descriptor = |kind: &str, bytes: &[u8]| json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "digest": Digest::of(bytes), "size": bytes.len() });
    let member = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let history: Vec<_> = layers
        .iter()
        .map(|(name, _)| json!({ "created_by": format!("rebeam layer={name}") }))
        .collect();
    let config = json!({ "architecture": "amd64", "os": "linux", "history": history,
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|(_, bytes)| Digest::of(bytes)).collect::<Vec<_>>() } }).to_string();
    let layer = |(_, bytes): &(&str, &[u8])| descriptor("layer.v1.tar+gzip", bytes);
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", config.as_bytes()),
        "layers": layers.iter().map(layer).collect::<Vec<_>>() })
        .to_string();
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor("manifest.v1+json", manifest.as_bytes())] });
    let docker = json!([{ "Config": member(config.as_bytes()), "RepoTags": ["team/app:1.0.0"],
        "Layers": layers.iter().map(|(_, bytes)| member(bytes)).collect::<Vec<_>>() }]);
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    let mut put = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    put("index.json", index.to_string().as_bytes());
    put("manifest.json", docker.to_string().as_bytes());
    let documents = [config.as_bytes(), manifest.as_bytes()];
    for bytes in documents.into_iter().chain(layers.iter().map(|(_, bytes)| *bytes)) {
        put(&member(bytes), bytes);
    }
    tar.finish().unwrap();
}
