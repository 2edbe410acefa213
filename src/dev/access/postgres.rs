//! PostgreSQL: rules in a real server, asked over a few connections that are made anew where they break.
//!
//! Changes are seen by `txid_current_snapshot()`, which moves with every transaction that wrote anything anywhere in
//! the server: no trigger has to be put into tables that are somebody else's, and no change passes unseen.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{StreamExt as _, pin_mut};
use tokio::sync::Semaphore;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::Answer;
use super::cell::Cell;
use super::error::AccessError;
use super::source::{
    CONNECTIONS_MAX, LOOK_AGAIN, QUESTION_MAX, ROWS_MAX, Rows, Source, Task, Trouble, too_many,
};
use super::tls::Encrypted;

const CONNECT_MAX: Duration = Duration::from_secs(1);
const WATCH_MAX: Duration = Duration::from_secs(1);
/// Statements that one connection keeps ready.
const STATEMENTS_MAX: usize = 16;
const SNAPSHOT: &str = "select txid_current_snapshot()::text";

/// A PostgreSQL database.
#[derive(Debug)]
pub(super) struct Postgres {
    shared: Arc<Shared>,
    _watch: Option<Task>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    places: Semaphore,
    idle: Mutex<Vec<Session>>,
    generation: AtomicU64,
    /// Why the server cannot be asked, as the watch saw it last.
    away: Mutex<Option<String>>,
}

/// One connection.
#[derive(Debug)]
struct Session {
    client: Client,
    statements: Vec<(String, Statement)>,
    _task: Task,
}

impl Postgres {
    /// Prepares to ask the database at `url`; nothing is sent yet.
    pub(super) fn new(url: &str) -> Result<Self, AccessError> {
        let mut config: Config = url.parse().map_err(AccessError::BadUrl)?;
        config.connect_timeout(CONNECT_MAX).application_name("rebeam");
        if config.get_options().is_none() {
            // What nobody waits for any more must not go on in the server.
            config.options(format!("-c statement_timeout={}", QUESTION_MAX.as_millis()));
        }
        let shared = Shared {
            config,
            places: Semaphore::new(CONNECTIONS_MAX),
            idle: Mutex::default(),
            generation: AtomicU64::new(0),
            away: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), _watch: None })
    }

    /// Begins to count changes, whoever makes them, and to see whether the server is there.
    pub(super) fn watched(self) -> Self {
        let watch = watch(Arc::clone(&self.shared));
        Self { _watch: Some(Task(tokio::spawn(watch))), ..self }
    }
}

