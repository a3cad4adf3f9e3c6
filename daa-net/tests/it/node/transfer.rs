//! Contents that are fetched, on every transport.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::artifact::{Artifacts as _, MemoryArtifacts};
use daa_core::digest::Digest;
use daa_net::transfer::{
    ArtifactSource, FetchError, FetchOptions, FileSink, FileSource, GROUP, MemorySink, MemorySource,
    Misbehaved, Outline, PeerEnd, Sink, Source,
};
use daa_net::{Node, NodeOptions};
use tokio::sync::Notify;

use crate::support::{World, auth};

async fn node(world: &World) -> Node {
    let auth = auth();
    let transport = world.join(auth.clone()).await;
    Node::start(&auth, transport, NodeOptions::new()).await.unwrap()
}

/// A node that shares nothing and is connected to one for each source.
async fn nodes(world: &World, sources: Vec<Arc<dyn Source>>) -> (Node, Vec<Node>) {
    let fetcher = node(world).await;
    let mut sharers = Vec::new();
    for source in sources {
        let sharer = node(world).await;
        sharer.share(source);
        fetcher.join(&sharer.addresses()).await.unwrap();
        sharers.push(sharer);
    }
    (fetcher, sharers)
}

fn content(size: u64) -> Vec<u8> {
    (0..size).map(|at| (at % 251 + at / GROUP) as u8).collect()
}

fn shared(bytes: &[u8]) -> Arc<MemorySource> {
    let source = MemorySource::new();
    source.add(bytes.to_vec());
    Arc::new(source)
}

/// What a bad source does where a group is read.
#[derive(Clone, Copy, Debug)]
enum Badly {
    /// Gives other bytes.
    Lies,
    /// Gives nothing, ever.
    Stalls,
    /// Fails.
    Fails,
    /// Gives so many groups, and then nothing, ever.
    Tires(usize),
}

#[derive(Debug)]
struct Bad {
    outline: Arc<Outline>,
    bytes: Bytes,
    how: Badly,
    given: AtomicUsize,
    tired: Arc<Notify>,
}

impl Bad {
    fn new(bytes: &[u8], how: Badly) -> Arc<Self> {
        let (outline, bytes) = (Arc::new(Outline::of(bytes)), bytes.to_vec().into());
        Arc::new(Self { outline, bytes, how, given: AtomicUsize::new(0), tired: Arc::default() })
    }
}

#[async_trait]
impl Source for Bad {
    async fn outline(&self, digest: &Digest) -> io::Result<Option<Arc<Outline>>> {
        Ok((*digest == self.outline.digest()).then(|| self.outline.clone()))
    }

    async fn read(&self, _: &Digest, range: Range<u64>) -> io::Result<Bytes> {
        let bytes = self.bytes.slice(range.start as usize..range.end as usize);
        if range.end == self.outline.size() {
            // With the outline.
            return Ok(bytes);
        }
        match self.how {
            Badly::Lies => Ok(vec![0xbd; bytes.len()].into()),
            Badly::Fails => Err(io::Error::other("on purpose")),
            Badly::Tires(after) if self.given.fetch_add(1, Ordering::SeqCst) < after => Ok(bytes),
            Badly::Stalls | Badly::Tires(_) => {
                self.tired.notify_one();
                std::future::pending().await
            }
        }
    }
}

/// Answers every question with the outline of something else.
#[derive(Debug)]
struct Other(MemorySource, Digest);

#[async_trait]
impl Source for Other {
    async fn outline(&self, _: &Digest) -> io::Result<Option<Arc<Outline>>> {
        self.0.outline(&self.1).await
    }

    async fn read(&self, _: &Digest, range: Range<u64>) -> io::Result<Bytes> {
        self.0.read(&self.1, range).await
    }
}

pub(super) async fn contents_of_all_sizes_arrive(world: World) {
    let source = Arc::new(MemorySource::new());
    let (a, others) = nodes(&world, vec![source.clone()]).await;
    for size in [0, 1, 1_023, 1_024, 1_025, GROUP - 1, GROUP, GROUP + 1, 5 * GROUP + 7] {
        let bytes = content(size);
        let digest = source.add(bytes.clone());
        let sink = MemorySink::new();
        let fetched = a.fetch(digest, &[others[0].id()], &sink, FetchOptions::default()).await.unwrap();
        assert_eq!((fetched.size, fetched.resumed), (size, 0));
        assert_eq!(fetched.peers[&others[0].id()].bytes, size);
        assert!(sink.into_bytes() == bytes, "{size}");
    }
}

