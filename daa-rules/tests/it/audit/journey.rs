//! From the gate to a bundle that verifies, and back to the store.

use std::sync::Arc;

use daa_core::action::{ActionEvent, Context};
use daa_core::event::{Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, Version};
use daa_rules::audit::{
    AuditLog, AuditOptions, BlobTiles, Bundle, BundleError, Checkpoint, Content, Decided, FolderTiles,
    KeeperFile, LogFault, MemoryTiles, Part, Record, TileStore, report,
};

use super::world::{NAME, World, gate, payment};

#[tokio::test]
async fn what_the_gate_lets_happen_can_be_proved_to_somebody_with_the_key() {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay("rent", "bob", 40).await;
    world.pay("car", "carol", 5_000).await;
    world.pay("jet", "dan", 500).await;
    world.pay("typo", "nobody", 1).await;
    let checkpoint = log.catch_up().await.unwrap();
    assert_eq!((checkpoint.size, log.size()), (8, 8));

    let mut bundle = Bundle::of_records(&world.reader(), &[0, 1, 2, 3, 4, 7]).await.unwrap();
    bundle.disclose(&*world.store, 0, &[Part::Action, Part::Context]).await.unwrap();
    let file = bundle.to_string();
    let verified = Bundle::parse(file.as_bytes()).unwrap().verify(&world.trust()).unwrap();
    assert_eq!(verified.checkpoint, checkpoint);

    let kinds: Vec<_> = verified.records.iter().map(|it| it.record.kind.to_string()).collect();
    assert_eq!(
        kinds,
        [
            "action.permitted.v1",
            "action.attempted.v1",
            "action.succeeded.v1",
            "action.withheld.v1",
            "action.withheld.v1",
            "action.failed.v1"
        ]
    );
    let decisions: Vec<_> = verified.records.iter().map(|it| it.record.decision).collect();
    let (permit, escalate, deny) = (Some(Decided::Permit), Some(Decided::Escalate), Some(Decided::Deny));
    assert_eq!(decisions, [permit, None, None, escalate, deny, None]);
    let [first, ..] = verified.records.as_slice() else { panic!("records") };
    assert_eq!(first.record.action_id(), Some("rent"));
    assert_eq!(first.record.actor.as_ref().unwrap().as_str(), "alice");
    assert_eq!(first.record.rules.as_ref().unwrap()[0].as_str(), "small");
    assert!(first.record.ruleset.is_some());
    let shown: Vec<_> = first.disclosures.iter().map(|it| (it.part, it.content.as_str())).collect();
    let [(Part::Action, action), (Part::Context, context)] = shown.as_slice() else { panic!("{shown:?}") };
    assert!(action.contains("\"to\":\"bob\""), "{action}");
    assert_eq!(*context, "{\"purpose\":\"rent of the flat in Mill Lane\"}");
    // Nothing of what was not shown is in the file.
    assert!(!file.contains("carol") && !file.contains("receipt"), "{file}");

    let page = report(&verified);
    for told in ["Permitted", "record 0", "Mill Lane", "alice", "example.org/treasury"] {
        assert!(page.contains(told), "{told} is not on the page");
    }
}

#[tokio::test]
async fn files_and_store_agree_and_the_log_goes_on_where_it_ended() {
    let world = World::new();
    for round in 0..4 {
        let mut log = world.open().await.unwrap();
        assert_eq!(log.size(), round * 120);
        world.pay_often(&format!("round-{round}"), 40).await;
        let checkpoint = log.catch_up().await.unwrap();
        assert_eq!(checkpoint.size, (round + 1) * 120);
        assert_eq!(log.catch_up().await.unwrap(), checkpoint);
        let mut seen = 0;
        world.reader().check(&checkpoint, |index, _| seen += u64::from(index == seen)).await.unwrap();
        assert_eq!(seen, checkpoint.size);
        world.reader().check_store(NAME, checkpoint.size, &*world.store).await.unwrap();
    }
}

