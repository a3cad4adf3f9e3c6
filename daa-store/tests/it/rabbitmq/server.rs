//! A broker of its own, for tests that kill it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::time::sleep;

pub(super) struct Server {
    directory: TempDir,
    address: SocketAddr,
    distribution: SocketAddr,
    process: Option<Child>,
}

pub(super) fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The script itself: packages put one before it that changes the user.
fn script() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/rabbitmq/lib").into_iter().flatten().flatten();
    let script = installed.map(|entry| entry.path().join("sbin/rabbitmq-server")).find(|path| path.exists());
    script.unwrap_or_else(|| "rabbitmq-server".into())
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With a configuration.
    pub(super) async fn start_with(configuration: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("plugins"), "[].").unwrap();
        std::fs::write(directory.path().join("rabbitmq.conf"), configuration).unwrap();
        let (address, distribution) = (free_port(), free_port());
        let mut server = Self { directory, address, distribution, process: None };
        server.start_again().await;
        server
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn start_again(&mut self) {
        let (port, path) = (self.address.port(), |name: &str| self.directory.path().join(name));
        let process = Command::new(script())
            // Killed as a whole: the script starts the broker as another process.
            .process_group(0)
            .env("HOME", self.directory.path())
            .env("RABBITMQ_NODENAME", format!("daa-test-{port}@localhost"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution.port().to_string())
            .env("RABBITMQ_MNESIA_BASE", path("mnesia"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins"))
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.unwrap());
        listens(self.address).await;
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let group = format!("-{}", process.id());
            let killed = Command::new("kill").args(["-9", "--", &group]).status().unwrap();
            assert!(killed.success(), "{killed}");
            process.wait().unwrap();
        }
    }
}

/// Waits until the broker is there; its listeners start one after the other.
pub(super) async fn listens(address: SocketAddr) {
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < Duration::from_secs(120), "rabbitmq-server does not listen on {address}");
        sleep(Duration::from_millis(20)).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
