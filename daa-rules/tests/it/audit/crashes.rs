//! A crash at every write: the log goes on, and stays consistent with every checkpoint that it ever gave out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, PageSize, Position, ReadError, RecordedEvent, Subscription,
    Version,
};
use daa_core::id::StreamId;
use daa_rules::audit::{
    AuditError, AuditLog, Checkpoint, CheckpointKeeper, KeepError, LogFile, LogReader, Note, StorageError,
    TileStore, Trust,
};

use super::world::{NAME, World, key};

/// Counts writes, and lets none through from a certain one on: the process is dead from there.
#[derive(Debug, Default)]
struct Fuse {
    left: AtomicUsize,
    used: AtomicUsize,
}

/// What becomes of the write at which the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Before,
    Within,
    After,
}

impl Fuse {
    fn of(writes: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(writes), used: AtomicUsize::new(0) })
    }

    /// `Some(true)`: goes through. `Some(false)`: this is the last one. `None`: dead.
    fn burn(&self) -> Option<bool> {
        self.used.fetch_add(1, Ordering::Relaxed);
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        match left {
            0 => None,
            1 => Some(false),
            _ => Some(true),
        }
    }
}

#[derive(Debug)]
struct Mortal<T: ?Sized> {
    inner: Arc<T>,
    fuse: Arc<Fuse>,
    death: Death,
    /// All checkpoints that got out, whoever may have seen them.
    given_out: Arc<Mutex<Vec<String>>>,
}

fn dead(path: &str) -> StorageError {
    StorageError::new(path, "the process is dead")
}

impl<T: ?Sized> Mortal<T> {
    fn note(&self, text: &str) {
        self.given_out.lock().unwrap().push(text.to_owned());
    }
}

#[async_trait]
impl TileStore for Mortal<dyn TileStore> {
    async fn read(&self, path: &str) -> Result<Option<Bytes>, StorageError> {
        self.inner.read(path).await
    }

    /// File by file: a process may die between any two.
    async fn write(&self, files: Vec<LogFile>) -> Result<(), StorageError> {
        for file in files {
            let path = file.path.clone();
            let text = String::from_utf8_lossy(&file.bytes).into_owned();
            let through = self.fuse.burn();
            let last_is_written = through == Some(false) && self.death != Death::Before;
            if through == Some(true) || last_is_written {
                if path == "checkpoint" {
                    self.note(&text);
                }
                self.inner.write(vec![file]).await?;
            }
            if through != Some(true) {
                return Err(dead(&path));
            }
        }
        Ok(())
    }

    async fn remove(&self, under: &str) -> Result<(), StorageError> {
        match self.fuse.burn() {
            Some(true) => self.inner.remove(under).await,
            _ => Err(dead(under)),
        }
    }
}

#[async_trait]
impl CheckpointKeeper for Mortal<dyn CheckpointKeeper> {
    async fn last(&self) -> Result<Option<String>, StorageError> {
        self.inner.last().await
    }

    async fn keep(&self, checkpoint: &str) -> Result<(), KeepError> {
        let through = self.fuse.burn();
        if through == Some(true) || (through == Some(false) && self.death == Death::After) {
            self.note(checkpoint);
            self.inner.keep(checkpoint).await?;
        }
        if through == Some(true) { Ok(()) } else { Err(dead("kept").into()) }
    }
}

