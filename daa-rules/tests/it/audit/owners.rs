//! Two who would both go on with one log, and a world that does not stand still.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, PageSize, Position, ReadError, RecordedEvent, Subscription,
    Version,
};
use daa_core::id::StreamId;
use daa_rules::audit::{
    AuditError, Checkpoint, CheckpointKeeper, FolderTiles, KeepError, KeeperFile, KeeperInMemory, LogFile,
    Note, NoteSigner, TileStore, TreeHash,
};

use super::world::{Staged, World, key};

/// The size of the published checkpoint, and of the kept one.
async fn shown(world: &World) -> (u64, u64) {
    let size = |text: &str| {
        let note = Note::parse(text.as_bytes()).unwrap();
        world.trust().verify(&note).unwrap().checkpoint.size
    };
    let published = world.reader().checkpoint().await.unwrap().unwrap().to_string();
    (size(&published), size(&world.keeper.last().await.unwrap().unwrap()))
}

#[tokio::test]
async fn who_was_replaced_publishes_nothing_any_more() {
    let world = World::new();
    let staged = Staged::over(world.tiles.clone());
    let mut first = world.open_with(world.store.clone(), staged.clone(), world.keeper.clone()).await.unwrap();
    world.pay_often("one", 3).await;
    // What he recorded is in the store, and he could not publish it.
    staged.fail_at("checkpoint");
    assert!(matches!(first.advance().await, Err(AuditError::Storage(_))));
    let mut second = world.open().await.unwrap();
    world.pay_often("two", 3).await;
    assert_eq!(second.catch_up().await.unwrap().size, 18);
    let error = first.advance().await.unwrap_err();
    assert!(matches!(error, AuditError::Superseded), "{error}");
    assert_eq!(shown(&world).await, (18, 18));
    assert!(matches!(first.advance().await, Err(AuditError::Lost)));
}

#[tokio::test]
async fn a_write_that_was_on_its_way_takes_nothing_back_for_long() {
    let world = World::new();
    let staged = Staged::over(world.tiles.clone());
    let mut first = world.open_with(world.store.clone(), staged.clone(), world.keeper.clone()).await.unwrap();
    world.pay_often("one", 3).await;
    let (arrived, go) = staged.hold_at("checkpoint");
    let slow = tokio::spawn(async move { first.advance().await.map(drop) });
    arrived.await.unwrap();
    // He has looked at the store, and his write hangs; another takes over meanwhile.
    let mut second = world.open().await.unwrap();
    world.pay_often("two", 3).await;
    assert_eq!(second.catch_up().await.unwrap().size, 18);
    go.send(()).unwrap();
    let error = slow.await.unwrap().unwrap_err();
    assert!(matches!(error, AuditError::Keep(KeepError::Older { kept: 18, given: 9 })), "{error}");
    // What is published is older, and true: readers find all of it.
    assert_eq!(shown(&world).await, (9, 18));
    let reader = world.reader();
    let note = reader.checkpoint().await.unwrap().unwrap();
    let old = Checkpoint::parse(note.text()).unwrap();
    reader.check(&old, |_, _| {}).await.unwrap();
    // The owner puts it right with his next step, though there is nothing to record.
    assert_eq!(second.advance().await.unwrap(), None);
    assert_eq!(shown(&world).await, (18, 18));
    // And whoever opens the log meanwhile is not deceived by it.
    world.tiles.write(vec![LogFile::new("checkpoint".into(), note.to_string().into())]).await.unwrap();
    assert_eq!(world.open().await.unwrap().size(), 18);
}

#[tokio::test]
async fn what_is_published_is_never_replaced_by_what_is_older_or_other() {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("one", 3).await;
    let own = log.catch_up().await.unwrap();
    let write = |checkpoint: Checkpoint| {
        let mut note = Note::new(checkpoint.to_string()).unwrap();
        note.sign(&key(1)).unwrap();
        let file = LogFile::new("checkpoint".into(), note.to_string().into());
        let tiles = world.tiles.clone();
        async move { tiles.write(vec![file]).await.unwrap() }
    };
    let of = |size, root| Checkpoint::new(own.origin.clone(), size, root).unwrap();
    // The store was put back under a running process.
    write(of(12, TreeHash::leaf(b"later"))).await;
    let error = log.advance().await.unwrap_err();
    assert!(matches!(error, AuditError::RolledBack { given: 12, size: 9 }), "{error}");
    write(of(9, TreeHash::leaf(b"other"))).await;
    let error = log.advance().await.unwrap_err();
    assert!(matches!(error, AuditError::Forked { size: 9, .. }), "{error}");
    // What is no checkpoint at all is put right.
    world.tiles.write(vec![LogFile::new("checkpoint".into(), "x".into())]).await.unwrap();
    log.advance().await.unwrap();
    assert_eq!(shown(&world).await, (9, 9));
}

