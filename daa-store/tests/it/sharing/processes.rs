//! Several real processes on one file, some of them killed.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, RecordedEvent,
    StreamWrite, Version,
};
use daa_core::seed::Seed;
use daa_store::sqlite::SqliteEventStore;
use rand::RngExt as _;

use super::{open, shared};

const DIR: &str = "DAA_STORE_SHARING_DIR";
const NAME: &str = "DAA_STORE_SHARING_NAME";
const ROUNDS: &str = "DAA_STORE_SHARING_ROUNDS";
const PATIENCE: Duration = Duration::from_secs(60);

/// Not a test by itself: one of the processes that share a file. It returns at once where nobody asks for it.
///
/// It opens the store when it is told to; it appends, each time one event to the stream that all share, based on
/// the version that it believes in, and one to its own; and it follows the store until it has seen its last event
/// and is told how many there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_beside_others_when_asked_to() {
    let Ok(dir) = env::var(DIR) else { return };
    let name = env::var(NAME).unwrap();
    let rounds = env::var(ROUNDS).unwrap().parse().unwrap();
    say("ready");
    let orders = orders();
    assert_eq!(next(&orders), "go");
    let store = open(Path::new(&dir));
    say("open");
    let (mut believed, mut conflicts) = (0, 0);
    for round in 0..rounds {
        let last = append(&store, &name, round, &mut believed, &mut conflicts).await;
        say(&format!("acknowledged {round} {last}"));
    }
    say(&format!("done {conflicts}"));
    let total: u64 = next(&orders).parse().unwrap();
    let mut subscription = store.subscribe(Position::START).await.unwrap();
    for position in 1..=total {
        let event = tokio::time::timeout(PATIENCE, subscription.next()).await.expect("an event");
        assert_eq!(event.unwrap().unwrap().position.get(), position, "not once, or not in order");
    }
    say("seen");
    assert_eq!(next(&orders), "close");
    store.close().await;
    say("closed");
}

fn event(payload: &str) -> NewEvent {
    NewEvent::new("test.happened.v1".try_into().unwrap(), Timestamp::EPOCH, payload.to_owned().into())
}

async fn append(
    store: &SqliteEventStore,
    name: &str,
    round: u64,
    believed: &mut u64,
    conflicts: &mut u64,
) -> Position {
    let payload = format!("{name}.{round}");
    loop {
        let write = |stream: &str, version| {
            let expected = ExpectedVersion::Exact(Version::new(version));
            StreamWrite::new(stream.try_into().unwrap(), expected, vec![event(&payload)])
        };
        let both = Batch::new().with(write("shared", *believed)).with(write(&format!("own/{name}"), round));
        match store.append(both).await {
            Ok(appended) => {
                *believed += 1;
                // A read that begins after the acknowledgement shows the append.
                assert!(store.head().await.unwrap() >= appended.last);
                return appended.last;
            }
            Err(AppendError::Conflict { stream, actual, .. }) => {
                assert_eq!(stream.as_str(), "shared");
                assert!(actual.get() > *believed, "a conflict with the past");
                (*believed, *conflicts) = (actual.get(), *conflicts + 1);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Past the capture of the test harness, which would keep it back.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    out.write_all(format!("said {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn orders() -> Receiver<String> {
    let (sender, orders) = mpsc::channel();
    thread::spawn(move || io::stdin().lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    orders
}

fn next(lines: &Receiver<String>) -> String {
    lines.recv_timeout(PATIENCE).expect("a line")
}

/// A process as the test sees it.
struct Peer {
    child: Child,
    lines: Receiver<String>,
}

impl Peer {
    fn spawn(dir: &Path, name: &str, rounds: u64) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "sharing::processes::appends_beside_others_when_asked_to"])
            .args(["--nocapture", "--test-threads=1"])
            .env(DIR, dir)
            .env(NAME, name)
            .env(ROUNDS, rounds.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some(at) = line.find("said ") {
                    let _ = sender.send(line[at + "said ".len()..].to_owned());
                }
            }
        });
        let mut peer = Self { child, lines };
        assert_eq!(peer.next(), "ready");
        peer
    }

    fn next(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            let _ = self.child.kill();
            let mut said = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("the process stopped ({error}): {said}")
        })
    }

    fn order(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Everything it acknowledges until it is done: round to position; and how many conflicts it met.
    fn until_done(&mut self) -> (BTreeMap<u64, u64>, u64) {
        let mut acknowledged = BTreeMap::new();
        loop {
            let line = self.next();
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["open"] => {}
                ["done", conflicts] => return (acknowledged, conflicts.parse().unwrap()),
                _ => note(&mut acknowledged, &line),
            }
        }
    }

    fn close(mut self) {
        self.order("close");
        assert_eq!(self.next(), "closed");
        assert!(self.child.wait().unwrap().success());
    }

    /// SIGKILL on Unix. What it had acknowledged until then, beside what was read before.
    fn kill(mut self, acknowledged: &mut BTreeMap<u64, u64>) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.iter().filter(|line| line.starts_with("acknowledged")).for_each(|line| {
            note(acknowledged, &line);
        });
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn note(acknowledged: &mut BTreeMap<u64, u64>, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let ["acknowledged", round, position] = words[..] else { panic!("{line}") };
    acknowledged.insert(round.parse().unwrap(), position.parse().unwrap());
}

