//! SQLite: the embedded database, a file in the state of the stack that other programs may write to, too.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, params_from_iter};
use tokio::sync::Semaphore;

use super::Answer;
use super::cell::Cell;
use super::error::AccessError;
use super::schema::STEPS;
use super::source::{
    CONNECTIONS_MAX, LOOK_AGAIN, QUESTION_MAX, ROWS_MAX, Rows, Source, Task, Trouble, too_many,
};
use crate::database::{self, DatabaseError};

/// The file below the state of the stack.
const FILE: &str = "access.sqlite";
/// How long somebody who writes is waited for: less than a question may take.
const BUSY_MAX: Duration = Duration::from_secs(1);

/// The embedded database.
#[derive(Debug)]
pub(super) struct Sqlite {
    shared: Arc<Shared>,
    _watch: Option<Task>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    generation: AtomicU64,
}

impl Sqlite {
    /// Opens the database below `state`; a new one has the rows that every one begins with.
    pub(super) fn open(state: &Path) -> Result<Self, AccessError> {
        let path = state.join(FILE);
        let damaged = |error| match error {
            DatabaseError::Sqlite(source) if database::is_damage(&source) => {
                AccessError::Damaged { path: path.clone(), source }
            }
            error => AccessError::Database(error),
        };
        let connection = database::open(&path, STEPS).map_err(damaged)?;
        connection.busy_timeout(BUSY_MAX).map_err(|error| damaged(error.into()))?;
        let shared = Shared {
            path,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            idle: Mutex::new(vec![connection]),
            generation: AtomicU64::new(0),
        };
        Ok(Self { shared: Arc::new(shared), _watch: None })
    }

    /// Begins to count changes, whoever makes them.
    pub(super) fn watched(self) -> Result<Self, AccessError> {
        let connection = self.shared.connect().map_err(DatabaseError::Sqlite)?;
        // The number that the task begins with has to be from before anything is asked.
        let mut seen = version(&connection);
        let shared = Arc::clone(&self.shared);
        let watch = async move {
            loop {
                tokio::time::sleep(LOOK_AGAIN).await;
                // It reads one word of memory that all connections share.
                let found = version(&connection);
                if found != seen {
                    seen = found;
                    shared.generation.fetch_add(1, Ordering::AcqRel);
                }
            }
        };
        Ok(Self { _watch: Some(Task(tokio::spawn(watch))), ..self })
    }
}

/// Returns a number that moves with every change that another connection makes.
fn version(connection: &Connection) -> Option<i64> {
    connection.pragma_query_value(None, "data_version", |row| row.get(0)).ok()
}

impl Shared {
    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(BUSY_MAX)?;
        Ok(connection)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().expect("nothing panics while it holds the connections")
    }

    async fn ask(
        self: &Arc<Self>,
        sql: &str,
        values: Vec<Option<String>>,
    ) -> Result<Rows, Trouble> {
        let place = Arc::clone(&self.places).acquire_owned();
        let place = place.await.expect("the places are never closed");
        let connection = self.idle().pop();
        let connection = connection.map_or_else(|| self.connect(), Ok).map_err(trouble)?;
        let interrupt = connection.get_interrupt_handle();
        let (shared, sql) = (Arc::clone(self), sql.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            let answer = run(&connection, &sql, &values);
            shared.idle().push(connection);
            drop(place);
            answer
        });
        // Nobody waits for an answer any more: it must not go on in the background.
        let end = Interrupt(Some(interrupt));
        let answer = asked.await.expect("what runs there does not panic");
        end.done();
        answer.map_err(trouble)?
    }
}

/// Interrupts a question that is given up.
struct Interrupt(Option<rusqlite::InterruptHandle>);

impl Interrupt {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.interrupt();
        }
    }
}

fn run(
    connection: &Connection,
    sql: &str,
    values: &[Option<String>],
) -> rusqlite::Result<Result<Rows, Trouble>> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = statement.column_count();
    let mut found = statement.query(params_from_iter(values))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        if rows.len() == ROWS_MAX {
            return Ok(Err(too_many()));
        }
        let cells = (0..columns).map(|at| Ok(cell(row.get_ref(at)?)));
        rows.push(cells.collect::<rusqlite::Result<_>>()?);
    }
    Ok(Ok(Rows { columns, rows }))
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Text(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Cell::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

fn trouble(error: rusqlite::Error) -> Trouble {
    let is_asked_wrongly = matches!(
        error.sqlite_error_code(),
        None | Some(
            ErrorCode::Unknown
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::ApiMisuse
                | ErrorCode::ParameterOutOfRange
        )
    );
    match is_asked_wrongly {
        true => Trouble::Refused(error.to_string()),
        false => Trouble::Away(error.to_string()),
    }
}

impl Source for Sqlite {
    fn ask<'a>(
        &'a self,
        sql: &'a str,
        values: Vec<Option<String>>,
    ) -> Answer<'a, Result<Rows, Trouble>> {
        Box::pin(async move {
            let answer = tokio::time::timeout(QUESTION_MAX, self.shared.ask(sql, values)).await;
            answer.unwrap_or_else(|_| {
                Err(Trouble::Away(format!("no answer within {} s", QUESTION_MAX.as_secs())))
            })
        })
    }

    fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    fn mark(&self) -> char {
        '?'
    }

    fn truth(&self) -> Cell {
        // SQLite has no booleans.
        Cell::Integer(1)
    }
}