fn note(name: &str, size: u64, leaf: &[u8]) -> String {
    let key = daa_rules::audit::SecretKey::from_seed(
        name.parse().unwrap(),
        daa_rules::audit::KeyUse::Log,
        &[1; 32],
    );
    let checkpoint = Checkpoint::new(NoteSigner::name(&key).clone(), size, TreeHash::leaf(leaf)).unwrap();
    let mut note = Note::new(checkpoint.to_string()).unwrap();
    note.sign(&key).unwrap();
    note.to_string()
}

#[tokio::test]
async fn keepers_take_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = KeeperFile::new(dir.path().join("kept"));
    for keeper in [&KeeperInMemory::new() as &dyn CheckpointKeeper, &file] {
        let kept = note("a.example", 18, b"x");
        keeper.keep(&note("a.example", 9, b"w")).await.unwrap();
        keeper.keep(&kept).await.unwrap();
        keeper.keep(&kept).await.unwrap();
        let older = keeper.keep(&note("a.example", 17, b"v")).await.unwrap_err();
        assert!(matches!(older, KeepError::Older { kept: 18, given: 17 }), "{older}");
        let fork = keeper.keep(&note("a.example", 18, b"y")).await.unwrap_err();
        assert!(matches!(fork, KeepError::Forked { size: 18, .. }), "{fork}");
        let other = keeper.keep(&note("b.example", 19, b"z")).await.unwrap_err();
        assert!(matches!(other, KeepError::OtherLog { .. }), "{other}");
        let none = keeper.keep("nothing").await.unwrap_err();
        assert!(matches!(none, KeepError::Checkpoint(_)), "{none}");
        assert_eq!(keeper.last().await.unwrap(), Some(kept));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_keep_at_once_the_newest_stays_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kept");
    let all = (1..=40_u64).map(|size| {
        // Each with a file of its own, as processes have it.
        let keeper = KeeperFile::new(&path);
        tokio::spawn(async move { keeper.keep(&note("a.example", size, b"x")).await })
    });
    for done in all.collect::<Vec<_>>() {
        let done = done.await.unwrap();
        assert!(matches!(done, Ok(()) | Err(KeepError::Older { .. })), "{done:?}");
    }
    assert_eq!(KeeperFile::new(&path).last().await.unwrap(), Some(note("a.example", 40, b"x")));
    let mut names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["kept", "kept.lock"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_cannot_be_told_apart_do_not_spoil_each_others_files() {
    let dir = tempfile::tempdir().unwrap();
    let all = (0..8_u8).map(|process| {
        // As in two containers: the same folder, the same number of the process, a count from the beginning.
        let tiles = FolderTiles::new(dir.path());
        tokio::spawn(async move {
            for round in 0..25 {
                let file = |name: u8| LogFile::new(format!("tile/0/00{name}"), vec![process; 8192].into());
                tiles.write(vec![file(round % 3), file((round + 1) % 3)]).await.unwrap();
            }
        })
    });
    for done in all.collect::<Vec<_>>() {
        done.await.unwrap();
    }
    let reader = FolderTiles::new(dir.path());
    for name in 0..3 {
        let bytes = reader.read(&format!("tile/0/00{name}")).await.unwrap().unwrap();
        assert_eq!(bytes.len(), 8192);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "two files in one");
    }
    assert_eq!(std::fs::read_dir(dir.path().join(".unfinished")).unwrap().count(), 0);
}

/// A store into which somebody writes before each page is read.
#[derive(Debug)]
struct Busy {
    world: World,
    left: AtomicUsize,
}

#[async_trait]
impl EventStore for Busy {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        self.world.store.append(batch).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.world.store.read_stream(stream, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        // Not for ever, so that a test that fails comes to an end.
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.left.store(left - 1, Ordering::Relaxed);
            self.world.pay(&format!("busy-{left}"), "bob", 1).await;
        }
        self.world.store.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.world.store.subscribe(after).await
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        self.world.store.erase(stream, up_to).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.world.store.head().await
    }

    async fn close(&self) {
        self.world.store.close().await;
    }
}

#[tokio::test]
async fn a_log_arrives_though_the_store_never_stands_still() {
    let world = World::new();
    world.pay_often("before", 3).await;
    let busy = Arc::new(Busy { world: world.clone(), left: AtomicUsize::new(100) });
    let mut log = world.open_with(busy.clone(), world.tiles.clone(), world.keeper.clone()).await.unwrap();
    // What was there when it was asked, and no more.
    assert_eq!(log.catch_up().await.unwrap().size, 9);
    let statement = log.rotate(Arc::new(key(2))).await.unwrap();
    assert!(busy.left.load(Ordering::Relaxed) > 90, "it ran after what came in");
    let last = world.trust().after(&statement).unwrap().handed_over().unwrap().size;
    assert!((9..40).contains(&last), "{last}");
    assert!(log.advance().await.unwrap().is_some());
    assert!(busy.left.load(Ordering::Relaxed) > 90, "it ran after what came in");
}
