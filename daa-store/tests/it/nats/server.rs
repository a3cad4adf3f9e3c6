//! A server of its own, for tests that kill it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::time::sleep;

pub(super) struct Server {
    directory: TempDir,
    address: SocketAddr,
    process: Option<Child>,
    extra: Vec<String>,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_with(|_| Vec::new()).await
    }

    /// With further arguments, and files in its directory.
    pub(super) async fn start_with(extra: impl Fn(&Path) -> Vec<String>) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let extra = extra(directory.path());
        let mut server = Self { directory, address, process: None, extra };
        server.start_again().await;
        server
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn start_again(&mut self) {
        let process = Command::new("nats-server")
            .args(["-a", "127.0.0.1", "-p", &self.address.port().to_string(), "-js", "-sd"])
            .arg(self.directory.path())
            .args(&self.extra)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.unwrap());
        let began = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "nats-server does not start");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
