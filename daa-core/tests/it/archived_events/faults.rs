//! The process ends, or an engine fails, at any step: before it took place, or after it without an answer.

use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::artifact::{ArtifactError, ArtifactInfo, ArtifactReader, ArtifactWriter};
use daa_core::digest::Digest;
use daa_core::event::{AppendError, Appended, Subscription};

use super::*;

/// How many more steps there are until everything fails, and whether the last one takes place.
#[derive(Debug)]
struct Fuse {
    steps: AtomicI64,
    after: bool,
}

impl Fuse {
    /// Whether a step takes place, and whether it is answered.
    fn step(&self) -> (bool, bool) {
        let left = self.steps.fetch_sub(1, Ordering::AcqRel);
        (left > 0 || (left == 0 && self.after), left > 0)
    }

    fn has_blown(&self) -> bool {
        self.steps.load(Ordering::Acquire) < 0
    }
}

#[derive(Debug)]
struct Failing<T>(Arc<T>, Arc<Fuse>);

fn gone() -> AppendError {
    AppendError::Unavailable { source: "it is gone".into() }
}

#[async_trait]
impl EventStore for Failing<MemoryEventStore> {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        let (happens, answers) = self.1.step();
        let done = if happens { self.0.append(batch).await? } else { return Err(gone()) };
        if answers { Ok(done) } else { Err(gone()) }
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.0.read_stream(stream, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.0.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.0.subscribe(after).await
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        let (happens, answers) = self.1.step();
        let done = if happens { self.0.erase(stream, up_to).await? } else { return Err(gone()) };
        if answers { Ok(done) } else { Err(gone()) }
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.0.head().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[async_trait]
impl Artifacts for Failing<MemoryArtifacts> {
    async fn put(&self, bytes: Bytes) -> Result<Digest, ArtifactError> {
        let (happens, answers) = self.1.step();
        let gone = || ArtifactError::unavailable("it is gone");
        let done = if happens { self.0.put(bytes).await? } else { return Err(gone()) };
        if answers { Ok(done) } else { Err(gone()) }
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, ArtifactError> {
        self.0.get(digest).await
    }

    async fn remove(&self, digest: &Digest) -> Result<bool, ArtifactError> {
        self.0.remove(digest).await
    }

    async fn list(&self) -> Result<Vec<Digest>, ArtifactError> {
        self.0.list().await
    }

    async fn page(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<ArtifactInfo>, ArtifactError> {
        self.0.page(after, limit).await
    }

    async fn writer(&self) -> Result<Box<dyn ArtifactWriter>, ArtifactError> {
        self.0.writer().await
    }

    async fn open(&self, digest: &Digest) -> Result<Option<Box<dyn ArtifactReader>>, ArtifactError> {
        self.0.open(digest).await
    }
}

/// A store with two archived parts and something behind them.
async fn half_archived() -> (Arc<MemoryEventStore>, Arc<MemoryArtifacts>) {
    let (store, artifacts) = (Arc::new(MemoryEventStore::new()), Arc::new(MemoryArtifacts::new()));
    let archived = over(store.clone(), artifacts.clone());
    for _ in 0..3 {
        append(&archived, "a", 3).await;
        append(&archived, "b", 2).await;
    }
    archived.archive(Position::new(4)).await.unwrap();
    archived.archive(Position::new(8)).await.unwrap();
    append(&archived, "a", 3).await;
    (store, artifacts)
}

const FUSES: Range<i64> = 0..40;

#[tokio::test]
async fn archiving_that_ends_at_any_step_loses_nothing_and_is_taken_up_again() {
    for after in [false, true] {
        let mut ends = 0;
        for steps in FUSES {
            let (store, artifacts) = half_archived().await;
            let before = everything(&over(store.clone(), artifacts.clone()), 100).await;
            let fuse = Arc::new(Fuse { steps: AtomicI64::new(steps), after });
            let failing = over(
                Arc::new(Failing(store.clone(), fuse.clone())),
                Arc::new(Failing(artifacts.clone(), fuse.clone())),
            );
            let ended = failing.archive(Position::new(15)).await;
            assert_eq!(ended.is_err(), fuse.has_blown(), "{ended:?}");
            ends += u32::from(ended.is_err());
            // Whoever comes next, and the one that failed, see the same.
            assert_eq!(everything(&failing, 100).await, before, "after {steps} steps");
            let next = over(store.clone(), artifacts);
            assert_eq!(everything(&next, 100).await, before, "after {steps} steps");
            let done = next.archive(Position::new(15)).await.unwrap();
            assert!(done >= Position::new(15), "{done}");
            assert_eq!(everything(&next, 100).await, before);
            let kept = everything(&*store, 100).await.iter().filter(|event| !event.is_erased()).count();
            assert_eq!(kept, before.len() - 15, "what is behind is left");
            if ended.is_ok() {
                break;
            }
        }
        // Begun, put, named, and the erasures of two streams.
        assert_eq!(ends, 5);
    }
}

#[tokio::test]
async fn erasing_that_ends_at_any_step_erases_a_prefix_and_is_taken_up_again() {
    for after in [false, true] {
        let mut ends = 0;
        for steps in FUSES {
            let (store, artifacts) = half_archived().await;
            let fuse = Arc::new(Fuse { steps: AtomicI64::new(steps), after });
            let failing = over(
                Arc::new(Failing(store.clone(), fuse.clone())),
                Arc::new(Failing(artifacts.clone(), fuse.clone())),
            );
            let ended = failing.erase(&stream("a"), Version::new(8)).await;
            ends += u32::from(ended.is_err());
            let next = over(store, artifacts);
            let read = whole(&next, "a").await;
            let gone = erased(&read);
            assert!(read.iter().take(gone).all(RecordedEvent::is_erased), "a prefix, after {steps} steps");
            assert!(gone <= 8);
            let more = next.erase(&stream("a"), Version::new(8)).await.unwrap();
            assert_eq!(gone as u64 + more, 8);
            assert_eq!(erased(&whole(&next, "a").await), 8);
            assert_eq!(erased(&whole(&next, "b").await), 0);
            if let Ok(events) = ended {
                assert_eq!(events, 8);
                break;
            }
        }
        // Two parts are put and named anew, and the store erases twice.
        assert_eq!(ends, 6);
    }
}

#[tokio::test]
async fn an_artefact_that_was_collected_before_it_was_of_use_is_put_again() {
    let (store, artifacts) = half_archived().await;
    let before = everything(&over(store.clone(), artifacts.clone()), 100).await;
    // Begun and named; nothing is erased yet.
    let fuse = Arc::new(Fuse { steps: AtomicI64::new(2), after: false });
    let failing = over(Arc::new(Failing(store.clone(), fuse)), artifacts.clone());
    failing.archive(Position::new(15)).await.unwrap_err();
    let known = artifacts.list().await.unwrap();
    for part in &known {
        let bytes = artifacts.get(part).await.unwrap().unwrap();
        if bytes.windows(3).any(|text| text == b"a 8") {
            artifacts.remove(part).await.unwrap();
        }
    }
    assert_eq!(artifacts.list().await.unwrap().len(), known.len() - 1);
    let next = over(store, artifacts.clone());
    next.archive(Position::new(15)).await.unwrap();
    assert_eq!(everything(&next, 100).await, before);
    assert!(artifacts.list().await.unwrap().len() >= known.len());
}
