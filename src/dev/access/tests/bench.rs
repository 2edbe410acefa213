//! Bench: a guard over a database, and questions to it in a line.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;

use super::cluster::Cluster;
use crate::dev::access::{
    Access, Admission, Attempt, Denial, Settings, Verdict, Who, guard, postgres_schema,
};
use crate::manifest::{AccessProvider, AccessWish};

/// A state directory, and a database elsewhere if the rules are in one.
pub(super) struct Database {
    state: TempDir,
    server: Option<(Arc<Cluster>, String)>,
}

/// Runs a claim over SQLite, and over PostgreSQL where one is installed.
pub(super) fn over_each(claim: impl AsyncFn(&Database)) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut databases = vec![Database::sqlite()];
    databases.extend(Cluster::shared().map(Database::postgres));
    for database in databases {
        runtime.block_on(claim(&database));
    }
}

pub(super) fn wish() -> AccessWish {
    AccessWish { provider: AccessProvider::Sql, ..AccessWish::default() }
}

impl Database {
    pub(super) fn sqlite() -> Self {
        Self { state: tempfile::tempdir().unwrap(), server: None }
    }

    pub(super) fn postgres(cluster: Arc<Cluster>) -> Self {
        let name = cluster.database(postgres_schema());
        Self { state: tempfile::tempdir().unwrap(), server: Some((cluster, name)) }
    }

    pub(super) fn is_postgres(&self) -> bool {
        self.server.is_some()
    }

    pub(super) fn state(&self) -> &Path {
        self.state.path()
    }

    pub(super) fn settings(&self, wish: AccessWish) -> Settings {
        let url = self.server.as_ref().map(|(cluster, name)| cluster.url(name));
        Settings::new(&AccessWish { url, ..wish }, self.state(), None).unwrap()
    }

    pub(super) fn guard(&self, wish: AccessWish) -> Arc<dyn Access> {
        guard(&self.settings(wish), self.state()).unwrap()
    }

    /// Changes the database as another program would.
    pub(super) fn sql(&self, sql: &str) {
        if let Some((cluster, name)) = &self.server {
            return cluster.sql(sql, name);
        }
        let connection = Connection::open(self.state().join("access.sqlite")).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    /// Asks for one text.
    pub(super) fn one(&self, sql: &str) -> String {
        if let Some((cluster, name)) = &self.server {
            let text = String::from_utf8(cluster.psql(sql, name).stdout).unwrap();
            return text.lines().nth(2).unwrap().trim().to_owned();
        }
        let connection = Connection::open(self.state().join("access.sqlite")).unwrap();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Puts rows in the place of those that are there.
    pub(super) fn rows(&self, acl: &str) {
        self.sql(&format!(
            "delete from mqtt_acl; insert into mqtt_acl (allow, ipaddr, username, clientid, access, topic) values {acl}"
        ));
    }

    /// Puts users in the place of those that are there.
    pub(super) fn users(&self, users: &str) {
        self.sql(&format!(
            "delete from mqtt_user; insert into mqtt_user (is_superuser, username, clientid, ipaddr, password, salt) \
             values {users}"
        ));
    }
}

fn peer(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), 4000)
}

/// Connects: `user password client address`, where `-` is nothing.
pub(super) async fn connect(guard: &Arc<dyn Access>, line: &str) -> Result<bool, (Denial, String)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [username, password, client_id, address] = words[..] else { panic!("{line}") };
    let given = |word| Some(word).filter(|word| *word != "-");
    let attempt = Attempt {
        client_id,
        username: given(username),
        password: given(password).map(str::as_bytes),
        peer: peer(address),
    };
    match guard.connect(&attempt).await {
        Admission::Allowed { is_superuser, .. } => Ok(is_superuser),
        Admission::Denied { code, rule } => Err((code, rule.to_string())),
    }
}

/// Asks: `user client address pub|sub topic`.
pub(super) async fn ask(guard: &Arc<dyn Access>, line: &str) -> Verdict {
    let words: Vec<&str> = line.split(' ').collect();
    let [username, client, address, action, topic] = words[..] else { panic!("{line}") };
    let who = Who {
        client_id: client.into(),
        username: Some(username).filter(|name| *name != "-").map(Into::into),
        peer: peer(address),
        is_superuser: false,
        identity: None,
    };
    match action {
        "pub" => guard.publish(&who, topic).await,
        "sub" => guard.subscribe(&who, topic).await,
        other => panic!("{other}"),
    }
}

pub(super) async fn allows(guard: &Arc<dyn Access>, line: &str) -> bool {
    ask(guard, line).await.is_allowed
}

/// Waits until the rules that were changed count, and says how long that took.
pub(super) async fn settled(guard: &Arc<dyn Access>, line: &str, is_allowed: bool) -> Duration {
    let begin = Instant::now();
    while allows(guard, line).await != is_allowed {
        assert!(begin.elapsed() < Duration::from_secs(5), "{line} stays {}", !is_allowed);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begin.elapsed()
}
