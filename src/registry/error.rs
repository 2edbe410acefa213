//! What can go wrong between an image file and a registry.

use std::path::PathBuf;

use thiserror::Error;

use super::reference::is_loopback;
use crate::digest::Digest;
use crate::explain::{Blame, Explain};
use crate::http::HttpError;
use crate::image::ImageError;

/// An image could not be pushed. Where one of these is told, nothing was claimed to be pushed.
#[derive(Debug, Error)]
pub enum PushError {
    /// A text names no place in a registry.
    #[error("`{text}` names no place in a registry: {what}")]
    BadReference {
        /// The text.
        text: String,
        /// What is wrong.
        what: String,
    },
    /// The image's own name says nothing about a registry, and nobody else did.
    #[error("the image's name `{name}` says no registry to push it to")]
    NoRegistry {
        /// The name.
        name: String,
    },
    /// Blobs are mounted within one registry only.
    #[error("`{from}` is not in `{registry}`, and blobs are mounted within one registry only")]
    BadMount {
        /// What was named.
        from: String,
        /// The registry that the image goes to.
        registry: String,
    },
    /// The file is an image, but not one that rebeam made.
    #[error("`{}` is an image that rebeam did not make", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The network is closed.
    #[error("nothing is pushed to `{host}`: the network is closed")]
    Offline {
        /// The registry.
        host: String,
    },
    /// No connection, or it broke again and again.
    #[error("the way to `{url}` broke at `{name}`")]
    Unreachable {
        /// What was being sent or asked for.
        name: String,
        /// The address.
        url: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The registry's certificate is not trusted.
    #[error("the certificate of `{url}` is not trusted, so nothing was sent")]
    Untrusted {
        /// The address.
        url: String,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// The registry fails again and again.
    #[error("`{url}` answers with status {status} for `{name}`, again and again")]
    Failing {
        /// What was being sent or asked for.
        name: String,
        /// The address.
        url: String,
        /// The last status.
        status: u16,
    },
    /// The registry wants to know who asks.
    #[error("`{host}` lets nobody push to `{repository}` without a login{}", because(says))]
    NoLogin {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
        /// Its words.
        says: String,
    },
    /// The registry does not accept who asks.
    #[error("`{host}` does not accept the login of `{user}` from {source_of}{}", because(says))]
    BadLogin {
        /// The registry, or the server that makes its tokens.
        host: String,
        /// Who.
        user: String,
        /// Where the login stands.
        source_of: String,
        /// Its words.
        says: String,
    },
    /// Who asks may not push there.
    #[error("`{host}` does not allow a push to `{repository}`{}", because(says))]
    Denied {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
        /// Its words.
        says: String,
    },
    /// The repository does not exist, and the registry does not make it.
    #[error("`{host}` knows no repository `{repository}`{}", because(says))]
    UnknownRepository {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
        /// Its words.
        says: String,
    },
    /// The registry, or a proxy before it, takes nothing so large.
    #[error("`{host}` refuses `{name}`: its {bytes} bytes are too many for it")]
    TooLarge {
        /// The registry.
        host: String,
        /// What was sent.
        name: String,
        /// Its bytes.
        bytes: u64,
    },
    /// The registry refuses.
    #[error("`{host}` refuses `{name}` with status {status}{}", because(says))]
    Refused {
        /// The registry.
        host: String,
        /// What was sent or asked for.
        name: String,
        /// The status.
        status: u16,
        /// Its words.
        says: String,
    },
    /// The registry says another digest than ours.
    #[error("`{host}` took something else for `{name}`\n  ours:   {ours}\n  theirs: {theirs}")]
    WrongDigest {
        /// The registry.
        host: String,
        /// What was sent.
        name: String,
        /// Its digest.
        ours: Digest,
        /// What the registry says.
        theirs: String,
    },
    /// The registry has a blob of this digest with another length.
    #[error("`{host}` holds `{name}` ({digest}) with {theirs} bytes instead of {ours}")]
    WrongLength {
        /// The registry.
        host: String,
        /// The blob.
        name: String,
        /// Its digest.
        digest: Digest,
        /// Its bytes.
        ours: u64,
        /// What the registry says.
        theirs: u64,
    },
    /// From one address to the next without end.
    #[error("`{url}` redirects without end, at `{name}`")]
    Redirects {
        /// Where it began.
        url: String,
        /// What was being sent or asked for.
        name: String,
    },
    /// The registry sends from a closed connection to an open one.
    #[error("`{host}` sends to `{url}`, which is not encrypted")]
    Downgrade {
        /// The registry.
        host: String,
        /// The address.
        url: String,
    },
    /// The registry names a place for tokens that gets no credentials.
    #[error("`{host}` asks to fetch a token from `{realm}`: {what}")]
    BadRealm {
        /// The registry.
        host: String,
        /// The address.
        realm: String,
        /// Why it is not asked.
        what: &'static str,
    },
    /// An answer that no registry gives.
    #[error("`{host}` does not answer as a registry does: {what}")]
    BadAnswer {
        /// The registry.
        host: String,
        /// What is strange.
        what: String,
    },
    /// A repository has no image of this name.
    #[error("`{host}` has no image `{reference}`")]
    NoImage {
        /// The registry.
        host: String,
        /// Repository, and tag or digest.
        reference: String,
    },
    /// Docker's configuration cannot be read.
    #[error("`{}` cannot be read: {what}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// The program that keeps credentials is not there.
    #[error("`{}` wants `{program}` to be asked for the credentials of `{host}`, and it cannot be started", path.display())]
    NoProgram {
        /// The configuration that names it.
        path: PathBuf,
        /// The program.
        program: String,
        /// The registry.
        host: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The program that keeps credentials failed.
    #[error("`{program} get` gave no credentials for `{host}`: {says}")]
    ProgramFailed {
        /// The program.
        program: String,
        /// The registry.
        host: String,
        /// What it said.
        says: String,
    },
    /// The program that keeps credentials did not end.
    #[error("`{program} get` gave no credentials for `{host}` within {ms} ms and was stopped")]
    ProgramHangs {
        /// The program.
        program: String,
        /// The registry.
        host: String,
        /// How long it had.
        ms: u64,
    },
    /// The image file refused.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The web refused in another way.
    #[error(transparent)]
    Http(HttpError),
}

pub(super) fn because(says: &str) -> String {
    if says.is_empty() { String::new() } else { format!(": {says}") }
}

impl From<HttpError> for PushError {
    /// What `http` says about fetching is said here about sending.
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Offline { url, .. } => {
                let host = url.split('/').nth(2).unwrap_or(&url).to_owned();
                Self::Offline { host }
            }
            HttpError::Unreachable { name, url, source } => {
                Self::Unreachable { name, url: place(&url), source }
            }
            HttpError::Untrusted { url, source, .. } => {
                Self::Untrusted { url: place(&url), source }
            }
            HttpError::Status { name, url, status } => {
                Self::Failing { name, url: place(&url), status }
            }
            HttpError::Redirects { name, url } => Self::Redirects { url: place(&url), name },
            other => Self::Http(other),
        }
    }
}

impl Explain for PushError {
    fn blame(&self) -> Blame {
        match self {
            Self::BadReference { .. } | Self::NoRegistry { .. } | Self::BadMount { .. } => {
                Blame::Usage
            }
            Self::NotOurs { .. } | Self::Config { .. } | Self::NoImage { .. } => Blame::User,
            Self::Image(error) => error.blame(),
            Self::Http(error) => error.blame(),
            _ => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::BadReference { .. } => "`HOST/REPOSITORY:TAG` names one, as in `rebeam push HOST/REPOSITORY:TAG`".into(),
            Self::NoRegistry { name } => format!(
                "say which: `rebeam push REGISTRY/{name}`, or write it before the name in `[image] name`"
            ),
            Self::BadMount { registry, .. } => format!("name a repository of `{registry}`"),
            Self::NotOurs { path } => format!(
                "any image goes with `skopeo copy oci-archive:{} docker://REF`",
                path.display()
            ),
            Self::Offline { .. } => "push without `--offline`".into(),
            Self::Unreachable { .. } | Self::Failing { .. } => {
                "what arrived is kept there; the same command goes on from it".into()
            }
            Self::Untrusted { .. } => {
                "if the registry has a certificate authority of its own, set SSL_CERT_FILE to its PEM file".into()
            }
            Self::NoLogin { host, .. } | Self::BadLogin { host, .. } => login(host),
            Self::Denied { host, .. } => {
                format!("look at the rights of the login that `docker login {host}` made")
            }
            Self::UnknownRepository { .. } => "make the repository there first, or look at its name".into(),
            Self::TooLarge { .. } => {
                "raise the limit of the registry or of the proxy before it (nginx: `client_max_body_size`)".into()
            }
            Self::Downgrade { .. } => {
                "tell the registry its own address (a proxy before it: `X-Forwarded-Proto: https`), or push with `--insecure`".into()
            }
            Self::NoProgram { path, .. } => {
                format!("install it, or take it out of `{}` and log in again", path.display())
            }
            Self::ProgramFailed { program, host, .. } | Self::ProgramHangs { program, host, .. } => {
                format!("`echo {host} | {program} get` shows what it does; {}", login(host))
            }
            Self::Config { path, .. } => format!("mend it, or move it away: `mv {0} {0}.old`", path.display()),
            Self::NoImage { .. } => "look at the name and the tag; `rebeam push` says them".into(),
            Self::Refused { .. } => {
                "those are its own words, and its log says more; once it takes this, the same command goes on".into()
            }
            Self::WrongDigest { .. } => {
                "use nothing of what stands there: the registry, or a proxy before it, changes what it is sent; push past the proxy, or to another registry".into()
            }
            Self::WrongLength { .. } => {
                "what it holds under this digest is not this image: have it removed there, or push to another repository".into()
            }
            Self::Redirects { url, .. } => format!(
                "`curl -sSIL {url}` shows the circle; tell the registry its own address (a proxy before it: `X-Forwarded-Proto: https`, its host)"
            ),
            Self::BadRealm { .. } => {
                "have the registry name its token server by its public name and https; in a network of one's own: `--insecure`".into()
            }
            Self::BadAnswer { host, .. } => format!(
                "look at who answers there, a registry or a page of a proxy: `curl -sSiL {}/v2/`", base(host)
            ),
            Self::Image(error) => return error.hint(),
            Self::Http(error) => return error.hint(),
        })
    }
}

/// Returns where the registry of this name is asked.
fn base(host: &str) -> String {
    match (host, is_loopback(host)) {
        ("docker.io", _) => "https://registry-1.docker.io".into(),
        (host, true) => format!("http://{host}"),
        (host, false) => format!("https://{host}"),
    }
}

pub(super) fn login(host: &str) -> String {
    match host {
        "docker.io" | "registry-1.docker.io" => "log in: `docker login`".into(),
        host => format!("log in: `docker login {host}`"),
    }
}

/// Returns an address without its parameters: where they lead to a storage, they are the key to it.
pub(super) fn place(url: &str) -> String {
    said(url.split(['?', '#']).next().unwrap_or_default())
}

/// Returns a stranger's words as they may be shown: one line, without control characters, not long.
pub(super) fn said(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|c| !c.is_control()).take(300).collect()
}