pub(super) async fn who_lies_is_named_and_the_others_suffice(world: World) {
    let bytes = content(6 * GROUP + 1);
    let digest = Digest::of(&bytes);
    let other = MemorySource::new();
    let wrong = other.add(content(3 * GROUP));
    let (a, peers) = nodes(
        &world,
        vec![
            shared(&bytes),
            Bad::new(&bytes, Badly::Lies),
            Arc::new(Other(other, wrong)),
            Bad::new(&bytes, Badly::Stalls),
            Arc::new(MemorySource::new()),
        ],
    )
    .await;
    let from: Vec<_> = peers.iter().map(Node::id).collect();
    let sink = MemorySink::new();
    let fetched = a.fetch(digest, &from, &sink, FetchOptions::default()).await.unwrap();
    assert!(sink.into_bytes() == bytes);
    assert_eq!(fetched.peers.values().map(|peer| peer.bytes).sum::<u64>(), fetched.size);
    assert_eq!(fetched.peers[&from[0]].ended, None);
    // Those that had answered before all was there are named, each for what it did.
    for (peer, report) in &fetched.peers {
        let Some(ended) = &report.ended else { continue };
        let is_right = match from.iter().position(|from| from == peer).unwrap() {
            1 => matches!(ended, PeerEnd::Misbehaved(Misbehaved::WrongBytes { .. })),
            // Of groups that its content has not got it says so.
            2 => [PeerEnd::Misbehaved(Misbehaved::WrongOutline), PeerEnd::Missing].contains(ended),
            4 => *ended == PeerEnd::Missing,
            _ => false,
        };
        assert!(is_right, "{peer}: {ended:?}");
    }
    // By itself each is found out for certain.
    let alone = async |peer: usize| {
        // Only who stalls is not waited for.
        let time = if peer == 3 { Duration::from_millis(200) } else { Duration::from_secs(60) };
        let options = FetchOptions::default().with_timeout(time);
        match a.fetch(digest, &[from[peer]], &MemorySink::new(), options).await {
            Err(FetchError::NoPeer { peers }) => peers[&from[peer]].ended.clone().unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let lies = alone(1).await;
    assert!(matches!(lies, PeerEnd::Misbehaved(Misbehaved::WrongBytes { .. })), "{lies:?}");
    assert_eq!(alone(2).await, PeerEnd::Misbehaved(Misbehaved::WrongOutline));
    assert_eq!(alone(3).await, PeerEnd::Slow);
    assert_eq!(alone(4).await, PeerEnd::Missing);
}

pub(super) async fn who_fails_or_is_away_is_given_up(world: World) {
    let bytes = content(2 * GROUP);
    let (a, peers) = nodes(&world, vec![Bad::new(&bytes, Badly::Fails)]).await;
    let away = daa_net::NodeId::from_bytes([9; 32]);
    for peer in [peers[0].id(), away] {
        match a.fetch(Digest::of(&bytes), &[peer], &MemorySink::new(), FetchOptions::default()).await {
            Err(FetchError::NoPeer { peers }) => {
                assert!(matches!(peers[&peer].ended, Some(PeerEnd::Lost(_))), "{peers:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    let options = FetchOptions::default().with_max_size(2 * GROUP - 1);
    match a.fetch(Digest::of(&bytes), &[peers[0].id()], &MemorySink::new(), options).await {
        Err(FetchError::NoPeer { peers: reports }) => {
            let size = 2 * GROUP;
            assert_eq!(reports[&peers[0].id()].ended, Some(PeerEnd::TooLarge { size }));
        }
        other => panic!("{other:?}"),
    }
}

pub(super) async fn what_was_left_in_the_middle_goes_on(world: World) {
    let bytes = content(6 * GROUP + 5);
    let digest = Digest::of(&bytes);
    let tires = Bad::new(&bytes, Badly::Tires(3));
    let tired = tires.tired.clone();
    let (a, peers) = nodes(&world, vec![tires, shared(&bytes)]).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("content");
    let sink = FileSink::new(&path);
    // One at a time, so that three are written when the fourth is asked for.
    let options = FetchOptions::default().with_outstanding(1, 1);
    let from = [peers[0].id()];
    tokio::select! {
        fetched = a.fetch(digest, &from, &sink, options) => panic!("{fetched:?}"),
        () = tired.notified() => {}
    }
    assert!(!path.exists());
    let partial = sink.partial(&digest);
    // Of what is there, one group is spoilt.
    let mut there = std::fs::read(&partial).unwrap();
    there[GROUP as usize + 3] ^= 1;
    std::fs::write(&partial, there).unwrap();

    let sink = FileSink::new(&path);
    let fetched = a.fetch(digest, &[peers[1].id()], &sink, FetchOptions::default()).await.unwrap();
    // Of three and the last one.
    assert_eq!(fetched.resumed, 3);
    assert_eq!(fetched.peers[&peers[1].id()].bytes, 3 * GROUP + GROUP);
    assert!(std::fs::read(&path).unwrap() == bytes);
    assert!(!partial.exists());

    // And it can be had from there.
    let files = FileSource::new();
    assert_eq!(files.add(&path).await.unwrap(), digest);
    a.share(Arc::new(files));
    let sink = MemorySink::new();
    peers[0].fetch(digest, &[a.id()], &sink, FetchOptions::default()).await.unwrap();
    assert!(sink.into_bytes() == bytes);
}

pub(super) async fn who_ends_in_the_middle_is_replaced(world: World) {
    let bytes = content(8 * GROUP);
    let digest = Digest::of(&bytes);
    let tires = Bad::new(&bytes, Badly::Tires(2));
    let tired = tires.tired.clone();
    let (a, mut peers) = nodes(&world, vec![tires, shared(&bytes)]).await;
    let from = [peers[0].id(), peers[1].id()];
    let dying = peers.remove(0);
    let sink = MemorySink::new();
    let fetch = a.fetch(digest, &from, &sink, FetchOptions::default());
    let die = async {
        tokio::time::timeout(Duration::from_secs(1), tired.notified()).await.ok();
        dying.leave().await;
    };
    let (fetched, ()) = tokio::join!(fetch, die);
    assert_eq!(fetched.unwrap().size, 8 * GROUP);
    assert!(sink.into_bytes() == bytes);
}

/// Counts the groups that are being written.
#[derive(Debug, Default)]
struct Slow {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Sink for Slow {
    async fn begin(&self, _: &Outline) -> io::Result<std::collections::BTreeSet<u64>> {
        Ok([2, 3].into())
    }

    async fn write(&self, _: &Outline, group: u64, _: Bytes) -> io::Result<()> {
        assert!(![2, 3].contains(&group));
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        if group == 11 { Err(io::Error::other("the disk is full")) } else { Ok(()) }
    }

    async fn finish(&self, _: &Outline) -> io::Result<()> {
        panic!("it is not whole");
    }
}

pub(super) async fn no_more_groups_are_in_memory_than_was_said(world: World) {
    let bytes = content(14 * GROUP);
    let sources: Vec<Arc<dyn Source>> = (0..3).map(|_| shared(&bytes) as _).collect();
    let (a, peers) = nodes(&world, sources).await;
    let from: Vec<_> = peers.iter().map(Node::id).collect();
    let sink = Slow::default();
    let options = FetchOptions::default().with_outstanding(3, 2);
    let fetched = a.fetch(Digest::of(&bytes), &from, &sink, options).await;
    assert!(matches!(fetched, Err(FetchError::Sink(_))), "{fetched:?}");
    assert!((1..=3).contains(&sink.most.load(Ordering::SeqCst)));
}

pub(super) async fn artefacts_are_shared_as_they_come_and_go(world: World) {
    let artifacts = Arc::new(MemoryArtifacts::new());
    let (a, peers) = nodes(&world, vec![Arc::new(ArtifactSource::new(artifacts.clone()))]).await;
    let from = [peers[0].id()];
    for size in [0, 5, GROUP, 3 * GROUP + 17] {
        let bytes = content(size);
        let digest = artifacts.put(bytes.clone().into()).await.unwrap();
        let sink = MemorySink::new();
        assert_eq!(a.fetch(digest, &from, &sink, FetchOptions::default()).await.unwrap().size, size);
        assert!(sink.into_bytes() == bytes);
        artifacts.remove(&digest).await.unwrap();
        let gone = a.fetch(digest, &from, &MemorySink::new(), FetchOptions::default()).await.unwrap_err();
        let FetchError::NoPeer { peers } = gone else { panic!("{gone:?}") };
        assert_eq!(peers[&from[0]].ended, Some(PeerEnd::Missing));
    }
}
