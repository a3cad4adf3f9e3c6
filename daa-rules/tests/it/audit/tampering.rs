//! Changed, deleted, reordered, cut off, forked, put back: each is noticed.

use std::sync::Arc;

use bytes::Bytes;
use daa_core::event::{EventStore, PageSize, Position, RecordedEvent};
use daa_rules::audit::{
    AuditError, AuditLog, AuditOptions, AuditParts, Bundle, Checkpoint, KeeperInMemory, LogFault, LogReader,
    MemoryTiles, VerifyError,
};
use proptest::prelude::*;

use super::world::{NAME, Staged, World, rewritten};

/// A log of some payments, and its checkpoint.
async fn logged(payments: usize) -> (World, Checkpoint) {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("pay", payments).await;
    let checkpoint = log.catch_up().await.unwrap();
    (world, checkpoint)
}

/// The log's files, changed by somebody who can write to them.
fn with_files(
    world: &World,
    change: impl FnOnce(&mut std::collections::BTreeMap<String, Bytes>),
) -> LogReader {
    let mut files = world.tiles.files();
    change(&mut files);
    let tiles = MemoryTiles::new();
    tiles.restore(files);
    LogReader::new(Arc::new(tiles))
}

#[tokio::test]
async fn every_byte_of_every_file_is_covered() {
    let (world, checkpoint) = logged(2).await;
    for (path, bytes) in world.tiles.files() {
        for at in 0..bytes.len() {
            let reader = with_files(&world, |files| {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1;
                files.insert(path.clone(), changed.into());
            });
            if path == "checkpoint" {
                let note = reader.checkpoint().await;
                let verified = note.is_ok_and(|note| world.trust().verify(&note.unwrap()).is_ok());
                assert!(!verified, "byte {at} of the checkpoint can be changed");
            } else {
                let found = reader.check(&checkpoint, |_, _| {}).await;
                assert!(found.is_err(), "byte {at} of {path} can be changed");
            }
        }
    }
}

#[tokio::test]
async fn every_file_is_needed() {
    let (world, checkpoint) = logged(100).await;
    for path in world.tiles.files().into_keys() {
        let reader = with_files(&world, |files| {
            files.remove(&path);
        });
        if path == "checkpoint" {
            assert!(reader.checkpoint().await.unwrap().is_none());
        } else {
            let found = reader.check(&checkpoint, |_, _| {}).await;
            assert!(matches!(found, Err(LogFault::Files(_))), "{path} is not needed");
        }
    }
}

