//! Old events in artefacts, over stores that outlive the process.

use std::path::Path;
use std::sync::Arc;

use daa_core::artifact::Artifacts as _;
use daa_core::clock::SystemClock;
use daa_core::event::{Archived, EventStore, RecordedEvent};
use daa_store::folder::FolderArtifacts;

use crate::support::{append, everything, small};

/// Archives, and reads back with a store and artefacts that were opened anew.
pub(crate) async fn survives_a_restart<S: EventStore + 'static>(
    folder: &Path,
    open: impl AsyncFn() -> Arc<S>,
) {
    let archived = async |store: Arc<S>| {
        let artifacts = Arc::new(FolderArtifacts::open(folder).unwrap());
        Archived::new(store, artifacts, Arc::new(SystemClock::new()))
    };
    let store = open().await;
    for tag in 1..=40 {
        append(&*store, small(tag)).await;
    }
    let before = everything(&*store).await;
    let (half, head) = (before[59].position, store.head().await.unwrap());
    let first = archived(store.clone()).await;
    assert_eq!(first.archive(half).await.unwrap(), half);
    assert_eq!(first.archive(head).await.unwrap(), head);
    first.close().await;
    drop((first, store));

    let store = open().await;
    let left = store.read_all(Default::default(), Default::default()).await.unwrap();
    assert!(left.iter().take(before.len()).all(RecordedEvent::is_erased));
    let next = archived(store.clone()).await;
    let read = next.read_all(Default::default(), Default::default()).await.unwrap();
    assert_eq!(read[..before.len()], before[..]);
    // And after what was erased for good.
    let shared = "shared".try_into().unwrap();
    assert_eq!(next.erase(&shared, daa_core::event::Version::new(25)).await.unwrap(), 25);
    next.close().await;
    drop((next, store));
    let next = archived(open().await).await;
    let read = next.read_all(Default::default(), Default::default()).await.unwrap();
    let expected = before.iter().map(|event| match event.stream == shared && event.version.get() <= 25 {
        true => event.clone().into_erased(),
        false => event.clone(),
    });
    assert!(read.iter().take(before.len()).cloned().eq(expected));
    next.close().await;
    drop(next);
    assert_eq!(FolderArtifacts::open(folder).unwrap().list().await.unwrap().len(), 4);
}
