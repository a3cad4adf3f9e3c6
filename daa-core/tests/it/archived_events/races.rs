//! Those who archive, erase, write and read at once.

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::artifact::{ArtifactError, ArtifactInfo, ArtifactReader, ArtifactWriter};
use daa_core::digest::Digest;
use daa_core::fault::{Reaction as _, Retry};
use tokio::sync::Semaphore;

use super::*;

/// Artefacts of which each put waits to be let through.
#[derive(Debug)]
struct Gated {
    artifacts: Arc<MemoryArtifacts>,
    waits: Arc<Semaphore>,
    passes: Arc<Semaphore>,
}

#[async_trait]
impl Artifacts for Gated {
    async fn put(&self, bytes: Bytes) -> Result<Digest, ArtifactError> {
        self.waits.add_permits(1);
        self.passes.acquire().await.unwrap().forget();
        self.artifacts.put(bytes).await
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, ArtifactError> {
        self.artifacts.get(digest).await
    }

    async fn remove(&self, digest: &Digest) -> Result<bool, ArtifactError> {
        self.artifacts.remove(digest).await
    }

    async fn list(&self) -> Result<Vec<Digest>, ArtifactError> {
        self.artifacts.list().await
    }

    async fn page(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<ArtifactInfo>, ArtifactError> {
        self.artifacts.page(after, limit).await
    }

    async fn writer(&self) -> Result<Box<dyn ArtifactWriter>, ArtifactError> {
        self.artifacts.writer().await
    }

    async fn open(&self, digest: &Digest) -> Result<Option<Box<dyn ArtifactReader>>, ArtifactError> {
        self.artifacts.open(digest).await
    }
}

#[tokio::test]
async fn what_is_erased_while_somebody_archives_it_does_not_come_back() {
    let (store, artifacts) = (Arc::new(MemoryEventStore::new()), Arc::new(MemoryArtifacts::new()));
    let (waits, passes) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let gated = Gated { artifacts: artifacts.clone(), waits: waits.clone(), passes: passes.clone() };
    let slow = Arc::new(over(store.clone(), Arc::new(gated)));
    let quick = over(store.clone(), artifacts);
    append(&quick, "a", 5).await;
    append(&quick, "b", 5).await;
    let archiving = {
        let slow = slow.clone();
        tokio::spawn(async move { slow.archive(Position::new(10)).await })
    };
    // It has read what it will put.
    waits.acquire().await.unwrap().forget();
    assert_eq!(quick.erase(&stream("a"), Version::new(3)).await.unwrap(), 3);
    passes.add_permits(9);
    assert_eq!(archiving.await.unwrap().unwrap(), Position::new(10));
    for archived in [&quick, &*slow] {
        assert_eq!(erased(&whole(archived, "a").await), 3);
        assert_eq!(erased(&whole(archived, "b").await), 0);
    }
    assert_eq!(erased(&everything(&*store, 100).await), 10, "and all of it is archived");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_never_miss_content_while_others_archive_erase_and_write() {
    const ROUNDS: u64 = 60;
    let (store, artifacts) = (Arc::new(MemoryEventStore::new()), Arc::new(MemoryArtifacts::new()));
    let handle = || Arc::new(over(store.clone(), artifacts.clone()));
    append(&*handle(), "kept", 5).await;
    append(&*handle(), "goes", 5).await;
    let writing = {
        let archived = handle();
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                append(&*archived, "kept", 3).await;
                append(&*archived, "goes", 2).await;
                tokio::task::yield_now().await;
            }
        })
    };
    let archiving = [(); 2].map(|()| {
        let archived = handle();
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                let head = archived.head().await.unwrap();
                match archived.archive(head).await {
                    Ok(_) | Err(ArchiveError::Contended { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    });
    let erasing = {
        let (archived, another) = (handle(), handle());
        tokio::spawn(async move {
            for up_to in 1..=ROUNDS {
                while whole(&*another, "goes").await.len() < up_to as usize {
                    tokio::task::yield_now().await;
                }
                // Those who archive may be in its way for longer than it tries.
                while let Err(error) = archived.erase(&stream("goes"), Version::new(up_to)).await {
                    assert_ne!(error.retry(), Retry::Never, "{error:?}");
                    tokio::task::yield_now().await;
                }
                let page = PageSize::new(up_to as usize);
                let read = another.read_stream(&stream("goes"), Version::EMPTY, page).await.unwrap();
                assert!(read.iter().all(RecordedEvent::is_erased), "acknowledged, and there again");
            }
        })
    };
    let reading = {
        let archived = handle();
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                assert_eq!(erased(&whole(&*archived, "kept").await), 0, "content is missing");
            }
        })
    };
    for task in archiving.into_iter().chain([writing, erasing, reading]) {
        task.await.unwrap();
    }
    let archived = handle();
    let head = archived.head().await.unwrap();
    archived.archive(head).await.unwrap();
    let kept = whole(&*archived, "kept").await;
    let payloads: Vec<_> =
        kept.iter().map(|event| String::from_utf8(event.payload.to_vec()).unwrap()).collect();
    let expected: Vec<_> = (0..5 + 3 * ROUNDS).map(|number| format!("kept {number}")).collect();
    assert_eq!(payloads, expected);
    assert_eq!(erased(&whole(&*archived, "goes").await) as u64, ROUNDS);
}