async fn watch(shared: Arc<Shared>) {
    let (mut session, mut seen) = (None, None);
    loop {
        let look = tokio::time::timeout(WATCH_MAX, look(&shared, &mut session)).await;
        let look = look.unwrap_or_else(|_| Err(silent(WATCH_MAX)));
        match look {
            Ok((found, is_anew)) => {
                let was_away = shared.away().take().is_some();
                // What was refused while the server was away is asked anew.
                if was_away || is_anew || seen.as_ref().is_some_and(|seen| *seen != found) {
                    shared.generation.fetch_add(1, Ordering::AcqRel);
                }
                seen = Some(found);
            }
            Err(Trouble::Away(why) | Trouble::Refused(why)) => {
                session = None;
                *shared.away() = Some(why);
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Returns what stands for the state of the server, and whether the connection had to be made anew for that.
async fn look(shared: &Shared, session: &mut Option<Session>) -> Result<(Rows, bool), Trouble> {
    let mut is_anew = false;
    if let Some(kept) = session {
        match kept.ask(SNAPSHOT, &[]).await {
            // One that broke says nothing of the server, which may be back already.
            Err(Trouble::Away(_)) => is_anew = true,
            answer => return Ok((answer?, false)),
        }
    }
    let session = session.insert(shared.connect().await?);
    Ok((session.ask(SNAPSHOT, &[]).await?, is_anew))
}

fn silent(after: Duration) -> Trouble {
    Trouble::Away(format!("no answer within {} s", after.as_secs()))
}

impl Shared {
    fn away(&self) -> MutexGuard<'_, Option<String>> {
        self.away.lock().expect("nothing panics while it holds this")
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().expect("nothing panics while it holds the connections")
    }

    async fn connect(&self) -> Result<Session, Trouble> {
        let away = |error| Trouble::Away(said(&error));
        // Where either will do, the machine's own network needs no encryption.
        let (client, task) = match self.config.get_ssl_mode() {
            SslMode::Require => {
                let encrypted = self.config.connect(Encrypted::new()).await;
                let (client, connection) = encrypted.map_err(away)?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
            _ => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(away)?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
        };
        Ok(Session { client, statements: Vec::new(), _task: Task(task) })
    }

    async fn ask(&self, sql: &str, values: &[Option<String>]) -> Result<Rows, Trouble> {
        let away = self.away().clone();
        if let Some(why) = away {
            return Err(Trouble::Away(why));
        }
        let _place = self.places.acquire().await.expect("the places are never closed");
        loop {
            let kept = self.idle().pop();
            let was_kept = kept.is_some();
            let mut session = match kept {
                Some(session) => session,
                None => self.connect().await?,
            };
            let answer = session.ask(sql, values).await;
            match &answer {
                // A connection that lay idle may have broken long ago; a new one knows better.
                Err(Trouble::Away(_)) if was_kept => {}
                Err(Trouble::Away(_)) => return answer,
                _ => {
                    self.idle().push(session);
                    return answer;
                }
            }
        }
    }
}

impl Session {
    async fn ask(&mut self, sql: &str, values: &[Option<String>]) -> Result<Rows, Trouble> {
        let statement = self.statement(sql).await.map_err(|error| trouble(&error))?;
        let values: Vec<Given<'_>> = values.iter().map(|value| Given(value.as_deref())).collect();
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        let answer = self.client.query_raw(&statement, values).await;
        let answer = answer.map_err(|error| trouble(&error))?;
        pin_mut!(answer);
        let (columns, mut rows) = (statement.columns().len(), Vec::new());
        while let Some(row) = answer.next().await {
            if rows.len() == ROWS_MAX {
                return Err(too_many());
            }
            let row = row.map_err(|error| trouble(&error))?;
            let cells = (0..columns).map(|at| row.try_get::<_, Cell>(at));
            let cells: Result<Vec<_>, _> = cells.collect();
            rows.push(cells.map_err(|error| trouble(&error))?);
        }
        Ok(Rows { columns, rows })
    }

    async fn statement(&mut self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        if let Some((_, statement)) = self.statements.iter().find(|(kept, _)| kept == sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        if self.statements.len() == STATEMENTS_MAX {
            self.statements.remove(0);
        }
        self.statements.push((sql.to_owned(), statement.clone()));
        Ok(statement)
    }
}

/// Sorts an error: does the server not like the question, or can it not answer at all?
fn trouble(error: &tokio_postgres::Error) -> Trouble {
    // No connection, too little of something, ended by an operator, broken inside.
    const UNABLE: [&str; 5] = ["08", "53", "57", "58", "XX"];
    let is_answer = error.as_db_error().map(|error| error.code().code());
    let is_away = match is_answer {
        Some(code) => UNABLE.iter().any(|class| code.starts_with(class)),
        None => error.is_closed() || !error.to_string().contains("serializing"),
    };
    if is_away { Trouble::Away(said(error)) } else { Trouble::Refused(said(error)) }
}

/// What an error says, with what is behind it; no part of it is a password.
fn said(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return error.message().to_owned();
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// A parameter as text: the server reads it as the type that it stands for.
#[derive(Debug)]
struct Given<'a>(Option<&'a str>);

impl ToSql for Given<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(text) = self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(match *kind {
            Type::BOOL => Self::Bool(bool::from_sql(kind, raw)?),
            Type::INT2 => Self::Integer(i16::from_sql(kind, raw)?.into()),
            Type::INT4 => Self::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Self::Integer(i64::from_sql(kind, raw)?),
            Type::INET | Type::CIDR => {
                Self::Text(address(raw).ok_or("an address of no known kind")?)
            }
            Type::UUID => Self::Text(uuid::Uuid::from_slice(raw)?.to_string()),
            _ => Self::Text(std::str::from_utf8(raw)?.to_owned()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Reads `inet`: the family, the bits of the range, whether it is a `cidr`, and the address.
fn address(raw: &[u8]) -> Option<String> {
    let (head, bytes) = raw.split_at_checked(4)?;
    let address = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    let is_whole = usize::from(head[1]) == bytes.len() * 8;
    Some(if is_whole { address.to_string() } else { format!("{address}/{}", head[1]) })
}

impl Source for Postgres {
    fn ask<'a>(
        &'a self,
        sql: &'a str,
        values: Vec<Option<String>>,
    ) -> Answer<'a, Result<Rows, Trouble>> {
        Box::pin(async move {
            let answer = self.shared.ask(sql, &values);
            let answer = tokio::time::timeout(QUESTION_MAX, answer).await;
            answer.unwrap_or_else(|_| Err(silent(QUESTION_MAX)))
        })
    }

    fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    fn trouble(&self) -> Option<String> {
        self.shared.away().clone()
    }

    fn mark(&self) -> char {
        '$'
    }

    fn truth(&self) -> Cell {
        Cell::Bool(true)
    }
}
