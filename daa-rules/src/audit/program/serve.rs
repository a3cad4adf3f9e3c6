//! `daa-audit serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::audit::{SecretKey, ServeOptions, Trust, Witness, WitnessFile, serve_witness};
use daa_core::clock::SystemClock;
use daa_core::shutdown::ShutdownTrigger;
use serde_json::json;
use tokio::net::TcpListener;

use super::failure::Failure;
use super::files;

/// Signs as a witness whoever asks over HTTP: add-checkpoint of C2SP tlog-witness. TLS is for a proxy in front of it.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// Where to listen; port 0 for any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7480")]
    listen: SocketAddr,
    /// A file with the witness's secret key
    #[arg(long, value_name = "FILE")]
    secret: PathBuf,
    /// The file in which the witness remembers what it signed
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// The public key of a log that it signs for, or a file with it; may be given several times
    #[arg(long, value_name = "KEY", required = true)]
    key: Vec<String>,
    /// How many connections there are at once
    #[arg(long, value_name = "N", default_value_t = 256)]
    connections: usize,
}

impl Serve {
    pub(super) async fn run(self, json: bool) -> Result<(), Failure> {
        let secret: SecretKey = files::read_text(&self.secret, 4096)?.parse().map_err(Failure::unable)?;
        let mut witness = Witness::new(secret, WitnessFile::new(&self.state)).map_err(Failure::unable)?;
        for key in &self.key {
            let trust = Trust::in_log(files::public_key(key)?).map_err(Failure::unable)?;
            witness = witness.with_log(trust);
        }
        let listener = TcpListener::bind(self.listen).await.map_err(Failure::unable)?;
        let address = listener.local_addr().map_err(Failure::unable)?;
        let key = witness.public_key().to_string();
        files::print(&if json {
            format!("{}\n", json!({ "listening": address, "public": key }))
        } else {
            format!("listening on {address} as {key}\n")
        })?;
        let (trigger, shutdown) = ShutdownTrigger::new();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                trigger.trigger();
            } else {
                // Without a signal there is nothing to wait for; the trigger must live as long as the process.
                std::future::pending::<()>().await;
            }
        });
        let options = ServeOptions::new().with_connections(self.connections);
        let served =
            serve_witness(Arc::new(witness), Arc::new(SystemClock::new()), listener, options, shutdown).await;
        served.map_err(Failure::unable)
    }
}
