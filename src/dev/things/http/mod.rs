//! HTTP: the services of Mainflux with the routes, statuses and bodies that they had, each by itself and all behind
//! one gateway, as its nginx had them.

mod about;
mod bootstrap;
mod entries;
mod input;
mod messages;
mod output;
mod users;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use tokio::sync::Semaphore;

use super::model::Model;
use super::wrong::{Result, Wrong};
use crate::dev::broker::Handle;
use crate::limits::{THINGS_HASHES_MAX, THINGS_HASHES_WAITING_MAX};

/// What every handler reaches.
pub(super) struct Service {
    pub(super) model: Arc<Model>,
    pub(super) broker: Handle,
    /// What secure bootstrap closes configurations with.
    pub(super) bootstrap_key: Vec<u8>,
    hashes: Semaphore,
    waiting: Semaphore,
    requests: AtomicU64,
}

/// A service of Mainflux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Users,
    Things,
    Auth,
    Adapter,
    Bootstrap,
    Reader,
    /// All of them, the adapter below `/http`.
    Gateway,
}

type Routes = Router<Arc<Service>>;

impl Service {
    pub(super) fn new(model: Arc<Model>, broker: Handle, bootstrap_key: Vec<u8>) -> Arc<Self> {
        Arc::new(Self {
            model,
            broker,
            bootstrap_key,
            hashes: Semaphore::new(THINGS_HASHES_MAX),
            waiting: Semaphore::new(THINGS_HASHES_MAX + THINGS_HASHES_WAITING_MAX),
            requests: AtomicU64::new(0),
        })
    }

    /// Asks the model, away from what must not wait.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Model) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let model = Arc::clone(&self.model);
        let answer = tokio::task::spawn_blocking(move || question(&model));
        answer.await.unwrap_or(Err(Wrong::Broken))
    }

    /// Asks for something that hashes a password: few at once, and few that wait.
    async fn ask_slowly<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Model) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        const MANY: Wrong = Wrong::Busy("too many passwords are being looked at; try again");
        let _waiting = self.waiting.try_acquire().map_err(|_| MANY)?;
        let _turn = self.hashes.acquire().await.map_err(|_| MANY)?;
        self.ask(question).await
    }
}

/// The routes of a service.
pub(super) fn router(part: Part, service: &Arc<Service>) -> Router {
    let routes = match part {
        Part::Users => users::routes(),
        Part::Things => entries::routes(),
        Part::Auth => entries::auth_routes(),
        Part::Adapter => messages::adapter_routes(""),
        Part::Bootstrap => bootstrap::routes(),
        Part::Reader => messages::reader_routes(),
        Part::Gateway => users::routes()
            .merge(entries::routes())
            .merge(entries::auth_routes())
            .merge(messages::adapter_routes("/http"))
            .merge(bootstrap::routes())
            .merge(messages::reader_routes()),
    };
    let counted = axum::middleware::from_fn_with_state(Arc::clone(service), about::count);
    routes.merge(about::routes(part)).layer(counted).with_state(Arc::clone(service))
}