/// Rewrites the first bundle of a log.
fn with_records(world: &World, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> LogReader {
    with_files(world, |files| {
        let path = files.keys().find(|path| path.starts_with("tile/entries/000")).unwrap().clone();
        let (mut records, mut rest) = (Vec::new(), files[&path].clone());
        while !rest.is_empty() {
            let len = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            records.push(rest[2..2 + len].to_vec());
            rest = rest.slice(2 + len..);
        }
        change(&mut records);
        let mut bytes = Vec::new();
        for record in records {
            bytes.extend_from_slice(&(record.len() as u16).to_be_bytes());
            bytes.extend_from_slice(&record);
        }
        files.insert(path, bytes.into());
    })
}

#[tokio::test]
async fn a_record_that_was_deleted_repeated_moved_or_cut_off_is_noticed() {
    let (world, checkpoint) = logged(4).await;
    type Change = fn(&mut Vec<Vec<u8>>);
    let changes: [(&str, Change); 5] = [
        ("deleted", |records| drop(records.remove(3))),
        ("repeated", |records| records.insert(3, records[3].clone())),
        ("moved", |records| records.swap(0, 1)),
        ("replaced", |records| records[5] = records[2].clone()),
        ("cut off", |records| drop(records.pop())),
    ];
    for (name, change) in changes {
        let found = with_records(&world, change).check(&checkpoint, |_, _| {}).await;
        assert!(found.is_err(), "a record was {name}");
    }
    with_records(&world, |_| {}).check(&checkpoint, |_, _| {}).await.unwrap();
}

#[tokio::test]
async fn a_tree_whose_records_are_out_of_order_is_refused_though_its_hashes_fit() {
    // Two logs of one store, opened one after the other; the second begins with what the first had last.
    let (world, _) = logged(2).await;
    let checkpoint = forge(&world, |records| records.swap(0, 1)).await;
    let (reader, checkpoint) = checkpoint;
    let found = reader.check(&checkpoint, |_, _| {}).await;
    assert!(matches!(found, Err(LogFault::Order { index: 1, .. })), "{found:?}");
}

/// A log whose tiles are those of changed records: what somebody with the key can make.
async fn forge(world: &World, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> (LogReader, Checkpoint) {
    let mut records = Vec::new();
    let size = Checkpoint::parse(world.reader().checkpoint().await.unwrap().unwrap().text()).unwrap().size;
    for index in 0..size {
        records.push(world.reader().record(index, size).await.unwrap().to_vec());
    }
    change(&mut records);
    let size = records.len();
    assert!((2..256).contains(&size));
    let (mut bundle, mut leaves) = (Vec::new(), Vec::new());
    for record in &records {
        bundle.extend_from_slice(&(record.len() as u16).to_be_bytes());
        bundle.extend_from_slice(record);
        leaves.push(daa_rules::audit::TreeHash::leaf(record));
    }
    let hashes: Vec<u8> = leaves.iter().flat_map(|leaf| *leaf.as_bytes()).collect();
    let tiles = MemoryTiles::new();
    tiles.restore(
        [
            (format!("tile/entries/000.p/{size}"), bundle.into()),
            (format!("tile/0/000.p/{size}"), hashes.into()),
        ]
        .into(),
    );
    let reader = LogReader::new(Arc::new(tiles));
    let root = reader.root(size as u64).await.unwrap();
    let checkpoint = Checkpoint::new("example.org/treasury".parse().unwrap(), size as u64, root).unwrap();
    (reader, checkpoint)
}

#[tokio::test]
async fn a_log_that_was_made_anew_without_the_key_does_not_have_the_root_that_was_signed() {
    let (world, checkpoint) = logged(3).await;
    type Change = fn(&mut Vec<Vec<u8>>);
    let changes: [(&str, Change); 2] = [
        ("changed", |records| {
            let text = String::from_utf8(records[4].clone()).unwrap();
            records[4] = text.replace("\"attempt\":1", "\"attempt\":2").into_bytes();
        }),
        ("replaced by another", |records| {
            // The last one is left out, and another put in, so that there are as many.
            let text = String::from_utf8(records.pop().unwrap()).unwrap();
            records.push(text.replace("pay-2", "pay-3").into_bytes());
        }),
    ];
    // Records and tiles fit each other: only what was signed tells.
    for (name, change) in changes {
        let (reader, made) = forge(&world, change).await;
        reader.check(&made, |_, _| {}).await.unwrap();
        let found = reader.check(&checkpoint, |_, _| {}).await;
        assert!(matches!(found, Err(LogFault::Root { size: 9, .. })), "a record was {name}: {found:?}");
    }
}

#[tokio::test]
async fn an_event_that_the_log_left_out_is_noticed() {
    let (world, checkpoint) = logged(3).await;
    // A log of its own that is whole, and lacks a record: what somebody with the key can make.
    let (reader, made) = forge(&world, |records| drop(records.remove(3))).await;
    reader.check(&made, |_, _| {}).await.unwrap();
    let fault = reader.check_store(NAME, made.size, &*world.store).await.unwrap_err();
    assert!(matches!(fault, LogFault::NotRecorded { position } if position.get() == 5), "{fault}");
    world.reader().check_store(NAME, checkpoint.size, &*world.store).await.unwrap();
}

fn changed_event(mut event: RecordedEvent, at: Position, from: &str, to: &str) -> RecordedEvent {
    if event.position != at {
        return event;
    }
    let text = std::str::from_utf8(&event.payload).unwrap();
    assert!(text.contains(from), "{text}");
    event.payload = text.replace(from, to).into();
    event
}

#[tokio::test]
async fn an_event_that_was_changed_in_the_store_is_noticed() {
    let (world, checkpoint) = logged(2).await;
    let size = checkpoint.size;
    // Positions: 1 is the log's own, 2 to 4 the first payment.
    for (at, from, to) in [
        (2, "\"amount\":10", "\"amount\":99"),
        (2, "Mill Lane", "Hill Lane"),
        (2, "\"expires\":", "\"expires\" :"),
        (2, "\"small\"", "\"large\""),
        (3, "\"attempt\":1", "\"attempt\":2"),
        (4, "receipt", "recipe!"),
    ] {
        let changed = |event| Some(changed_event(event, Position::new(at), from, to));
        let store = rewritten(&world.store, changed).await;
        let fault = world.reader().check_store(NAME, size, &store).await.unwrap_err();
        assert!(
            matches!(fault, LogFault::OtherEvent { position, .. } if position.get() == at),
            "{from}: {fault}"
        );
    }
    let same = rewritten(&world.store, Some).await;
    world.reader().check_store(NAME, size, &same).await.unwrap();
}

#[tokio::test]
async fn an_event_that_was_taken_out_of_the_store_or_put_in_is_noticed() {
    let (world, checkpoint) = logged(3).await;
    let size = checkpoint.size;
    for gone in 2..=10 {
        let keep = |event: RecordedEvent| (event.position != Position::new(gone)).then_some(event);
        let store = rewritten(&world.store, keep).await;
        world.reader().check_store(NAME, size, &store).await.expect_err("an event is missing");
    }
    // One more, in the middle: as if an effect had not been recorded.
    let store = daa_core::event::MemoryEventStore::new();
    for event in world.store.read_all(Position::START, PageSize::default()).await.unwrap() {
        let twice = event.position == Position::new(4);
        let new = daa_core::event::NewEvent::new(event.kind, event.at, event.payload);
        for _ in 0..=usize::from(twice) {
            let batch = daa_core::event::Batch::new();
            let any = daa_core::event::ExpectedVersion::Any;
            store.append(batch.with_event(event.stream.clone(), any, new.clone())).await.unwrap();
        }
    }
    world.reader().check_store(NAME, size, &store).await.expect_err("an event is there twice");
}

#[tokio::test]
async fn a_log_that_was_put_back_is_not_taken_over() {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("before", 5).await;
    log.catch_up().await.unwrap();
    let (old_store, old_files) = (rewritten(&world.store, Some).await, world.tiles.files());
    world.pay_often("after", 5).await;
    log.catch_up().await.unwrap();
    drop(log);

    // Store and files of yesterday, perfect in themselves: the keeper knows.
    let (old_store, old_tiles) = (Arc::new(old_store), Arc::new(MemoryTiles::new()));
    old_tiles.restore(old_files);
    let back = world.open_with(old_store.clone(), old_tiles.clone(), world.keeper.clone()).await;
    let error = back.expect_err("an old state was taken over");
    assert!(matches!(error, AuditError::RolledBack { given: 30, size: 15 }), "{error}");
    // Only the store: the published checkpoint is enough.
    let forgetful = Arc::new(KeeperInMemory::new());
    let back = world.open_with(old_store.clone(), world.tiles.clone(), forgetful.clone()).await;
    assert!(matches!(back, Err(AuditError::RolledBack { given: 30, size: 15 })), "{back:?}");
    // Only the files: they are not those of the store.
    let back = world.open_with(world.store.clone(), old_tiles.clone(), forgetful.clone()).await;
    assert!(matches!(back, Err(AuditError::Files(_))), "{back:?}");
    // With nobody who remembers, it cannot be told: that is what the keeper is for.
    world.open_with(old_store, old_tiles, forgetful).await.unwrap();
    // A store that never had the log.
    let empty = Arc::new(daa_core::event::MemoryEventStore::new());
    let back = world.open_with(empty, Arc::new(MemoryTiles::new()), world.keeper.clone()).await;
    assert!(matches!(back, Err(AuditError::RolledBack { given: 30, size: 0 })), "{back:?}");
}

#[tokio::test]
async fn a_log_that_was_made_anew_is_not_taken_over() {
    let (world, _) = logged(3).await;
    // The same events but one, a log of its own over them, with the right key.
    let other = World::new();
    let mut log = other.open().await.unwrap();
    other.pay_often("other", 4).await;
    log.catch_up().await.unwrap();
    drop(log);
    let error = world
        .open_with(other.store.clone(), other.tiles.clone(), world.keeper.clone())
        .await
        .expect_err("another log was taken over");
    assert!(matches!(error, AuditError::Forked { size: 9, .. }), "{error}");
}

#[tokio::test]
async fn damaged_files_are_not_gone_on_with() {
    let (world, _) = logged(3).await;
    for path in ["tile/0/000.p/9", "tile/entries/000.p/9"] {
        let mut files = world.tiles.files();
        let mut bytes = files[path].to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        files.insert(path.to_owned(), bytes.into());
        let tiles = Arc::new(MemoryTiles::new());
        tiles.restore(files);
        let opened = world.open_with(world.store.clone(), tiles, Arc::new(KeeperInMemory::new())).await;
        assert!(opened.is_err(), "{path} is damaged");
    }
    world.open().await.unwrap();
}

#[tokio::test]
async fn files_that_fit_each_other_and_not_the_store_are_not_gone_on_with() {
    let world = World::new();
    let staged = Staged::over(world.tiles.clone());
    let mut log = world.open_with(world.store.clone(), staged.clone(), world.keeper.clone()).await.unwrap();
    world.pay_often("published", 3).await;
    log.catch_up().await.unwrap();
    world.pay_often("not-yet", 3).await;
    // Committed, and nobody has been shown it.
    staged.fail_at("checkpoint");
    log.advance().await.unwrap_err();
    drop(log);
    let good = world.tiles.files();
    let (bundle, tile) = ("tile/entries/000.p/18", "tile/0/000.p/18");
    let (mut entries, mut hashes) = (good[bundle].to_vec(), good[tile].to_vec());
    let last = world.reader().record(17, 18).await.unwrap();
    let other = String::from_utf8(last.to_vec()).unwrap().replace("not-yet-2", "not-yet-3").into_bytes();
    assert!(other.len() == last.len() && other != last);
    entries.truncate(entries.len() - last.len());
    entries.extend_from_slice(&other);
    hashes.truncate(17 * 32);
    hashes.extend_from_slice(daa_rules::audit::TreeHash::leaf(&other).as_bytes());
    let mut files = good.clone();
    files.extend([(bundle.to_owned(), entries.into()), (tile.to_owned(), hashes.into())]);
    world.tiles.restore(files);
    let error = world.open().await.unwrap_err();
    assert!(matches!(error, AuditError::Damaged { size: 18 }), "{error}");
    world.tiles.restore(good);
    assert_eq!(world.open().await.unwrap().size(), 18);
}

#[tokio::test]
async fn an_older_bundle_does_not_pass_for_a_later_state() {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("before", 3).await;
    log.catch_up().await.unwrap();
    let old = world.reader().checkpoint().await.unwrap().unwrap();
    world.pay_often("after", 3).await;
    log.catch_up().await.unwrap();
    let reader = world.reader();
    let bundle = Bundle::of_records(&reader, &[10]).await.unwrap().with_earlier(&reader, &old).await.unwrap();
    let verified = bundle.verify(&world.trust()).unwrap();
    assert_eq!(verified.earlier.unwrap().size, 9);
    // A fork: another log that says it went on from the same checkpoint.
    let other = World::new();
    let parts = AuditParts { key: world.key.clone(), ..other.parts() };
    let mut forked = AuditLog::open(NAME, parts, AuditOptions::new()).await.unwrap();
    other.pay_often("other", 6).await;
    forked.catch_up().await.unwrap();
    let reader = other.reader();
    let bundle = Bundle::of_records(&reader, &[10]).await.unwrap().with_earlier(&reader, &old).await.unwrap();
    let error = bundle.verify(&world.trust()).unwrap_err();
    assert!(matches!(error, VerifyError::Inconsistent(_)), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_bundle_with_any_byte_changed_proves_nothing_else(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (world, text) = runtime.block_on(async {
            let (world, _) = logged(2).await;
            let mut bundle = Bundle::of_records(&world.reader(), &[0, 2]).await.unwrap();
            bundle.disclose(&*world.store, 0, &daa_rules_parts()).await.unwrap();
            (world, bundle.to_string())
        });
        let good = Bundle::parse(text.as_bytes()).unwrap().verify(&world.trust()).unwrap();
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        // White space and escapes may be written in other ways; what is proved is then the same.
        if let Ok(bundle) = Bundle::parse(&bytes)
            && let Ok(verified) = bundle.verify(&world.trust())
        {
            prop_assert_eq!(verified, good);
        }
    }
}

fn daa_rules_parts() -> [daa_rules::audit::Part; 3] {
    use daa_rules::audit::Part;
    [Part::Action, Part::Context, Part::Digest]
}
