//! View: what a page or a test sees of a broker.

use std::sync::Arc;

use super::core::Core;
use super::tree;

/// A client's session as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// The client identifier.
    pub client_id: Arc<str>,
    /// The user's name.
    pub username: Option<Arc<str>>,
    /// Where it is, or was last, connected from.
    pub address: Arc<str>,
    /// 3, 4 or 5.
    pub protocol: u8,
    /// Whether it is connected.
    pub is_connected: bool,
    /// Seconds that it lives on without a connection.
    pub expiry_s: u32,
    /// Its filters with their qualities.
    pub subscriptions: Vec<(Arc<str>, u8)>,
    /// Messages that wait.
    pub waiting: usize,
    /// Bytes of payload that wait.
    pub waiting_bytes: usize,
    /// Deliveries that are not finished.
    pub open: usize,
    /// Messages that did not reach it.
    pub dropped: u64,
}

impl Core {
    /// Looks at up to `limit` sessions, in the order of their clients' names.
    pub(super) fn view_sessions(&self, limit: usize) -> Vec<SessionView> {
        let mut sessions: Vec<_> = self.sessions().values().cloned().collect();
        sessions.sort_by(|one, other| one.client_id.cmp(&other.client_id));
        sessions.truncate(limit);
        let view = |session: &Arc<super::session::Session>| {
            let state = session.lock();
            SessionView {
                client_id: Arc::clone(&session.client_id),
                username: state.client.username.clone(),
                address: Arc::clone(&state.client.address),
                protocol: state.version as u8,
                is_connected: state.is_connected,
                expiry_s: state.expiry_s,
                subscriptions: state
                    .subscriptions
                    .iter()
                    .map(|(filter, options)| (Arc::clone(filter), options.qos))
                    .collect(),
                waiting: state.waiting(),
                waiting_bytes: state.waiting_bytes(),
                open: state.open.len(),
                dropped: state.dropped,
            }
        };
        sessions.iter().map(view).collect()
    }
}

/// Tells whether a filter wants a topic; of a shared subscription it is the inner one.
pub fn filter_matches(filter: &str, topic: &str) -> bool {
    tree::matches(tree::inner(filter), topic)
}
