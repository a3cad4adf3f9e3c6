//! A process that keeps a read model, and the test that watches it.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use daa_core::clock::SystemClock;
use daa_core::event::{OnPoison, Position};
use daa_core::projection::{ModelVersion, Projector, ProjectorOptions, ReadModel};
use daa_core::shutdown::ShutdownTrigger;
use daa_store::sqlite::{OpenCheck, Sharing, SqliteEventStore, SqliteOptions};

use super::sqlite;

const DIR: &str = "DAA_STORE_PROJECTION_DIR";
const VERSION: &str = "DAA_STORE_PROJECTION_VERSION";
const SCHEMA: &str = "DAA_STORE_PROJECTION_SCHEMA";

/// The store that the processes share.
pub(crate) fn store(dir: &Path) -> SqliteEventStore {
    let options = SqliteOptions::default().with_sharing(Sharing::Processes).with_check(OpenCheck::Header);
    std::fs::create_dir_all(dir.join("store")).unwrap();
    SqliteEventStore::open(dir.join("store/events.db"), options).unwrap()
}

/// On PostgreSQL where a schema is named.
fn model(dir: &Path, version: ModelVersion) -> Arc<dyn ReadModel> {
    #[cfg(feature = "live-postgres")]
    if let Ok(schema) = env::var(SCHEMA) {
        return crate::postgres::projection::model(&schema, version);
    }
    Arc::new(sqlite::open(dir, version))
}

/// Not a test by itself: the process that is killed. It returns at once where nobody asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_a_read_model_when_asked_to() {
    let Ok(dir) = env::var(DIR) else { return };
    let version = ModelVersion::new(env::var(VERSION).unwrap().parse().unwrap());
    let model = model(Path::new(&dir), version);
    // Small steps, so that many of them are cut short.
    let options = ProjectorOptions::default()
        .with_batch(3)
        .with_on_poison(OnPoison::Skip)
        .with_takeover_after(Duration::from_millis(100));
    let store = Arc::new(store(Path::new(&dir)));
    let projector = Projector::new(model, store, Arc::new(SystemClock::new()), options);
    let mut monitor = projector.monitor();
    let (_trigger, shutdown) = ShutdownTrigger::new();
    let running = tokio::spawn(projector.run(shutdown));
    say("ready");
    let mut lines = {
        let (sender, lines) = tokio::sync::mpsc::channel(1);
        thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        lines
    };
    while let Some(line) = lines.recv().await {
        monitor.reached(Position::new(line.parse().unwrap())).await;
        say(&format!("reached {line}"));
    }
    running.abort();
}

/// Past the capture of the test harness, which would keep it back.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    out.write_all(format!("said {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// A process as the test sees it; killed, as by `kill -9`, when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// With a schema, the model is on PostgreSQL.
    pub(crate) fn spawn(dir: &Path, version: u32, schema: Option<&str>) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "projection::process::keeps_a_read_model_when_asked_to"])
            .args(["--nocapture", "--test-threads=1"])
            .env(DIR, dir)
            .env(VERSION, version.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(schema) = schema {
            command.env(SCHEMA, schema);
        }
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some(at) = line.find("said ") {
                    let _ = sender.send(line[at + "said ".len()..].to_owned());
                }
            }
        });
        Self { child, lines }
    }

    /// Waits until it says this.
    pub(crate) fn says(&mut self, expected: &str) {
        match self.lines.recv_timeout(Duration::from_secs(120)) {
            Ok(line) => assert_eq!(line, expected),
            Err(_) => {
                let _ = self.child.kill();
                let mut said = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("it did not say {expected}: {said}")
            }
        }
    }

    /// Waits until readers see everything up to `position`.
    pub(crate) fn reach(&mut self, position: Position) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{position}").unwrap();
        self.says(&format!("reached {position}"));
    }
}
