//! Collections beside puts and publications, cut off at any moment, in many orders that a seed repeats.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::artifact::{
    ArtifactError, Artifacts, Blob, BlobEntry, BlobStat, Blobs, CollectError, MemoryBlobs, NamedArtifacts,
    NothingMore, ReferenceError, ReferenceName, StoredArtifacts, Upload, Which,
};
use daa_core::clock::{ManualClock, SystemClock, Timestamp};
use daa_core::digest::Digest;
use daa_core::seed::Seed;
use rand::Rng as _;

const HOUR: Duration = Duration::from_secs(3_600);

/// Lets others go first before each call, as often as a seed says.
#[derive(Debug)]
struct Interleaved {
    blobs: MemoryBlobs,
    seed: Seed,
    calls: Arc<AtomicUsize>,
}

async fn give_way(seed: Seed, calls: &AtomicUsize) {
    let call = calls.fetch_add(1, Ordering::Relaxed);
    for _ in 0..seed.nth(call as u64).rng().next_u32() % 6 {
        tokio::task::yield_now().await;
    }
}

/// Until a collection has come to any of its steps.
async fn wait(seed: Seed) {
    for _ in 0..seed.child("wait").rng().next_u32() % 90 {
        tokio::task::yield_now().await;
    }
}

#[async_trait]
impl Blobs for Interleaved {
    async fn open(&self, name: &str) -> Result<Option<Box<dyn Blob>>, ArtifactError> {
        give_way(self.seed, &self.calls).await;
        self.blobs.open(name).await
    }

    async fn stat(&self, name: &str) -> Result<Option<BlobStat>, ArtifactError> {
        give_way(self.seed, &self.calls).await;
        self.blobs.stat(name).await
    }

    async fn upload(&self) -> Result<Box<dyn Upload>, ArtifactError> {
        let (upload, seed, calls) = (self.blobs.upload().await?, self.seed, self.calls.clone());
        Ok(Box::new(InterleavedUpload { upload, seed, calls }))
    }

    async fn create(&self, name: &str, bytes: Bytes) -> Result<bool, ArtifactError> {
        give_way(self.seed, &self.calls).await;
        self.blobs.create(name, bytes).await
    }

    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), ArtifactError> {
        give_way(self.seed, &self.calls).await;
        self.blobs.replace(name, bytes).await
    }

    async fn delete(&self, name: &str) -> Result<bool, ArtifactError> {
        give_way(self.seed, &self.calls).await;
        self.blobs.delete(name).await
    }

    async fn list(
        &self,
        under: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BlobEntry>, ArtifactError> {
        give_way(self.seed, &self.calls).await;
        self.blobs.list(under, after, limit).await
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, ArtifactError> {
        self.blobs.sweep(before).await
    }
}

#[derive(Debug)]
struct InterleavedUpload {
    upload: Box<dyn Upload>,
    seed: Seed,
    calls: Arc<AtomicUsize>,
}

#[async_trait]
impl Upload for InterleavedUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ArtifactError> {
        self.upload.write(bytes).await
    }

    async fn commit(&mut self, name: &str) -> Result<(), ArtifactError> {
        give_way(self.seed, &self.calls).await;
        self.upload.commit(name).await
    }
}

/// Ages by a clock that is moved by hand; waits by that of the machine.
fn world(seed: Seed) -> (StoredArtifacts, ManualClock) {
    let clock = ManualClock::new(Timestamp::from_millis(1 << 40));
    let blobs = MemoryBlobs::new(Arc::new(clock.clone()));
    let blobs = Interleaved { blobs, seed, calls: Arc::default() };
    (StoredArtifacts::new(Arc::new(blobs), Arc::new(SystemClock::new())), clock)
}

fn text(range: Range<u64>) -> impl Iterator<Item = Bytes> {
    range.map(|at| Bytes::from(format!("artefact {at}")))
}