#[tokio::test]
async fn a_record_is_found_by_its_action() {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("before", 200).await;
    world.pay("wanted", "bob", 10).await;
    world.pay_often("after", 50).await;
    let size = log.catch_up().await.unwrap().size;
    let stream = "action/wanted".parse().unwrap();
    let found = world.reader().records_of(&*world.store, &stream, size).await.unwrap();
    assert_eq!(found, [600, 601, 602]);
    let none = "action/unknown".parse().unwrap();
    assert_eq!(world.reader().records_of(&*world.store, &none, size).await.unwrap(), Vec::<u64>::new());
    assert_eq!(world.reader().index_of(Position::START, size).await.unwrap(), None);
    assert_eq!(world.reader().index_of(Position::new(u64::MAX), size).await.unwrap(), None);
    assert_eq!(world.reader().index_of(Position::new(2), 0).await.unwrap(), None);
}

#[tokio::test]
async fn erasing_what_was_recorded_leaves_the_tree_whole_and_nothing_to_show() {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay("rent", "bob", 40).await;
    let checkpoint = log.catch_up().await.unwrap();
    assert!(log.covered() >= Position::new(4));
    let stream = "action/rent".parse().unwrap();
    assert_eq!(world.store.erase(&stream, Version::new(9)).await.unwrap(), 3);
    // The proof holds, and the log goes on.
    let mut bundle = Bundle::of_records(&world.reader(), &[0]).await.unwrap();
    bundle.verify(&world.trust()).unwrap();
    let nothing = bundle.disclose(&*world.store, 0, &[Part::Action]).await.unwrap_err();
    assert!(matches!(nothing, BundleError::NothingToShow { index: 0 }), "{nothing}");
    world.reader().check(&checkpoint, |_, _| {}).await.unwrap();
    world.reader().check_store(NAME, checkpoint.size, &*world.store).await.unwrap();
    world.pay("food", "bob", 40).await;
    assert_eq!(log.catch_up().await.unwrap().size, 6);
    // No file of the log has anything that was erased.
    for (path, bytes) in world.tiles.files() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("bob") && !text.contains("Mill"), "{path}");
    }
}

#[tokio::test]
async fn what_was_erased_before_it_was_recorded_is_recorded_as_that() {
    let world = World::new();
    world.pay("rent", "bob", 40).await;
    world.store.erase(&"action/rent".parse().unwrap(), Version::new(1)).await.unwrap();
    let mut log = world.open().await.unwrap();
    let checkpoint = log.catch_up().await.unwrap();
    let record = Record::decode(&world.reader().record(0, checkpoint.size).await.unwrap()).unwrap();
    assert_eq!((record.content, record.kind.as_str()), (Content::Erased, "erased.v1"));
    assert_eq!(record.action_id(), Some("rent"));
    world.reader().check_store(NAME, checkpoint.size, &*world.store).await.unwrap();
}

#[tokio::test]
async fn rulesets_that_governed_are_in_the_log() {
    let world = World::new();
    let ruleset = daa_rules::Ruleset::from_toml("[[rule]]\non = 'greet'\neffect = 'permit'\n").unwrap();
    let digest = ruleset.digest();
    let engine = daa_rules::RulesEngine::new(ruleset.clone());
    engine.install(&*world.store, ruleset, daa_core::clock::Timestamp::EPOCH).await.unwrap();
    let mut log = world.open().await.unwrap();
    let size = log.catch_up().await.unwrap().size;
    let mut kinds = Vec::new();
    for index in 0..size {
        let record = Record::decode(&world.reader().record(index, size).await.unwrap()).unwrap();
        assert_eq!(record.content, Content::Public);
        assert!(record.commitments.of(Part::Event).is_some());
        kinds.push((record.kind.to_string(), record.ruleset));
    }
    let [(source, None), (installed, Some(hash))] = kinds.as_slice() else { panic!("{kinds:?}") };
    assert_eq!((source.as_str(), installed.as_str()), ("rules.source.v1", "rules.installed.v1"));
    assert_eq!(*hash, digest);
}

#[tokio::test]
async fn a_gate_without_salts_writes_what_it_wrote_before() {
    let world = World::new();
    world.pay("salted", "bob", 1).await;
    let plain = gate(world.store.clone(), world.clock.clone()).build();
    let _ =
        plain.submit(payment("plain", "bob", 500), Context::new(), &daa_core::action::Executors::new()).await;
    let events = world.store.read_all(Position::START, PageSize::default()).await.unwrap();
    let salted = |event: &daa_core::event::RecordedEvent| {
        assert!(ActionEvent::read(event).unwrap().is_some());
        event.payload.windows(6).any(|it| it == b"\"salt\"")
    };
    let salts: Vec<_> = events.iter().map(salted).collect();
    // The decision and the outcome have content; the attempt has none.
    assert_eq!(salts, [true, false, true, false]);
}

