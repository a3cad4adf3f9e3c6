//! The statements of new keys: published with what they are needed for, and restored where they are gone.

use std::sync::Arc;

use daa_core::event::{EventStore, Version};
use daa_rules::audit::{AuditError, Bundle, LogFile, NoteSigner, TileStore};

use super::world::{Staged, World, key};

const FIRST: &str = "rotation/001";

/// A log that got two more keys, with records before, between and after; and the world of its last key.
async fn rotated() -> World {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    for seed in [2, 3] {
        world.pay_often(&format!("before-{seed}"), 2).await;
        log.rotate(Arc::new(key(seed))).await.unwrap();
    }
    world.pay_often("after", 2).await;
    log.catch_up().await.unwrap();
    world.with_key(3)
}

#[tokio::test]
async fn a_statement_that_could_not_be_written_is_published_with_the_next_step() {
    let world = World::new();
    let staged = Staged::over(world.tiles.clone());
    let mut log = world.open_with(world.store.clone(), staged.clone(), world.keeper.clone()).await.unwrap();
    world.pay_often("first", 2).await;
    staged.fail_at(FIRST);
    let error = log.rotate(Arc::new(key(2))).await.unwrap_err();
    assert!(matches!(error, AuditError::Storage(_)), "{error}");
    // The log has the key, and shows nothing that is signed by it alone.
    assert_eq!(log.key(), key(2).public());
    let published = world.reader().checkpoint().await.unwrap().unwrap();
    world.trust().verify(&published).unwrap();
    world.pay_often("second", 2).await;
    log.advance().await.unwrap();
    log.advance().await.unwrap();
    let reader = world.reader();
    assert_eq!(reader.rotations().await.unwrap().len(), 1);
    let bundle = Bundle::of_records(&reader, &[0, 6, 12]).await.unwrap();
    let verified = bundle.verify(&world.trust()).unwrap();
    assert_eq!((verified.rotations, verified.key), (1, key(2).public_key().clone()));
}

#[tokio::test]
async fn a_log_without_records_gets_a_new_key_too() {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    log.rotate(Arc::new(key(2))).await.unwrap();
    assert_eq!(world.reader().rotations().await.unwrap().len(), 1);
    world.pay_often("first", 2).await;
    log.catch_up().await.unwrap();
    let bundle = Bundle::of_records(&world.reader(), &[0, 6]).await.unwrap();
    assert_eq!(bundle.verify(&world.trust()).unwrap().rotations, 1);
}

#[tokio::test]
async fn statements_that_are_gone_or_others_are_restored_from_the_store() {
    let world = rotated().await;
    let good = world.tiles.files();
    let (first, second) = (good[FIRST].clone(), good["rotation/002"].clone());
    for (path, bytes) in [
        (FIRST, None),
        ("rotation/002", None),
        (FIRST, Some("nothing".into())),
        (FIRST, Some(second.clone())),
        ("rotation/002", Some(first.clone())),
    ] {
        let mut files = good.clone();
        match bytes {
            Some(bytes) => files.insert(path.to_owned(), bytes),
            None => files.remove(path),
        };
        world.tiles.restore(files);
        world.open().await.unwrap();
        let now = world.tiles.files();
        assert_eq!((&now[FIRST], &now["rotation/002"]), (&first, &second), "{path}");
    }
}

#[tokio::test]
async fn a_statement_that_nobody_has_any_more_is_not_passed_over() {
    let world = rotated().await;
    let stream = "audit/treasury".parse().unwrap();
    let last =
        world.store.read_stream(&stream, Version::EMPTY, Default::default()).await.unwrap().len() as u64;
    world.store.erase(&stream, Version::new(last - 1)).await.unwrap();
    // It is in the files: the events are not needed.
    world.open().await.unwrap();
    let mut files = world.tiles.files();
    let statement = files.remove(FIRST).unwrap();
    world.tiles.restore(files);
    let error = world.open().await.unwrap_err();
    assert!(matches!(error, AuditError::StatementLost { number: 1 }), "{error}");
    // Put back from a copy, all is well.
    world.tiles.write(vec![LogFile::new(FIRST.to_owned(), statement)]).await.unwrap();
    world.open().await.unwrap();
}
