//! `rebeam dev streams`: the streams alone.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Args;

use crate::cli::Common;
use crate::dev::streams::Streams as Server;
use crate::dev::{DevError, Ports};
use crate::disk;
use crate::explain::Failure;
use crate::terminal;

#[derive(Debug, Args)]
pub(super) struct Streams {
    /// Listen on this port of the loopback
    #[arg(long, value_name = "N", default_value_t = 6379)]
    port: u16,
    /// Keep the keys here [default: they end with the server]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Ask clients for this password
    #[arg(long, value_name = "PASSWORD", env = "REBEAM_STREAMS_PASSWORD", hide_env_values = true)]
    password: Option<String>,
}

impl Streams {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let project = disk::canonical(&common.project)?;
        let passing = tempfile::tempdir().map_err(DevError::Runtime)?;
        let state = self.state.as_deref().unwrap_or(passing.path());
        disk::create_dir_all(state)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.map_err(DevError::Runtime)?.block_on(async {
            let ports = Ports::new(IpAddr::V4(Ipv4Addr::LOCALHOST), &project);
            let listener = ports.exactly("streams", self.port)?;
            let password = self.password.as_deref().map(str::as_bytes);
            let server = Server::start(listener, state, password)?;
            terminal::data(&format!("listening on {}", server.address()));
            let terminate = tokio::signal::unix::SignalKind::terminate();
            let mut terminate =
                tokio::signal::unix::signal(terminate).map_err(DevError::Runtime)?;
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            server.stop().await;
            Ok(0)
        })
    }
}
