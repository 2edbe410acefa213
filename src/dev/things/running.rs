//! Running: things of one stack, opened before its broker and served after it.

use std::fmt;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::access::{Keeping, ThingAccess, Username};
use super::client::Credentials;
use super::http::{self, Part, Service};
use super::model::Model;
use super::view::View;
use crate::dev::access::Access;
use crate::dev::broker::Handle;
use crate::dev::web::{Guard, Web};
use crate::dev::{self, Bus, Client, DevError, Ports};
use crate::manifest::ThingsWish;

/// What Mainflux closes configurations with unless it is told otherwise.
const BOOTSTRAP_KEY: &str = "12345678910111213141516171819202";
const GATEWAY: (Part, &str, u16) = (Part::Gateway, "things", 8080);
/// The services by themselves, on Mainflux's ports.
const PARTS: [(Part, &str, u16); 6] = [
    (Part::Users, "things-users", 8180),
    (Part::Things, "things-api", 8182),
    (Part::Auth, "things-auth", 8989),
    (Part::Adapter, "things-http", 8185),
    (Part::Bootstrap, "things-bootstrap", 8202),
    (Part::Reader, "things-reader", 9204),
];

/// How things run.
#[derive(Clone)]
pub struct Setup {
    /// Whether things and channels decide who may connect and publish, and every service has a port of its own, as in
    /// Mainflux; else there is the gateway alone.
    pub is_mainflux: bool,
    /// What the name of an MQTT client counts for, where things decide.
    pub username: Username,
    /// Whether the gateway's standard port is left to somebody else.
    pub leaves_standard_port: bool,
    pub(super) bootstrap_key: String,
}

impl Default for Setup {
    fn default() -> Self {
        let bootstrap_key = BOOTSTRAP_KEY.to_owned();
        Self {
            is_mainflux: false,
            username: Username::default(),
            leaves_standard_port: false,
            bootstrap_key,
        }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Setup");
        shown.field("is_mainflux", &self.is_mainflux).field("username", &self.username);
        shown.finish_non_exhaustive()
    }
}

impl Setup {
    /// Reads what the manifest wishes; `is_mainflux` counts where it does not say who decides.
    ///
    /// # Errors
    /// Where `bootstrap_key` is of no length that AES has.
    pub fn new(
        wish: &ThingsWish,
        is_mainflux: bool,
        bootstrap_key: Option<String>,
    ) -> Result<Self, DevError> {
        let bootstrap_key = bootstrap_key.unwrap_or_else(|| BOOTSTRAP_KEY.to_owned());
        if !matches!(bootstrap_key.len(), 16 | 24 | 32) {
            return Err(DevError::BadBootstrapKey { bytes: bootstrap_key.len() });
        }
        let username = match wish.username_is_thing {
            true => Username::ThingId,
            false => Username::Ignored,
        };
        let is_mainflux = wish.decide.unwrap_or(is_mainflux);
        Ok(Self { is_mainflux, username, bootstrap_key, ..Self::default() })
    }
}

/// Things that are known, before anybody can ask.
pub struct Opened {
    model: Arc<Model>,
    access: Option<Arc<ThingAccess>>,
    setup: Setup,
    sockets: Vec<(Part, &'static str, TcpListener)>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opened").field("model", &self.model).finish_non_exhaustive()
    }
}

/// Things that are served. Call [`Things::stop`] to end it.
#[derive(Debug)]
pub struct Things {
    pub(super) model: Arc<Model>,
    decide: bool,
    webs: Vec<(&'static str, Web)>,
}

/// Ports of things, taken before anything is served.
#[derive(Debug)]
pub struct Sockets(pub(super) Vec<(Part, &'static str, TcpListener)>);

impl Sockets {
    /// Takes the gateway's port, and with `setup` those of all services.
    ///
    /// # Errors
    /// Where none is free.
    pub fn take(ports: &Ports, setup: &Setup) -> Result<Self, DevError> {
        let socket = |(part, name, port): (Part, &'static str, u16)| {
            let listener = match setup.leaves_standard_port && port == GATEWAY.2 {
                true => ports.stable_one(name)?,
                false => ports.standard_or_stable(name, port)?,
            };
            Ok((part, name, listener))
        };
        parts(setup).map(socket).collect::<Result<_, _>>().map(Self)
    }
}

/// The gateway, and with `setup` all services.
fn parts(setup: &Setup) -> impl Iterator<Item = (Part, &'static str, u16)> + use<> {
    let parts: &[_] = if setup.is_mainflux { &PARTS } else { &[] };
    std::iter::once(&GATEWAY).chain(parts).copied()
}

/// Returns the name and the standard port of each service.
pub fn standard(setup: &Setup) -> impl Iterator<Item = (&'static str, u16)> + use<> {
    parts(setup).map(|(_, name, port)| (name, port))
}

impl Opened {
    /// Opens what is kept in the directory `state`, with a first user whose password only the owner of that
    /// directory can read.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn open(state: &Path, bus: Bus, setup: Setup, sockets: Sockets) -> Result<Self, DevError> {
        let model = Arc::new(Model::open(state, bus)?);
        Credentials::have(state, |email, password| {
            let missing = !model.has_user(email).unwrap_or(true);
            if missing {
                // A stack that has no room for a user has them already.
                let _ = model.register_own(email, password);
            }
        })?;
        let access = setup
            .is_mainflux
            .then(|| Arc::new(ThingAccess::new(Arc::clone(&model), setup.username)));
        Ok(Self { model, access, setup, sockets: sockets.0 })
    }

    /// Returns who decides: things, or `inner`, whose messages are kept.
    pub fn access(&self, inner: Arc<dyn Access>) -> Arc<dyn Access> {
        match &self.access {
            Some(access) => Arc::<ThingAccess>::clone(access),
            None => Arc::new(Keeping::new(Arc::clone(&self.model), inner)),
        }
    }

    /// Returns what finds the thing behind a client.
    pub fn names(&self) -> impl Fn(&Client) -> Option<Arc<str>> + Send + Sync + 'static + use<> {
        let connected = self.access.as_ref().map(|access| access.connected());
        move |client| connected.as_ref()?.thing_of(client)
    }

    /// Serves all, with messages of HTTP going to `broker`, to whom `guard` lets in.
    ///
    /// # Errors
    /// Where a socket refuses.
    pub fn serve(self, broker: Handle, guard: &Guard) -> Result<Things, DevError> {
        let Self { model, access, setup, sockets } = self;
        let service = Service::new(Arc::clone(&model), broker, setup.bootstrap_key.into_bytes());
        let serve = |(part, name, socket)| {
            let router = http::router(part, &service);
            Ok::<_, DevError>((name, Web::guarded(name, socket, router, guard)?))
        };
        let webs = sockets.into_iter().map(serve).collect::<Result<_, _>>()?;
        Ok(Things { model, decide: access.is_some(), webs })
    }
}

impl Things {
    /// Returns what listens.
    pub fn services(&self) -> Vec<dev::Service> {
        let service =
            |(name, web): &(&str, Web)| dev::Service::new(name, web.address(), "http", "");
        self.webs.iter().map(service).collect()
    }

    /// Returns a way to look at them.
    pub fn view(&self) -> View {
        View::new(Arc::clone(&self.model), self.decide)
    }

    /// Answers what was asked, and ends.
    pub async fn stop(self) {
        for (_, web) in self.webs {
            web.stop().await;
        }
    }
}

/// Where the first user's credentials are.
pub(super) fn credentials_file(state: &Path) -> PathBuf {
    state.join("things-user.json")
}
