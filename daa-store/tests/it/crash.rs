//! A real process, killed while it writes.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use daa_core::artifact::Artifacts;
use daa_core::digest::Digest;
use daa_core::seed::Seed;
use daa_store::data_dir::DataDir;
use rand::RngExt as _;

use crate::support::{append, everything, of_size, tag};

const DIR: &str = "DAA_STORE_CRASH_DIR";
const FIRST_TAG: &str = "DAA_STORE_CRASH_FIRST_TAG";
const BYTES: &str = "DAA_STORE_CRASH_BYTES";

/// Not a test by itself: the process that is killed. It returns at once where nobody asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_until_killed_when_asked_to() {
    let Ok(dir) = env::var(DIR) else { return };
    let number = |name| env::var(name).unwrap().parse::<u64>().unwrap();
    let (first_tag, bytes) = (number(FIRST_TAG), number(BYTES) as usize);
    let data = DataDir::open(dir).unwrap();
    let (events, artifacts) = (data.events(), data.artifacts());
    // Several writers, so that groups form.
    let writers = (0..4_u64).map(|writer| async move {
        for at in (writer..).step_by(4) {
            let appended = append(&**events, of_size(first_tag + at, bytes)).await;
            acknowledge(&format!("batch {} {}", first_tag + at, appended.last));
            if at % 10 == 0 {
                let artifact = vec![at as u8; bytes + at as usize];
                let digest = artifacts.put(artifact.into()).await.unwrap();
                acknowledge(&format!("artifact {digest}"));
            }
        }
    });
    futures_util::future::join_all(writers).await;
}

/// Past the capture of the test harness, which would keep it back.
fn acknowledge(line: &str) {
    let mut out = io::stdout().lock();
    out.write_all(format!("acknowledged {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn spawn(dir: &Path, first_tag: u64, bytes: usize) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "crash::writes_until_killed_when_asked_to", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(FIRST_TAG, first_tag.to_string())
        .env(BYTES, bytes.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn lines(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || {
        for line in out.lines() {
            let Ok(line) = line else { return };
            if let Some(at) = line.find("acknowledged ") {
                let _ = sender.send(line[at + "acknowledged ".len()..].to_owned());
            }
        }
    });
    lines
}

/// Lets a child write until it has acknowledged so much, and `moment` longer; then kills it. Everything that it
/// acknowledged.
fn run_and_kill(
    dir: &Path,
    first_tag: u64,
    bytes: usize,
    acknowledged: usize,
    moment: Duration,
) -> Vec<String> {
    let mut child = spawn(dir, first_tag, bytes);
    let lines = lines(&mut child);
    let mut seen = Vec::new();
    while seen.len() < acknowledged {
        match lines.recv_timeout(Duration::from_secs(60)) {
            Ok(line) => seen.push(line),
            Err(error) => {
                child.kill().unwrap();
                let mut said = String::new();
                child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("the child stopped ({error}) after {} lines: {said}", seen.len());
            }
        }
    }
    let deadline = Instant::now() + moment;
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        seen.push(line);
    }
    // SIGKILL on Unix.
    child.kill().unwrap();
    child.wait().unwrap();
    // The pipe keeps what was written before the kill.
    seen.extend(lines);
    seen
}

#[derive(Default)]
struct Acknowledged {
    /// Tag to last position.
    batches: BTreeMap<u64, u64>,
    artifacts: Vec<Digest>,
}

impl Acknowledged {
    fn note(&mut self, lines: &[String]) {
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["batch", tag, position] => {
                    self.batches.insert(tag.parse().unwrap(), position.parse().unwrap());
                }
                ["artifact", digest] => self.artifacts.push(digest.parse().unwrap()),
                _ => panic!("{line}"),
            }
        }
    }

    async fn check(&self, dir: &Path) {
        let data = DataDir::open(dir).unwrap();
        // Also checks that batches are whole, and that the order has no gap.
        let events = everything(&**data.events()).await;
        for (&of, &position) in &self.batches {
            let last = &events[position as usize - 1];
            assert_eq!((tag(last), last.stream.as_str()), (of, "shared"), "batch {of} was acknowledged");
        }
        for digest in &self.artifacts {
            assert!(data.artifacts().get(digest).await.unwrap().is_some(), "{digest} was acknowledged");
        }
        for digest in data.artifacts().list().await.unwrap() {
            data.artifacts().get(&digest).await.unwrap();
        }
        data.close().await;
    }
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_acknowledged_and_leaves_nothing_partial() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let mut acknowledged = Acknowledged::default();
    for round in 0..24 {
        let mut rng = Seed::from_u64(2).child("kill").nth(round).rng();
        // Small batches for many commits; large ones reach the checkpoints.
        let (bytes, most) = if round % 3 == 2 { (60_000, 150) } else { (100, 80) };
        let wanted = rng.random_range(0..most);
        let moment = Duration::from_micros(rng.random_range(0..8_000));
        let lines = run_and_kill(&path, round * 1_000_000, bytes, wanted, moment);
        assert!(lines.len() >= wanted);
        acknowledged.note(&lines);
        // Now and then the next child recovers what two killed ones left.
        if round % 2 == 1 {
            acknowledged.check(&path).await;
        }
    }
    acknowledged.check(&path).await;
    assert!(acknowledged.batches.len() > 300, "{} batches", acknowledged.batches.len());
    assert!(acknowledged.artifacts.len() > 30, "{} artefacts", acknowledged.artifacts.len());
}

#[tokio::test]
async fn a_process_killed_while_it_creates_the_directory_leaves_one_that_opens() {
    for round in 0..24 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let mut rng = Seed::from_u64(2).child("create").nth(round).rng();
        let moment = Duration::from_micros(rng.random_range(0..60_000));
        let lines = run_and_kill(&path, 0, 100, 0, moment);
        let mut acknowledged = Acknowledged::default();
        acknowledged.note(&lines);
        acknowledged.check(&path).await;
    }
}
