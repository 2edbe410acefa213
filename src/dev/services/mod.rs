//! Services: what runs beside the release on one's desk, each in a room of its own.
//!
//! A service is a [`Unit`]: a room, what comes before its first start, how it is known to be ready, and what becomes of it
//! when it ends. One thread attends to each unit from its start to its end, because the kernel ends a room with the
//! thread that opened it; so nothing is left when rebeam is killed. What the threads know of each other stands on one
//! board. A service starts once all that it needs is ready, and ends before any of that is told to.

mod attend;
mod board;
mod kinds;
mod log;
mod names;
mod plan;
mod probe;
mod unit;

use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use self::board::Board;
use super::error::DevError;

pub use board::{Standing, State};
pub use kinds::{Cluster, encoded};
pub use log::{Line, Logs};
pub use names::{expand, stem, url_variable, variables};
pub use plan::{Plan, Planned, RELEASE, Reserved, plan, reserve};
pub use unit::{Archive, Body, First, Ready, Task, Unit, laid_out};

/// Services that may not have been started yet.
pub type Supervised = Arc<OnceLock<Arc<Services>>>;

/// Services that run. Call [`Services::stop`] to end them.
#[derive(Debug)]
pub struct Services {
    board: Arc<Board>,
    /// When they were started, as a line of a log has it.
    begun: String,
    logs: Logs,
    attending: Vec<JoinHandle<()>>,
}

impl Services {
    /// Starts units, each as soon as what it needs is ready; returns at once.
    ///
    /// # Errors
    /// Where no log can be written, or no thread started.
    pub fn start(units: Vec<Unit>, logs: &Logs) -> Result<Self, DevError> {
        let (board, begun) = (Arc::new(Board::new(&units)), log::now());
        let mut services = Self { board, begun, logs: logs.clone(), attending: Vec::new() };
        for unit in units {
            let board = Arc::clone(&services.board);
            let log = logs.writer(&unit.name)?;
            let thread = std::thread::Builder::new().name(format!("service {}", unit.name));
            let attending = thread.spawn(move || attend::attend(&unit, &board, log));
            services.attending.push(attending.map_err(DevError::Runtime)?);
        }
        Ok(services)
    }

    /// Waits until every service is ready.
    ///
    /// # Errors
    /// Where one failed; nothing is stopped by that.
    pub fn wait_ready(&self, logs: &Logs) -> Result<(), DevError> {
        let Some((name, why)) = self.board.wait_settled() else {
            return Ok(());
        };
        let lines = logs.last_lines(&name, &self.begun)?;
        Err(DevError::ServiceFailed { log: logs.path(&name), name, why, lines })
    }

    /// Returns how each service is, in order of their names.
    pub fn standing(&self) -> Vec<Standing> {
        self.board.standing()
    }

    /// Returns what they said, and say.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Ends a service and starts it again.
    ///
    /// # Errors
    /// Where there is none of this name.
    pub fn restart(&self, name: &str) -> Result<(), DevError> {
        match self.board.restart(name) {
            true => Ok(()),
            false => {
                Err(DevError::NoSuchService { name: name.to_owned(), known: self.board.names() })
            }
        }
    }

    /// Ends everything, each before what it needs. May be called while services still start.
    pub fn stop(&self) {
        self.board.stop_in_order();
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.stop();
        for attending in self.attending.drain(..) {
            // A thread that panicked has said so; its room ended with it.
            drop(attending.join());
        }
    }
}
