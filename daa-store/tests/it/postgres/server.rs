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
        let mut server = Self::prepare();
        let mut initdb = as_owner("initdb");
        succeeds(initdb.args(["-A", "trust", "-U", "postgres", "-D"]).arg(server.data()));
        server.start_again().await;
        server
    }

    /// A replica of it that follows its log.
    pub(super) async fn replica(&self) -> Self {
        let mut replica = Self::prepare();
        let mut copy = as_owner("pg_basebackup");
        succeeds(
            copy.args(["-R", "-X", "stream", "-c", "fast", "-d", &self.url(), "-D"]).arg(replica.data()),
        );
        replica.start_again().await;
        replica
    }

    /// An empty place for a server, that its user may write to.
    pub(super) fn prepare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        mine(dir.path(), 0o755);
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        mine(&data, 0o700);
        Self { dir, port: free_port(), child: None }
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
            mine(&to, 0o600);
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

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn data(&self) -> PathBuf {
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

fn succeeds(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A shell that finds the programs of the server, under a user that it accepts.
pub(super) fn shell() -> Command {
    let mut shell = as_owner("sh");
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env("PATH", format!("{}:{path}", bin().display()));
    shell
}

/// A program of the server, under a user that it accepts: it refuses root.
fn as_owner(program: &str) -> Command {
    let own = bin().join(program);
    let mut command = Command::new(if own.exists() { own } else { PathBuf::from(program) });
    command.current_dir("/");
    if let Some((user, group)) = owner() {
        command.uid(user).gid(group);
    }
    command
}

/// Gives a file to the user of the server.
fn mine(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    if let Some((user, group)) = owner() {
        chown(path, Some(user), Some(group)).unwrap();
    }
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
