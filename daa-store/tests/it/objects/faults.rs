//! What others do to the objects.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daa_core::artifact::{ArtifactError, Artifacts, ArtifactsExt as _, NamedArtifacts, NothingMore, Which};
use daa_core::digest::Digest;
use futures_util::TryStreamExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::support::over;

const MIB: usize = 1 << 20;

fn bytes(len: usize) -> Bytes {
    (0..len).map(|at| (at % 249) as u8).collect()
}

async fn keys(store: &InMemory, under: &str) -> Vec<Path> {
    let mut keys: Vec<Path> =
        store.list(Some(&under.into())).map_ok(|meta| meta.location).try_collect().await.unwrap();
    keys.sort();
    keys
}

#[tokio::test]
async fn changed_bytes_are_noticed_before_any_of_them_is_given_and_a_put_heals_them() {
    let store = Arc::new(InMemory::new());
    let artifacts = over(store.clone());
    for len in [100, 3 * MIB, 20 * MIB] {
        let whole = bytes(len);
        let digest = artifacts.put(whole.clone()).await.unwrap();
        let key = match &keys(&store, "uploads").await[..] {
            [upload] => upload.clone(),
            _ => Path::from(format!("data/{digest}")),
        };
        let stored = store.get(&key).await.unwrap().bytes().await.unwrap();
        for at in [stored.len() / 2, stored.len() - 1] {
            let mut changed = stored.to_vec();
            changed[at] ^= 1;
            store.put(&key, changed.into()).await.unwrap();
            let got = artifacts.get(&digest).await;
            assert!(
                matches!(got, Err(ArtifactError::Corrupt { digest: named }) if named == digest),
                "{got:?}"
            );
            let at = (at as u64).min(len as u64 - 1);
            let got = artifacts.range(&digest, at..at + 1).await;
            assert!(matches!(got, Err(ArtifactError::Corrupt { .. })), "{got:?}");
            // All that came before is right.
            let mut given = Vec::new();
            let failed = match artifacts.stream(&digest).await {
                // Where the mark behind the bytes was changed.
                Err(error) => error,
                Ok(parts) => {
                    let mut parts = parts.unwrap();
                    loop {
                        match parts.try_next().await {
                            Ok(Some(part)) => given.extend_from_slice(&part),
                            Ok(None) => panic!("it was not noticed"),
                            Err(error) => break error,
                        }
                    }
                }
            };
            assert!(matches!(failed, ArtifactError::Corrupt { .. }), "{failed:?}");
            assert!(given.len() < len && whole.starts_with(&given));
        }
        for cut in [&stored[..stored.len() - 1], &stored[..1], b""] {
            store.put(&key, cut.to_vec().into()).await.unwrap();
            let got = artifacts.get(&digest).await;
            assert!(matches!(got, Err(ArtifactError::Corrupt { .. })), "{got:?}");
        }
        artifacts.put(whole.clone()).await.unwrap();
        assert!(artifacts.get(&digest).await.unwrap().unwrap() == whole);
        artifacts.remove(&digest).await.unwrap();
        assert_eq!(keys(&store, "uploads").await, []);
    }
}

#[tokio::test]
async fn hostile_objects_are_errors_and_harm_nothing_else() {
    let store = Arc::new(InMemory::new());
    let artifacts = over(store.clone());
    let good = artifacts.put(bytes(10 * MIB)).await.unwrap();
    let bad = Digest::of(b"bad");
    let pointer = |id: [u8; 16], size: u64| [&id[..], &size.to_le_bytes(), &[1]].concat();
    for object in [
        vec![],
        vec![0],
        vec![1],
        vec![2; 30],
        pointer([7; 16], 1_000),
        pointer([7; 16], u64::MAX),
        pointer([7; 16], 0),
    ] {
        store.put(&Path::from(format!("data/{bad}")), object.clone().into()).await.unwrap();
        let got = artifacts.get(&bad).await;
        let refused = matches!(got, Err(ArtifactError::Corrupt { .. } | ArtifactError::TooLarge { .. }));
        assert!(refused, "{object:?}: {got:?}");
        assert!(
            artifacts.open(&bad).await.is_err() || artifacts.range(&bad, 0..1).await.is_err(),
            "{object:?}"
        );
        assert_eq!(artifacts.list().await.unwrap().len(), 2);
        assert!(artifacts.remove(&bad).await.unwrap());
    }
    let names = [format!("data/{good}x"), "data/x".into(), format!("data/{good}/y"), "uploads/x".into()];
    for name in &names {
        store.put(&name.as_str().into(), "not ours".into()).await.unwrap();
    }
    assert_eq!(artifacts.list().await.unwrap(), [good]);
    assert_eq!(artifacts.range(&good, 5..9).await.unwrap().unwrap(), bytes(10)[5..9]);
    // Outlines that lie are made anew.
    let outline = Path::from(format!("outline/{good}"));
    let right = store.get(&outline).await.unwrap().bytes().await.unwrap();
    for wrong in [vec![], vec![0], vec![0; 321], vec![1; 41], right.iter().rev().copied().collect()] {
        store.put(&outline, wrong.into()).await.unwrap();
        assert_eq!(artifacts.range(&good, 5..9).await.unwrap().unwrap(), bytes(10)[5..9]);
        assert_eq!(store.get(&outline).await.unwrap().bytes().await.unwrap(), right);
    }
}