/// The order has no gap, batches are whole, both kinds of streams count from 1, and what was acknowledged stands
/// where it was said to.
async fn check(
    store: &SqliteEventStore,
    acknowledged: &BTreeMap<&str, BTreeMap<u64, u64>>,
) -> Vec<RecordedEvent> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(Position::START, |event| event.position);
        let more = store.read_all(after, PageSize::default()).await.unwrap();
        if more.is_empty() {
            break;
        }
        events.extend(more);
    }
    let mut rounds: BTreeMap<String, u64> = BTreeMap::new();
    for (index, pair) in events.chunks(2).enumerate() {
        let [both, own] = pair else { panic!("half a batch") };
        let index = index as u64;
        assert_eq!((both.position.get(), own.position.get()), (2 * index + 1, 2 * index + 2));
        assert_eq!((both.stream.as_str(), both.version.get()), ("shared", index + 1), "a lost update");
        assert_eq!(both.payload, own.payload, "parts of two batches");
        let name = own.stream.as_str().strip_prefix("own/").unwrap().to_owned();
        let round = rounds.entry(name.clone()).or_default();
        assert_eq!((own.version.get(), &own.payload[..]), (*round + 1, format!("{name}.{round}").as_bytes()));
        *round += 1;
    }
    for (name, acknowledged) in acknowledged {
        for (round, &position) in acknowledged {
            let event = &events[position as usize - 1];
            assert_eq!(event.payload, format!("{name}.{round}"), "an acknowledged append is lost");
        }
    }
    events
}

#[tokio::test]
async fn four_processes_lose_no_update_and_each_sees_everything_once_in_order() {
    const ROUNDS: u64 = 60;
    let names = ["a", "b", "c", "d"];
    let dir = tempfile::tempdir().unwrap();
    let mut peers: Vec<_> = names.iter().map(|name| Peer::spawn(dir.path(), name, ROUNDS)).collect();
    peers.iter_mut().for_each(|peer| peer.order("go"));
    let done: Vec<_> = peers.iter_mut().map(Peer::until_done).collect();
    let conflicts: u64 = done.iter().map(|(_, conflicts)| conflicts).sum();
    assert!(conflicts > 0, "they never met");
    let total = 2 * ROUNDS * names.len() as u64;
    peers.iter_mut().for_each(|peer| peer.order(&total.to_string()));
    for peer in &mut peers {
        assert_eq!(peer.next(), "seen");
    }
    peers.into_iter().for_each(Peer::close);
    assert!(!dir.path().join("events.db-wal").exists());
    let acknowledged =
        names.into_iter().zip(done.into_iter().map(|(acknowledged, _)| acknowledged)).collect();
    assert_eq!(check(&open(dir.path()), &acknowledged).await.len() as u64, total);
}

