//! A fetch whose process is killed, again and again.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::digest::Digest;
use daa_crypto::{Argon2Params, KeyFile, Passphrase, SignatureAlgorithm};
use daa_net::transfer::{FetchOptions, FileSink, GROUP, Outline, Source};
use daa_net::{Node, NodeId, NodeIdentity, NodeOptions};
use libp2p::Multiaddr;
use tokio::sync::{Notify, Semaphore};

use crate::support::{World, auth, auth_of, suite};

const NAME: &str = "killed::a_fetch_goes_on_however_often_its_process_is_killed";
/// Set in the process that fetches: its directory, the digest, and a file of sharers.
const FETCHER: &str = "DAA_NET_TEST_FETCHER";
const WORLD: &[&str] = &["/ip4/127.0.0.1/udp/0/quic-v1"];

const GROUPS: u64 = 25;
const LIVES: usize = 4;
/// How many groups a life is given.
const GIVEN: usize = 5;
/// How many it has at a time: of those that it was given, at most so many are not written yet.
const OUTSTANDING: usize = 2;

/// Gives groups as long as there are permits.
#[derive(Debug)]
struct Rationed {
    outline: Arc<Outline>,
    bytes: Bytes,
    permits: Semaphore,
    given: Mutex<Vec<u64>>,
    gave: Notify,
}

#[async_trait]
impl Source for Rationed {
    async fn outline(&self, digest: &Digest) -> io::Result<Option<Arc<Outline>>> {
        Ok((*digest == self.outline.digest()).then(|| self.outline.clone()))
    }

    async fn read(&self, _: &Digest, range: Range<u64>) -> io::Result<Bytes> {
        // The last group goes with the outline.
        if range.end < self.outline.size() {
            self.permits.acquire().await.unwrap().forget();
            self.given.lock().unwrap().push(range.start / GROUP);
            self.gave.notify_one();
        }
        Ok(self.bytes.slice(range.start as usize..range.end as usize))
    }
}

impl Rationed {
    fn given(&self) -> usize {
        self.given.lock().unwrap().len()
    }
}

/// The one that is killed. It has the same key in each of its lives.
async fn fetcher(directory: &Path) {
    let (suite, nobody) = (suite(), Passphrase::new(""));
    let file = directory.join("key");
    if !file.exists() {
        let key = suite.generate_signing_key(SignatureAlgorithm::MlDsa65).unwrap();
        KeyFile::lock(&key, &nobody, Argon2Params::weakest()).unwrap().write_new(&file).unwrap();
    }
    let key = KeyFile::read(&file).unwrap().unlock(&suite, &nobody).unwrap();
    let auth = auth_of(&NodeIdentity::new(Arc::new(key)).unwrap(), "test");
    let transport = World::libp2p(WORLD).join(auth.clone()).await;
    let node = Node::start(&auth, transport, NodeOptions::new()).await.unwrap();

    let task = std::fs::read_to_string(directory.join("task")).unwrap();
    let mut lines = task.lines();
    let digest: Digest = lines.next().unwrap().parse().unwrap();
    let mut sharers: Vec<NodeId> = Vec::new();
    for line in lines {
        let mut words = line.split(' ');
        let id = words.next().unwrap().parse().unwrap();
        let addresses: Vec<Multiaddr> = words.map(|word| word.parse().unwrap()).collect();
        node.join(&addresses).await.unwrap();
        sharers.push(id);
    }
    let sink = FileSink::new(directory.join("content"));
    let options = FetchOptions::default().with_outstanding(OUTSTANDING, 1);
    let fetched = node.fetch(digest, &sharers, &sink, options).await.unwrap();
    let of_each: Vec<String> = sharers.iter().map(|sharer| fetched.peers[sharer].bytes.to_string()).collect();
    let said = format!("{} {}", fetched.resumed, of_each.join(" "));
    std::fs::write(directory.join("said"), said).unwrap();
}

struct Life(Child);

impl Life {
    fn begin(directory: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", NAME]).env(FETCHER, directory).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // SIGKILL; it may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The test calls itself with the variable set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_goes_on_however_often_its_process_is_killed() {
    if let Some(directory) = std::env::var_os(FETCHER) {
        return fetcher(&PathBuf::from(directory)).await;
    }
    let content: Vec<u8> = (0..(GROUPS - 1) * GROUP + 7).map(|at| (at % 251 + at / GROUP) as u8).collect();
    let source = Arc::new(Rationed {
        outline: Arc::new(Outline::of(&content)),
        bytes: content.clone().into(),
        permits: Semaphore::new(0),
        given: Mutex::default(),
        gave: Notify::new(),
    });
    let directory = tempfile::tempdir().unwrap();
    let mut task = Digest::of(&content).to_string();
    let mut sharers = Vec::new();
    for _ in 0..2 {
        let auth = auth();
        let transport = World::libp2p(WORLD).join(auth.clone()).await;
        let node = Node::start(&auth, transport, NodeOptions::new()).await.unwrap();
        node.share(source.clone());
        let addresses: Vec<_> = node.addresses().iter().map(ToString::to_string).collect();
        task.push_str(&format!("\n{} {}", node.id(), addresses.join(" ")));
        sharers.push(node);
    }
    std::fs::write(directory.path().join("task"), task).unwrap();

    for life in 1..=LIVES {
        let process = Life::begin(directory.path());
        source.permits.add_permits(GIVEN);
        while source.given() < life * GIVEN {
            source.gave.notified().await;
        }
        drop(process);
        // Who waits for the dead takes no more.
        assert!(!directory.path().join("content").exists());
    }
    let before = source.given();
    let given: BTreeSet<u64> = source.given.lock().unwrap().iter().copied().collect();
    source.permits.add_permits(1 << 20);
    let mut last = Life::begin(directory.path());
    let ended = tokio::task::spawn_blocking(move || last.0.wait().unwrap()).await.unwrap();
    assert!(ended.success(), "{ended}");

    assert!(std::fs::read(directory.path().join("content")).unwrap() == content);
    let names: BTreeSet<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["content", "key", "said", "task"].map(Into::into).into());
    let said = std::fs::read_to_string(directory.path().join("said")).unwrap();
    let numbers: Vec<u64> = said.split(' ').map(|number| number.parse().unwrap()).collect();
    let resumed = numbers[0];
    // What was written before a kill is there after it, and is asked for again by nobody; the last group comes with the outline.
    let written = (LIVES * (GIVEN - OUTSTANDING)) as u64;
    assert!((written..=given.len() as u64 + 1).contains(&resumed), "{resumed} of {given:?}");
    let left = GROUPS - resumed;
    assert!((left..=left + 3).contains(&((source.given() - before) as u64 + 1)), "{said}");
    assert!(numbers[1..].iter().all(|bytes| *bytes > 0), "{said}");
    assert_eq!(numbers[1..].iter().sum::<u64>(), content.len() as u64 - resumed * GROUP);
}