#[tokio::test]
async fn a_folder_has_the_same_files_as_memory_and_so_have_blobs() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let folder = Arc::new(FolderTiles::new(dir.path().join("log")));
    let keeper = Arc::new(KeeperFile::new(dir.path().join("kept")));
    let blobs = Arc::new(daa_core::artifact::MemoryBlobs::new(world.clock.clone()));
    let blobs = Arc::new(BlobTiles::new(blobs, "audit/treasury"));
    world.pay_often("first", 70).await;
    let mut in_folder = world.open_with(world.store.clone(), folder.clone(), keeper.clone()).await.unwrap();
    in_folder.catch_up().await.unwrap();
    world.pay_often("second", 30).await;
    in_folder.catch_up().await.unwrap();
    drop(in_folder);
    // Opened once more, from the files alone.
    let in_folder = world.open_with(world.store.clone(), folder.clone(), keeper.clone()).await.unwrap();

    let copy = |name: &'static str, tiles: Arc<dyn TileStore>| {
        let world = world.clone();
        async move {
            let keeper = Arc::new(daa_rules::audit::KeeperInMemory::new());
            let parts = daa_rules::audit::AuditParts { tiles, keeper, ..world.parts() };
            let mut log = AuditLog::open(name, parts, AuditOptions::new()).await.unwrap();
            log.catch_up().await.unwrap();
        }
    };
    let memory = Arc::new(MemoryTiles::new());
    copy("in-memory", memory.clone()).await;
    copy("in-blobs", blobs.clone()).await;
    let files = memory.files();
    assert_eq!(in_folder.size(), 300);
    assert!(files.len() >= 6, "{:?}", files.keys());
    for (path, bytes) in &files {
        assert_eq!(folder.read(path).await.unwrap().as_ref(), Some(bytes), "{path}");
        assert_eq!(blobs.read(path).await.unwrap().as_ref(), Some(bytes), "{path}");
    }
    // Narrower tiles are gone once they are full.
    assert_eq!(folder.read("tile/0/000.p/210").await.unwrap(), None);
    assert_eq!(blobs.read("tile/0/000.p/210").await.unwrap(), None);
    let kept = std::fs::read_to_string(dir.path().join("kept")).unwrap();
    assert_eq!(kept.as_bytes(), files["checkpoint"]);
}

#[tokio::test]
async fn checkpoints_come_every_so_many_records() {
    let world = World::new();
    world.pay_often("many", 4_000).await;
    let options = AuditOptions::new().with_batch(1);
    let mut log = AuditLog::open(NAME, world.parts(), options).await.unwrap();
    // A page at a time: 10,000 events.
    assert_eq!(log.advance().await.unwrap().map(|it| it.size), Some(10_000));
    assert_eq!(log.advance().await.unwrap().map(|it| it.size), Some(12_000));
    assert_eq!(log.advance().await.unwrap(), None);
}

#[tokio::test]
async fn events_of_others_are_passed_over() {
    let world = World::new();
    let note = NewEvent::new("note.taken.v1".parse().unwrap(), daa_core::clock::Timestamp::EPOCH, "x".into());
    let batch = Batch::new().with_event("notes".parse().unwrap(), ExpectedVersion::Any, note);
    world.store.append(batch).await.unwrap();
    let mut log = world.open().await.unwrap();
    assert_eq!(log.advance().await.unwrap(), None);
    assert_eq!(log.catch_up().await.unwrap().size, 0);
    assert!(world.tiles.files().is_empty());
}

#[tokio::test]
async fn a_store_that_lacks_the_last_events_is_noticed_when_it_is_compared() {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("some", 3).await;
    let Checkpoint { size, .. } = log.catch_up().await.unwrap();
    let fewer =
        super::world::rewritten(&world.store, |event| (event.position < Position::new(8)).then_some(event))
            .await;
    let fault = world.reader().check_store(NAME, size, &fewer).await.unwrap_err();
    assert!(matches!(fault, LogFault::NoEvent { index: 6, .. }), "{fault}");
}
