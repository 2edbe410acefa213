//! `rebeam dev broker`: the MQTT broker alone.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::cli::Common;
use crate::dev::access::Open;
use crate::dev::broker::{self, Dress, Limits, Listener, Overlap};
use crate::dev::web::Guard;
use crate::dev::{self, Bus, DevError, Ports};
use crate::disk;
use crate::explain::Failure;
use crate::terminal;

#[derive(Debug, Args)]
pub(super) struct Broker {
    /// Listen on this port of the loopback
    #[arg(long, value_name = "N", default_value_t = 1883)]
    port: u16,
    /// Listen for WebSockets on this port
    #[arg(long, value_name = "N")]
    ws_port: Option<u16>,
    /// Listen for TLS on this port
    #[arg(long, value_name = "N", requires = "cert", requires = "key")]
    tls_port: Option<u16>,
    /// The certificate for TLS, as PEM
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The certificate's key, as PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Keep sessions and messages here
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Let clients of MQTT 5 be silent for at most this many seconds
    #[arg(long, value_name = "S", default_value_t = 0)]
    keep_alive_max: u16,
    /// Let nobody subscribe to this filter
    #[arg(long, value_name = "FILTER")]
    deny: Vec<String>,
    /// Tell clients of MQTT 5 only that a filter is denied, and not that a rule did it
    #[arg(long)]
    terse_denials: bool,
    /// Send a message once for each filter of a client that wants it, and not once for all of them
    #[arg(long)]
    copy_for_each: bool,
    /// Let messages that wait take at most this many bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().budget_bytes)]
    budget: usize,
}

impl Broker {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let project = disk::canonical(&common.project)?;
        if let Some(state) = &self.state {
            disk::create_dir_all(state)?;
        }
        dev::allow_open_files();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(DevError::Runtime)?;
        runtime.block_on(async {
            let ports = Ports::new(IpAddr::V4(Ipv4Addr::LOCALHOST), &project);
            let limits = Limits {
                keep_alive_max_s: self.keep_alive_max,
                budget_bytes: self.budget,
                tells_why_denied: !self.terse_denials,
                overlap: if self.copy_for_each { Overlap::Each } else { Overlap::Once },
                ..Limits::default()
            };
            let listeners = self.listeners(&ports)?;
            let broker = broker::serve(
                listeners,
                Arc::new(Open { denied: self.deny.clone() }),
                Bus::default(),
                limits,
                self.state.as_deref(),
            )?;
            for address in broker.addresses() {
                terminal::data(&format!("listening on {address}"));
            }
            // Whoever cannot be told to stop by a signal is ended by one that nobody can catch.
            drop(tokio::signal::ctrl_c().await);
            broker.stop().await;
            Ok::<_, Failure>(())
        })?;
        // A task that hangs in a socket ends with the process.
        runtime.shutdown_timeout(Duration::from_secs(1));
        Ok(0)
    }

    fn listeners(&self, ports: &Ports) -> Result<Vec<Listener>, Failure> {
        let mut listeners =
            vec![Listener { socket: ports.exactly("mqtt", self.port)?, dress: Dress::Bare }];
        if let Some(port) = self.ws_port {
            let socket = ports.exactly("mqtt over websocket", port)?;
            listeners.push(Listener { socket, dress: Dress::WebSocket(Guard::default()) });
        }
        if let (Some(port), Some(cert), Some(key)) = (self.tls_port, &self.cert, &self.key) {
            let socket = ports.exactly("mqtt over tls", port)?;
            let config = broker::tls(cert, key)?;
            listeners.push(Listener { socket, dress: Dress::Tls(config) });
        }
        Ok(listeners)
    }
}
