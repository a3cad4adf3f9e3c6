//! A server of the test's own, that may be killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A Redis of its own, in a temporary directory.
#[derive(Debug)]
pub(super) struct Server {
    dir: TempDir,
    port: u16,
    flags: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// One that forgets everything when it is killed.
    pub(super) fn start() -> Self {
        Self::start_with(&["--save", ""])
    }

    pub(super) fn start_with(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut server = Self { dir, port: free_port(), flags, child: None };
        server.start_again();
        server
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self) -> String {
        url_at(self.port)
    }

    /// Kills it, as `kill -9` does.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it, and waits until it takes connections.
    pub(super) fn start_again(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port, "--bind", "127.0.0.1", "--dir"]).arg(self.dir.path());
        command.args(&self.flags).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "the server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(super) fn url_at(port: u16) -> String {
    format!("redis://127.0.0.1:{port}/")
}

pub(super) fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A certificate of `localhost` that has signed itself, and its key: `cert.pem` and `key.pem`.
pub(super) fn certify(dir: &Path) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(dir.join("key.pem"))
        .arg("-out")
        .arg(dir.join("cert.pem"))
        .output()
        .unwrap();
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
}