#[async_trait]
impl EventStore for Mortal<dyn EventStore> {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        match self.fuse.burn() {
            Some(true) => self.inner.append(batch).await,
            Some(false) if self.death != Death::Before => {
                self.inner.append(batch).await?;
                Err(AppendError::Unconfirmed { source: "the process is dead".into() })
            }
            _ => Err(AppendError::Unavailable { source: "the process is dead".into() }),
        }
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_stream(stream, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.inner.subscribe(after).await
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        self.inner.erase(stream, up_to).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// Opens the log and records what there is, and dies at a write. How many writes there were.
async fn live(world: &World, fuse: usize, death: Death, given_out: &Arc<Mutex<Vec<String>>>) -> usize {
    let fuse = Fuse::of(fuse);
    if let Ok(mut log) = open_mortal(world, &fuse, death, given_out).await {
        let _ = log.catch_up().await;
    }
    fuse.used.load(Ordering::Relaxed)
}

async fn open_mortal(
    world: &World,
    fuse: &Arc<Fuse>,
    death: Death,
    given_out: &Arc<Mutex<Vec<String>>>,
) -> Result<AuditLog, AuditError> {
    let store: Arc<dyn EventStore> = world.store.clone();
    let tiles: Arc<dyn TileStore> = world.tiles.clone();
    let keeper: Arc<dyn CheckpointKeeper> = world.keeper.clone();
    let store = Arc::new(Mortal { inner: store, fuse: fuse.clone(), death, given_out: given_out.clone() });
    let tiles = Arc::new(Mortal { inner: tiles, fuse: fuse.clone(), death, given_out: given_out.clone() });
    let keeper = Arc::new(Mortal { inner: keeper, fuse: fuse.clone(), death, given_out: given_out.clone() });
    world.open_with(store, tiles, keeper).await
}

/// A log that has a checkpoint already, and more to record.
async fn lived(payments: usize) -> (World, Arc<Mutex<Vec<String>>>) {
    let (world, given_out) = (World::new(), Arc::default());
    world.pay_often("first", payments).await;
    live(&world, usize::MAX, Death::After, &given_out).await;
    world.pay_often("second", payments).await;
    (world, given_out)
}

/// Every checkpoint that ever got out is of this log.
async fn consistent_with_all(world: &World, given_out: &[String], reader: &LogReader, last: &Checkpoint) {
    for text in given_out {
        let note = Note::parse(text.as_bytes()).unwrap();
        let given = world.trust().verify(&note).unwrap().checkpoint;
        assert!(given.size <= last.size);
        let proof = reader.consistency(given.size, last.size).await.unwrap();
        proof.verify_consistency((given.size, &given.root), (last.size, &last.root)).unwrap();
    }
}

#[tokio::test]
async fn a_crash_at_any_write_loses_nothing_and_takes_nothing_back() {
    for death in [Death::Before, Death::Within, Death::After] {
        // More than one bundle, so that tiles get full, on two levels.
        let writes = live(&lived(50).await.0, usize::MAX, death, &Arc::default()).await;
        assert!(writes >= 9, "{writes} writes: open, bundles, tiles, commit, checkpoint, keeper, removals");
        for fuse in 1..=writes {
            let (world, given_out) = lived(50).await;
            assert!(live(&world, fuse, death, &given_out).await <= writes);
            world.pay_often("third", 1).await;
            // A restart, with everything as the crash left it.
            let mut log =
                world.open().await.unwrap_or_else(|error| panic!("write {fuse}, {death:?}: {error}"));
            let last = log.catch_up().await.unwrap();
            assert_eq!(last.size, 303);
            let (reader, given_out) = (world.reader(), given_out.lock().unwrap().clone());
            assert!(!given_out.is_empty());
            reader.check(&last, |_, _| {}).await.unwrap();
            reader.check_store(NAME, last.size, &*world.store).await.unwrap();
            consistent_with_all(&world, &given_out, &reader, &last).await;
            let published = reader.checkpoint().await.unwrap().unwrap().to_string();
            assert_eq!(world.keeper.last().await.unwrap(), Some(published));
        }
    }
}

/// As [`live`], with a new key in the middle.
async fn live_and_rotate(
    world: &World,
    fuse: usize,
    death: Death,
    given_out: &Arc<Mutex<Vec<String>>>,
) -> usize {
    let fuse = Fuse::of(fuse);
    let Ok(mut log) = open_mortal(world, &fuse, death, given_out).await else {
        return fuse.used.load(Ordering::Relaxed);
    };
    if log.rotate(Arc::new(key(2))).await.is_ok() {
        world.pay_often("under-the-new-key", 1).await;
        let _ = log.catch_up().await;
    }
    fuse.used.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_crash_at_any_write_of_a_new_key_leaves_a_log_that_everybody_believes() {
    for death in [Death::Before, Death::Within, Death::After] {
        let writes = live_and_rotate(&lived(3).await.0, usize::MAX, death, &Arc::default()).await;
        assert!(
            writes >= 12,
            "{writes} writes: open, records, commit, checkpoint, new key, statement, and on"
        );
        for fuse in 1..=writes {
            let (world, given_out) = lived(3).await;
            live_and_rotate(&world, fuse, death, &given_out).await;
            // Whichever key the log has then.
            let mut world = world;
            let mut log = match world.open().await {
                Ok(log) => log,
                Err(AuditError::OtherKey { .. }) => {
                    world = world.with_key(2);
                    world.open().await.unwrap_or_else(|error| panic!("write {fuse}, {death:?}: {error}"))
                }
                Err(error) => panic!("write {fuse}, {death:?}: {error}"),
            };
            world.pay_often("third", 1).await;
            let last = log.catch_up().await.unwrap();
            let reader = world.reader();
            let trust = Trust::in_log(key(1).public_key().clone()).unwrap();
            let keys = trust.succession(&reader.rotations().await.unwrap()).unwrap();
            let published = reader.checkpoint().await.unwrap().unwrap();
            assert_eq!(keys.verify(&published).unwrap().0.checkpoint, last, "write {fuse}, {death:?}");
            assert_eq!(keys.verify(&published).unwrap().1.to_string(), log.key());
            reader.check(&last, |_, _| {}).await.unwrap();
            reader.check_succession(&keys, &last).await.unwrap();
            reader.check_store(NAME, last.size, &*world.store).await.unwrap();
            let given_out = given_out.lock().unwrap().clone();
            for text in &given_out {
                let (given, _) = keys.verify_log(&Note::parse(text.as_bytes()).unwrap()).unwrap();
                assert!(given.size <= last.size);
                assert_eq!(reader.root(given.size).await.unwrap(), given.root);
            }
            assert_eq!(world.keeper.last().await.unwrap(), Some(published.to_string()));
        }
    }
}

#[tokio::test]
async fn two_who_go_on_with_one_log_do_not_fork_it() {
    let world = World::new();
    let mut first = world.open().await.unwrap();
    world.pay_often("one", 3).await;
    first.catch_up().await.unwrap();
    let mut second = world.open().await.unwrap();
    world.pay_often("two", 3).await;
    let refused = first.advance().await.unwrap_err();
    assert!(matches!(refused, AuditError::Superseded), "{refused}");
    let last = second.catch_up().await.unwrap();
    assert_eq!(last.size, 18);
    world.reader().check(&last, |_, _| {}).await.unwrap();
    // The first one stays out of it.
    world.pay_often("three", 1).await;
    assert!(matches!(first.advance().await, Err(AuditError::Lost)));
    assert_eq!(second.catch_up().await.unwrap().size, 21);
}

#[tokio::test]
async fn an_append_that_was_not_confirmed_is_found_out_by_opening_again() {
    let world = World::new();
    world.pay_often("one", 3).await;
    let fuse = Fuse::of(usize::MAX);
    let given_out: Arc<Mutex<Vec<String>>> = Arc::default();
    let inner: Arc<dyn EventStore> = world.store.clone();
    let store = Arc::new(Mortal { inner, fuse: fuse.clone(), death: Death::After, given_out });
    let mut log = world.open_with(store, world.tiles.clone(), world.keeper.clone()).await.unwrap();
    // The next append gets there, and nobody says so.
    fuse.left.store(1, Ordering::Relaxed);
    assert!(matches!(log.advance().await, Err(AuditError::Append(AppendError::Unconfirmed { .. }))));
    assert!(matches!(log.advance().await, Err(AuditError::Lost)));
    assert_eq!(world.reader().checkpoint().await.unwrap(), None);
    let mut log = world.open().await.unwrap();
    assert_eq!((log.size(), log.catch_up().await.unwrap().size), (9, 9));
    assert!(world.reader().checkpoint().await.unwrap().is_some());
}
