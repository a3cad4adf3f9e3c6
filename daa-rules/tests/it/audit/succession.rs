//! Keys that came one after the other: each counts for its time, and only for what it handed over.

use std::sync::Arc;

use daa_core::fault::Reaction as _;
use daa_rules::audit::{
    AuditLog, AuditOptions, Bundle, Checkpoint, LogFile, LogReader, Note, NoteVerifier as _, Rotation,
    RotationError, SecretKey, TileStore, TreeHash, Trust, TrustError, VerifyError,
};
use serde_json::Value;

use super::world::{NAME, World, key};

/// A log of key 1 up to 6 records, of key 2 up to 13, and of key 3 since, with the checkpoint of each.
async fn rotated() -> (World, [Note; 3]) {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    let mut notes = Vec::new();
    for seed in [2, 3] {
        world.pay_often(&format!("before-{seed}"), 2).await;
        log.catch_up().await.unwrap();
        notes.push(world.reader().checkpoint().await.unwrap().unwrap());
        log.rotate(Arc::new(key(seed))).await.unwrap();
    }
    world.pay_often("after", 2).await;
    log.catch_up().await.unwrap();
    notes.push(world.reader().checkpoint().await.unwrap().unwrap());
    (world, notes.try_into().unwrap())
}

fn trust(seed: u8) -> Trust {
    Trust::in_log(key(seed).public_key().clone()).unwrap()
}

fn signed(size: u64, root: TreeHash, by: &SecretKey) -> Note {
    let checkpoint = Checkpoint::new(by.public_key().name().clone(), size, root).unwrap();
    let mut note = Note::new(checkpoint.to_string()).unwrap();
    note.sign(by).unwrap();
    note
}

#[tokio::test]
async fn a_bundle_under_a_checkpoint_of_an_old_key_is_believed_by_who_trusts_any_of_the_keys() {
    let (world, notes) = rotated().await;
    let reader = world.reader();
    for (seed, note) in (1..).zip(&notes) {
        let bundle = Bundle::under(&reader, note, &[0, 5]).await.unwrap();
        for trusted in 1..=3 {
            let verified = bundle.verify(&trust(trusted)).unwrap();
            assert_eq!((&verified.key, verified.rotations), (key(seed).public_key(), 2));
        }
        let error = bundle.verify(&trust(4)).unwrap_err();
        assert!(matches!(error, VerifyError::Trust(TrustError::Rotation(RotationError::OtherKey { .. }))));
    }
    // The newest one, with the oldest as the earlier checkpoint.
    let bundle = Bundle::of_records(&reader, &[13]).await.unwrap();
    let bundle = bundle.with_earlier(&reader, &notes[0]).await.unwrap();
    assert_eq!(bundle.verify(&trust(2)).unwrap().earlier.unwrap().size, 6);
}

#[tokio::test]
async fn an_old_key_counts_for_its_time_and_no_longer() {
    let (world, notes) = rotated().await;
    let reader = world.reader();
    let keys = trust(1).succession(&reader.rotations().await.unwrap()).unwrap();
    for (seed, note) in (1..).zip(&notes) {
        assert_eq!(keys.verify_log(note).unwrap().1, key(seed).public_key());
    }
    let sizes: Vec<_> = keys.handed_over().iter().map(|last| last.size).collect();
    assert_eq!(sizes, [6, 13]);
    let root = |size| {
        let reader = reader.clone();
        async move { reader.root(size).await.unwrap() }
    };
    let of = |note: Note| keys.verify_log(&note).unwrap_err();
    let late = of(signed(7, root(7).await, &key(1)));
    assert!(matches!(late, TrustError::AfterRotation { last: 6, actual: 7 }), "{late}");
    let early = of(signed(5, root(5).await, &key(2)));
    assert!(matches!(early, TrustError::BeforeRotation { last: 6, actual: 5 }), "{early}");
    let never = of(signed(5, root(5).await, &key(4)));
    assert!(matches!(never, TrustError::Unsigned { .. }), "{never}");
    // As large as what was handed over, and another: by either key.
    for (size, seed) in [(6, 1), (6, 2), (13, 2), (13, 3)] {
        let fork = of(signed(size, TreeHash::leaf(b"fork"), &key(seed)));
        assert!(matches!(fork, TrustError::Forked { .. }), "{size} by {seed}: {fork}");
        assert_eq!(fork.fault(), daa_core::fault::Fault::Peer);
    }
    // The newest alone: what a witness trusts in.
    let newest = keys.newest().unwrap();
    newest.verify(&notes[2]).unwrap();
    assert!(newest.verify(&notes[1]).is_err());
    let fork = newest.verify(&signed(13, TreeHash::leaf(b"fork"), &key(3))).unwrap_err();
    assert!(matches!(fork, TrustError::Forked { size: 13, .. }), "{fork}");
}