#[tokio::test]
async fn a_process_killed_among_others_loses_nothing_acknowledged_and_stops_nobody() {
    const ROUNDS: u64 = 40;
    for case in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = Seed::from_u64(6).child("kill among others").nth(case).rng();
        let mut doomed = Peer::spawn(dir.path(), "doomed", 1_000_000);
        let mut peers = ["a", "b"].map(|name| Peer::spawn(dir.path(), name, ROUNDS));
        doomed.order("go");
        peers.iter_mut().for_each(|peer| peer.order("go"));
        let mut of_doomed = BTreeMap::new();
        assert_eq!(doomed.next(), "open");
        // Anywhere, from its first append on.
        for _ in 0..rng.random_range(0..30) {
            note(&mut of_doomed, &doomed.next());
        }
        doomed.kill(&mut of_doomed);
        let of_peers: Vec<_> = peers.iter_mut().map(|peer| peer.until_done().0).collect();
        let mut acknowledged: BTreeMap<_, _> = ["a", "b"].into_iter().zip(of_peers).collect();
        acknowledged.insert("doomed", of_doomed);
        // Beside those that live, and after them.
        let total = check(&open(dir.path()), &acknowledged).await.len();
        peers.iter_mut().for_each(|peer| peer.order(&total.to_string()));
        for mut peer in peers {
            assert_eq!(peer.next(), "seen");
            peer.close();
        }
        assert_eq!(check(&open(dir.path()), &acknowledged).await.len(), total);
    }
}

#[tokio::test]
async fn processes_that_create_the_store_at_the_same_moment_share_one() {
    let names = ["a", "b", "c"];
    for case in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let mut peers: Vec<_> = names.iter().map(|name| Peer::spawn(dir.path(), name, 2)).collect();
        let mut acknowledged: BTreeMap<_, _> = BTreeMap::new();
        peers.iter_mut().for_each(|peer| peer.order("go"));
        if case % 2 == 1 {
            // One of them dies of it, maybe before it has come far.
            peers.remove(0).kill(acknowledged.entry("a").or_default());
        }
        for (peer, name) in peers.iter_mut().rev().zip(names.iter().rev()) {
            acknowledged.insert(name, peer.until_done().0);
        }
        let total = check(&open(dir.path()), &acknowledged).await.len();
        assert!(total >= 4 * peers.len());
        peers.iter_mut().for_each(|peer| peer.order(&total.to_string()));
        for mut peer in peers {
            assert_eq!(peer.next(), "seen");
            peer.close();
        }
    }
}

/// Locks of the engine belong to the process and the file: opening and closing a second store in this process must
/// not cost the first one its locks, or another process takes itself for the last, and removes the log. (The bundled
/// engine looks twice before it does so; the store does not rely on it.)
#[tokio::test]
async fn a_store_closed_in_this_process_leaves_the_other_its_locks() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for round in 0..3 {
        append(&store, "here", round, &mut (2 * round).clone(), &mut 0).await;
        open(dir.path()).close().await;
        let name = format!("there{round}");
        let mut peer = Peer::spawn(dir.path(), &name, 1);
        peer.order("go");
        peer.until_done();
        let total = 4 * (round + 1);
        peer.order(&total.to_string());
        assert_eq!(peer.next(), "seen");
        peer.close();
        assert!(dir.path().join("events.db-wal").exists(), "the log is gone under an open store");
    }
    append(&store, "here", 3, &mut 6, &mut 0).await;
    assert_eq!(check(&store, &BTreeMap::new()).await.len(), 14);
    store.close().await;
    let again = super::try_open(dir.path(), shared()).unwrap();
    assert_eq!(check(&again, &BTreeMap::new()).await.len(), 14);
}