#[tokio::test]
async fn what_is_put_again_beside_a_collection_is_there() {
    for seed in 0..300 {
        let (store, clock) = world(Seed::from_u64(seed));
        for bytes in text(0..6) {
            store.put(bytes).await.unwrap();
        }
        clock.advance(2 * HOUR);
        let collecting = store.collect(&NothingMore, HOUR);
        let putting = async {
            for (at, bytes) in text(0..3).enumerate() {
                wait(Seed::from_u64(seed).nth(at as u64)).await;
                let digest = store.put(bytes.clone()).await.unwrap();
                assert_eq!(store.get(&digest).await.unwrap(), Some(bytes), "{seed}");
            }
        };
        let (collected, ()) = tokio::join!(collecting, putting);
        collected.unwrap();
        let mut kept: Vec<_> = text(0..3).map(|bytes| Digest::of(&bytes)).collect();
        kept.sort_unstable();
        assert_eq!(store.list().await.unwrap(), kept, "{seed}");
    }
}

#[tokio::test]
async fn what_is_published_beside_a_collection_is_there_or_refused() {
    let name: ReferenceName = "model".parse().unwrap();
    let mut refused = 0;
    for seed in 0..300 {
        let (store, clock) = world(Seed::from_u64(seed));
        let digest = store.put("model".into()).await.unwrap();
        store.put("garbage".into()).await.unwrap();
        clock.advance(2 * HOUR);
        let publishing = async {
            wait(Seed::from_u64(seed)).await;
            store.publish(&name, None, &digest).await
        };
        let (collected, published) = tokio::join!(store.collect(&NothingMore, HOUR), publishing);
        collected.unwrap();
        let found = store.resolve(&name, &Which::Latest).await.unwrap();
        match published {
            Ok(version) => {
                assert_eq!(found.map(|found| found.version), Some(version), "{seed}");
                assert_eq!(store.get(&digest).await.unwrap(), Some("model".into()), "{seed}");
            }
            Err(ReferenceError::NoArtifact { .. }) => {
                refused += 1;
                assert_eq!((found, store.get(&digest).await.unwrap()), (None, None), "{seed}");
            }
            Err(error) => panic!("{seed}: {error:?}"),
        }
    }
    // Both happened.
    assert!((1..300).contains(&refused), "{refused}");
}

#[tokio::test]
async fn a_collection_that_is_cut_off_keeps_what_is_reachable_and_the_next_one_finishes() {
    let name: ReferenceName = "model".parse().unwrap();
    for calls in 0..60 {
        let (store, clock) = world(Seed::from_u64(calls));
        let kept = store.put(vec![1; 3 << 20].into()).await.unwrap();
        store.publish(&name, None, &kept).await.unwrap();
        for bytes in text(0..4) {
            store.put(bytes).await.unwrap();
        }
        clock.advance(2 * HOUR);
        {
            let mut collecting = std::pin::pin!(store.collect(&NothingMore, HOUR));
            for _ in 0..calls {
                if futures_util::poll!(&mut collecting).is_ready() {
                    break;
                }
            }
        }
        assert_eq!(store.get(&kept).await.unwrap().map(|it| it.len()), Some(3 << 20), "{calls}");
        // Nobody knows that it is dead before its lease has ended.
        if let Err(error) = store.collect(&NothingMore, HOUR).await {
            assert!(matches!(error, CollectError::Busy), "{calls}: {error:?}");
        }
        clock.advance(HOUR);
        store.collect(&NothingMore, HOUR).await.unwrap();
        assert_eq!(store.list().await.unwrap(), [kept], "{calls}");
        assert_eq!(store.resolve(&name, &Which::Latest).await.unwrap().unwrap().digest, kept);
    }
}

#[tokio::test]
async fn two_collections_exclude_each_other() {
    for seed in 0..50 {
        let (store, clock) = world(Seed::from_u64(seed));
        for bytes in text(0..4) {
            store.put(bytes).await.unwrap();
        }
        clock.advance(2 * HOUR);
        let (one, two) = tokio::join!(store.collect(&NothingMore, HOUR), store.collect(&NothingMore, HOUR));
        let outcomes = [one, two];
        assert!(outcomes.iter().any(Result::is_ok), "{seed}: {outcomes:?}");
        for outcome in outcomes {
            assert!(matches!(outcome, Ok(_) | Err(CollectError::Busy)), "{seed}: {outcome:?}");
        }
        assert_eq!(store.list().await.unwrap(), [], "{seed}");
    }
}