/// A bundle of another log of the same name, with the statements of the real one.
async fn forged(by: u8, payments: usize) -> Bundle {
    let (world, _) = rotated().await;
    let real = Bundle::of_records(&world.reader(), &[0]).await.unwrap();
    let real: Value = serde_json::from_str(&real.to_string()).unwrap();
    let other = World::new().with_key(by);
    let mut log = AuditLog::open(NAME, other.parts(), AuditOptions::new()).await.unwrap();
    other.pay_often("other", payments).await;
    log.catch_up().await.unwrap();
    let bundle = Bundle::of_records(&other.reader(), &[0]).await.unwrap();
    let mut forged: Value = serde_json::from_str(&bundle.to_string()).unwrap();
    forged["rotations"] = real["rotations"].clone();
    Bundle::parse(forged.to_string().as_bytes()).unwrap()
}

#[tokio::test]
async fn a_key_that_was_stolen_after_its_time_makes_no_other_past() {
    // Three records of key 1, within its time; the real log has others.
    let error = forged(1, 1).await.verify(&trust(1)).unwrap_err();
    assert!(matches!(error, VerifyError::HandOver { number: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_new_key_goes_on_from_what_it_got_and_from_nothing_else() {
    let error = forged(3, 6).await.verify(&trust(1)).unwrap_err();
    assert!(matches!(error, VerifyError::HandOver { number: 1, .. }), "{error}");
}

#[tokio::test]
async fn statements_are_a_chain_and_go_on() {
    let (world, _) = rotated().await;
    let reader = world.reader();
    let [first, second] = reader.rotations().await.unwrap().try_into().unwrap();
    let refused = |notes: &[Note]| trust(1).succession(notes).unwrap_err();
    let gap = refused(std::slice::from_ref(&second));
    assert!(matches!(gap, TrustError::Rotation(RotationError::OtherKey { .. })), "{gap}");
    let turned = refused(&[second, first.clone()]);
    assert!(matches!(turned, TrustError::Rotation(RotationError::OtherKey { .. })), "{turned}");
    // The second key hands over what it did not get.
    let hand_over = |size, root| {
        let (old, new) = (key(2), key(3));
        let last = Checkpoint::new(old.public_key().name().clone(), size, root).unwrap();
        let statement = Rotation::new(last, old.public_key().clone(), new.public_key().clone()).unwrap();
        let mut note = Note::new(statement.to_string()).unwrap();
        note.sign(&old).unwrap();
        note.sign(&new).unwrap();
        note
    };
    let shrunk = hand_over(5, reader.root(5).await.unwrap());
    let forked = hand_over(6, TreeHash::leaf(b"fork"));
    let fine = hand_over(6, reader.root(6).await.unwrap());
    trust(1).succession(&[first.clone(), fine.clone()]).unwrap();
    for (note, size) in [(&shrunk, 5), (&forked, 6)] {
        let error = refused(&[first.clone(), note.clone()]);
        let after = trust(1).after(&first).unwrap().after(note).unwrap_err();
        assert_eq!(error, after);
        match size {
            5 => assert!(matches!(error, TrustError::BeforeRotation { last: 6, actual: 5 }), "{error}"),
            _ => assert!(matches!(error, TrustError::Forked { size: 6, .. }), "{error}"),
        }
    }
    // Who knows with what the second key began is not told otherwise.
    let known = trust(1).after(&first).unwrap();
    let mut other = Note::new(
        Rotation::new(
            Checkpoint::new(key(1).public_key().name().clone(), 4, reader.root(4).await.unwrap()).unwrap(),
            key(1).public_key().clone(),
            key(2).public_key().clone(),
        )
        .unwrap()
        .to_string(),
    )
    .unwrap();
    other.sign(&key(1)).unwrap();
    other.sign(&key(2)).unwrap();
    let error = known.succession(&[other]).unwrap_err();
    assert!(matches!(error, TrustError::BeforeRotation { last: 6, actual: 4 }), "{error}");
    known.succession(&[first.clone(), fine.clone()]).unwrap();
    known.succession(&[fine]).unwrap();
}

#[tokio::test]
async fn a_log_that_shows_an_older_checkpoint_of_an_old_key_is_checked_all_the_same() {
    let (world, notes) = rotated().await;
    let check = |reader: LogReader| async move {
        let keys = trust(1).succession(&reader.rotations().await.unwrap()).unwrap();
        let (trusted, _) = keys.verify(&reader.checkpoint().await.unwrap().unwrap()).unwrap();
        reader.check(&trusted.checkpoint, |_, _| {}).await.unwrap();
        reader.check_succession(&keys, &trusted.checkpoint).await.map(|()| trusted.checkpoint.size)
    };
    assert_eq!(check(world.reader()).await.unwrap(), 20);
    // The last write of an owner who was replaced, and was slow.
    let stale = LogFile::new("checkpoint".to_owned(), notes[0].to_string().into());
    world.tiles.write(vec![stale]).await.unwrap();
    assert_eq!(check(world.reader()).await.unwrap(), 6);
    // Another log under the same keys.
    let other = World::new().with_key(3);
    let mut log = other.open().await.unwrap();
    other.pay_often("other", 6).await;
    log.catch_up().await.unwrap();
    for (path, bytes) in world.tiles.files().into_iter().filter(|(path, _)| path.starts_with("rotation/")) {
        other.tiles.write(vec![LogFile::new(path, bytes)]).await.unwrap();
    }
    let fault = check(other.reader()).await.unwrap_err();
    assert!(matches!(fault, daa_rules::audit::LogFault::HandOver { number: 1, .. }), "{fault}");
}
