//! Pipeline: lock, build, run: each verb as the handful of stages that it is made of.

mod asked;
mod base;
mod build;
mod carry;
mod configs;
mod doctor;
mod evidence;
mod explain;
mod foreign;
mod gates;
mod hex;
mod lacking;
mod load;
mod lock;
mod makefiles;
mod mix;
mod modules;
mod news;
mod nix;
mod packages;
mod ports;
mod platforms;
mod pull;
mod push;
mod quick;
mod rooms;
mod said;
mod services;
mod signatures;
mod stays;
mod tools;
mod verify;

use std::path::Path;

pub use asked::AskedFailure;
pub use build::{BuildOptions, Freshness, Packed, build, default_output};
pub use carry::{Arrived, Dock, Exported, LockFate, export_bundle, import_bundle, vendor};
pub use doctor::examine;
pub use evidence::{AttachFailure, Backing};
pub use explain::{Explained, NothingKnown, explain};
pub use foreign::{Built, Layout, build_platforms, outputs};
pub use gates::GateFailure;
pub use hex::{RepositoryFailure, repositories};
pub use lacking::LackingFailure;
pub use load::{LoadFailure, load};
pub use lock::{LockFailure, Update, check, lock};
pub use modules::ModuleFailure;
pub use news::{Audit, Finding, Matter, Outlook, audit, outdated};
pub use nix::{Proof, Verdict, prove};
pub use platforms::PlatformFailure;
pub use ports::{Port, PortFailure};
pub use pull::{Opened, is_reference, open_image};
pub use push::{PushWish, push, push_files};
pub use quick::fingerprint;
pub use rooms::{BootFailure, Ran, RunFailure, RunWish, Seen, run, shell, shell_of_failed_step};
pub use services::{ServiceFailure, service_packages};
pub use signatures::{Checked, Given, sign_file, signature_file, signatures};
pub use verify::{
    Claim, Origin, Vary, Verified, VerifyFailure, VerifyOptions, find as find_origin, verify,
};

use crate::compile::Variation;
use crate::digest::Digest;
use crate::event::Observer;
use crate::explain::Failure;
use crate::fetch::hex::HexRepository;
use crate::fetch::{self, Cooldown, Doors};
use crate::http::{Http, Mirrors, Network};
use crate::manifest::Manifest;
use crate::registry::Credentials;
use crate::sandbox::Level;
use crate::store::Store;

/// What every verb works with.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The project's root, absolute.
    pub root: &'a Path,
    /// Its wishes.
    pub manifest: &'a Manifest,
    /// Where sources and results are kept.
    pub store: &'a Store,
    /// The way out.
    pub http: &'a Http,
    /// Where hex packages come from, in the order in which the repositories are asked.
    pub repositories: &'a [HexRepository],
    /// Where logins at registries are kept.
    pub credentials: &'a Credentials,
    /// Who hears of it.
    pub observer: &'a dyn Observer,
    /// What of the rooms is not as the recipe says; nothing, but where a build is verified.
    pub variation: Option<&'a Variation>,
    /// How strongly rooms are closed.
    pub level: Level,
    /// Things done at once.
    pub jobs: usize,
    /// The date of the image, where the environment says one (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
    /// The time of day in seconds since 1970: whether an index has expired, and nothing else.
    pub now: i64,
}

impl<'a> Desk<'a> {
    /// Returns how old must be what is pinned for the first time.
    fn cooldown(&self) -> Option<Cooldown> {
        let minimum_age_s = i64::try_from(self.manifest.lock.minimum_age_s).unwrap_or(i64::MAX);
        (minimum_age_s > 0).then_some(Cooldown { now: self.now, minimum_age_s })
    }

    /// Returns the way to sources.
    fn doors(&self) -> Doors<'a> {
        Doors {
            store: self.store,
            http: self.http,
            observer: self.observer,
            repositories: self.repositories.to_vec(),
            cooldown: self.cooldown(),
            vendor: self.manifest.lock.vendor.as_ref().map(|place| self.root.join(place)),
        }
    }
}

/// Returns the content hash of a commit's tree: of `URL#COMMIT`.
pub fn hash_git(
    address: &str,
    store: &Store,
    network: Network,
    observer: &dyn Observer,
) -> Result<Digest, Failure> {
    let http = Http::new(network, Mirrors::default());
    Ok(fetch::hash_git(address, &Doors::new(store, &http, observer))?)
}