#[tokio::test]
async fn damaged_records_are_named_and_stop_a_collection() {
    let store = Arc::new(InMemory::new());
    let artifacts = over(store.clone());
    let digest = artifacts.put("model".into()).await.unwrap();
    let name = "model".parse().unwrap();
    artifacts.publish(&name, None, &digest).await.unwrap();
    let garbage = artifacts.put("garbage".into()).await.unwrap();
    let record = keys(&store, "versions").await.remove(0);
    let right = store.get(&record).await.unwrap().bytes().await.unwrap();
    for wrong in [&b""[..], b"\0", b"\0retire", b"\0\xff\xff", &[0; 70_000], b"\0abc def"] {
        store.put(&record, wrong.to_vec().into()).await.unwrap();
        let resolved = artifacts.resolve(&name, &Which::Latest).await;
        assert!(matches!(resolved, Err(ArtifactError::Damaged { .. })), "{resolved:?}");
        assert!(artifacts.collect(&NothingMore, Duration::ZERO).await.is_err());
        assert_eq!(artifacts.get(&garbage).await.unwrap(), Some("garbage".into()));
        // The collection that failed is taken for alive for a minute.
        for key in keys(&store, "sweep").await {
            store.delete(&key).await.unwrap();
        }
    }
    store.put(&record, right.into()).await.unwrap();
    let collected = artifacts.collect(&NothingMore, Duration::ZERO).await.unwrap();
    assert_eq!((collected.examined, collected.removed), (2, 1));
}

#[tokio::test]
async fn what_uploads_leave_is_removed_by_a_collection_and_nothing_else() {
    let store = Arc::new(InMemory::new());
    let artifacts = over(store.clone());
    let digest = artifacts.put(bytes(20 * MIB)).await.unwrap();
    let upload = keys(&store, "uploads").await.remove(0);
    // Complete, but the crash came before it was pointed at.
    let left = Path::from("uploads/0123456789abcdef0123456789abcdef");
    store.copy(&upload, &left).await.unwrap();
    let collected = artifacts.collect(&NothingMore, Duration::from_secs(3_600)).await.unwrap();
    assert_eq!((collected.removed, collected.uploads), (0, 0));
    artifacts.publish(&"model".parse().unwrap(), None, &digest).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let collected = artifacts.collect(&NothingMore, Duration::ZERO).await.unwrap();
    assert_eq!((collected.removed, collected.uploads), (0, 1));
    assert_eq!(keys(&store, "uploads").await, [upload]);
    assert!(artifacts.get(&digest).await.unwrap().unwrap() == bytes(20 * MIB));
}

#[tokio::test]
async fn a_second_put_leaves_one_upload_and_readers_go_on() {
    let store = Arc::new(InMemory::new());
    let artifacts = over(store.clone());
    let digest = artifacts.put(bytes(20 * MIB)).await.unwrap();
    let reader = artifacts.open(&digest).await.unwrap().unwrap();
    artifacts.put(bytes(20 * MIB)).await.unwrap();
    assert_eq!(keys(&store, "uploads").await.len(), 1);
    assert_eq!(reader.read(3..7).await.unwrap(), bytes(10)[3..7]);
    artifacts.remove(&digest).await.unwrap();
    assert!(reader.read(3..7).await.is_err());
    assert_eq!(keys(&store, "uploads").await, []);
}

#[tokio::test]
async fn a_writer_that_is_given_up_leaves_no_upload() {
    let store = Arc::new(InMemory::new());
    let artifacts = over(store.clone());
    let mut writer = artifacts.writer().await.unwrap();
    writer.write(bytes(30 * MIB)).await.unwrap();
    drop(writer);
    let mut writer = artifacts.writer().await.unwrap();
    writer.write(bytes(30 * MIB)).await.unwrap();
    assert_eq!(keys(&store, "uploads").await, []);
    drop(writer);
    tokio::task::yield_now().await;
    assert_eq!(keys(&store, "uploads").await, []);
    assert_eq!(artifacts.list().await.unwrap(), []);
}
