//! Things: users, things, channels, messages and bootstrap, as Mainflux had them in October 2019.
//!
//! One database (`model`) is asked by everybody: the HTTP services (`http`), the broker's access (`access`), which
//! also keeps what is published, and the page. What changes is said on the bus in the fields of Mainflux's event
//! store, and so comes into the streams.

mod access;
mod bootstrap;
mod cipher;
mod client;
mod configs;
mod connections;
mod entries;
mod events;
pub mod fuzz;
mod http;
mod messages;
mod model;
mod password;
mod running;
mod schema;
mod senml;
mod token;
mod topic;
mod users;
mod view;
mod wrong;

pub use access::{Keeping, ThingAccess, Username};
pub use client::{Answered, Api, ApiError};
pub use running::{Opened, Setup, Sockets, Things, standard};
pub use view::{ChannelView, ConfigView, End, ThingView, View};

#[cfg(test)]
mod tests;
