//! Dev: the stack that a release talks to, on one's desk and in one process.

pub mod access;
pub mod broker;
pub mod caller;
pub mod compose;
pub mod page;
pub mod control;
pub mod events;
pub mod services;
pub mod snapshot;
pub mod streams;
pub mod things;
pub mod web;

mod bus;
mod certificate;
mod error;
mod happening;
mod open_files;
mod place;
mod ports;
mod ring;
mod secret;
mod stack;
mod troubles;

pub use bus::{Bus, Interest, Watch};
pub use certificate::Certificate;
pub use error::DevError;
pub use happening::{Client, Happening, Message, What};
pub use open_files::allow_open_files;
pub use place::{Place, Running, Service, Taken};
pub use ports::{GivenUp, Ports, holder};
pub use secret::Secret;
pub use stack::{Plan, Stack, Standard, standard};
pub use troubles::Troubles;
