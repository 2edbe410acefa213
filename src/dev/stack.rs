//! Stack: everything of the desk that runs in this process, started so that each finds what it needs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::access::Access;
use super::broker::{self, Broker, Dress, Limits, Listener};
use super::bus::Bus;
use super::error::DevError;
use super::events::Events;
use super::place::Service;
use super::ports::Ports;
use super::streams::{self, Streams};

/// The standard ports.
const MQTT: u16 = 1883;
const REDIS: u16 = 6379;
/// How long what happened at the very end may take to be written.
const SINK_MAX: Duration = Duration::from_secs(2);

/// A stack that runs. Call [`Stack::stop`] to end it.
#[derive(Debug)]
pub struct Stack {
    services: Vec<Service>,
    broker: Broker,
    streams: Streams,
    sink: JoinHandle<()>,
    events: Events,
}

impl Stack {
    /// Starts a stack whose state is below `state`; every service listens when this returns.
    ///
    /// # Errors
    /// Where no port is free, or the state cannot be read.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(ports: &Ports, state: &Path, access: Arc<dyn Access>) -> Result<Self, DevError> {
        // All ports are had before anything is served, so that nothing has to be taken back.
        let mqtt = ports.standard_or_stable("mqtt", MQTT)?;
        let redis = ports.standard_or_stable("redis", REDIS)?;
        let bus = Bus::default();
        let streams = Streams::start(redis, state, None)?;
        let instance = state.file_name().map(|name| name.to_string_lossy().into_owned());
        let sink = streams::sink(bus.clone(), streams.inlet(), instance.unwrap_or_default());
        let sink = tokio::spawn(sink);
        let events = Events::start(&bus, state)?;
        let listener = Listener { socket: mqtt, dress: Dress::Bare };
        let broker = broker::serve(vec![listener], access, bus, Limits::default(), Some(state))?;
        let service = |name: &str, address| Service {
            name: name.to_owned(),
            address,
            url: format!("{name}://{address}"),
        };
        let mut services: Vec<Service> =
            broker.addresses().iter().map(|address| service("mqtt", *address)).collect();
        services.push(service("redis", streams.address()));
        Ok(Self { services, broker, streams, sink, events })
    }

    /// Returns what runs, in the order in which it can be used.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// Ends everything, each before what it needs; what was promised is on the disk.
    pub async fn stop(self) {
        self.broker.stop().await;
        // The bus goes with the broker's last task: the sink writes what is left, and ends.
        drop(tokio::time::timeout(SINK_MAX, self.sink).await);
        self.streams.stop().await;
        self.events.stop().await;
    }
}
