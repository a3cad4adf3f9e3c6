//! A server of the test's own, that may be killed.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::support::connect;

/// A PostgreSQL of its own, in a temporary directory.
#[derive(Debug)]
pub(super) struct Server {
    dir: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// Creates a cluster, and starts it.
    pub(super) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        if let Some((user, group)) = owner() {
            chown(&data, Some(user), Some(group)).unwrap();
        }
        let made =
            as_owner("initdb").args(["-A", "trust", "-U", "postgres", "-D"]).arg(&data).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let mut server = Self { dir, port, child: None };
        server.start_again().await;
        server
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self) -> String {
        url_at(self.port)
    }

    /// Takes TLS from now on, too.
    pub(super) async fn speak_tls(&self, certificate: &Path, key: &Path) {
        for (from, name) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = self.data().join(name);
            std::fs::copy(from, &to).unwrap();
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
            if let Some((user, group)) = owner() {
                chown(&to, Some(user), Some(group)).unwrap();
            }
        }
        let client = connect(&self.url()).await.unwrap();
        client.batch_execute("ALTER SYSTEM SET ssl = on").await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let began = Instant::now();
        let speaks = async || client.query_one("SHOW ssl", &[]).await.unwrap().get::<_, String>(0) == "on";
        while !speaks().await {
            assert!(began.elapsed() < Duration::from_secs(60), "the server does not load its certificate");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Kills it, as `kill -9` does, and all that belongs to it.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it, and waits until it takes connections.
    pub(super) async fn start_again(&mut self) {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < Duration::from_secs(60), "the server does not start");
            // What belonged to one that was killed may still be about to end.
            let exited = self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
            if exited {
                self.child = Some(self.spawn());
            }
            if connect(&self.url()).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn spawn(&self) -> Child {
        as_owner("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", ""])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(super) fn url_at(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A program of the server, under a user that it accepts: it refuses root.
fn as_owner(program: &str) -> Command {
    let mut command = Command::new(bin().join(program));
    command.current_dir("/");
    if let Some((user, group)) = owner() {
        command.uid(user).gid(group);
    }
    command
}

/// The user `postgres`, where the tests run as root.
fn owner() -> Option<(u32, u32)> {
    let id = |flags: &[&str]| -> u32 {
        let Output { stdout, .. } = Command::new("id").args(flags).output().unwrap();
        String::from_utf8(stdout).unwrap().trim().parse().unwrap()
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}

/// Where the programs of the newest server on this machine are.
fn bin() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.map(|version| version.unwrap().path().join("bin")).collect())
        .unwrap_or_default();
    found.retain(|bin| bin.join("initdb").exists());
    found.sort();
    found.pop().unwrap_or_else(|| Path::new("/usr/bin").to_owned())
}
