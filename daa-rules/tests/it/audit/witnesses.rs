//! Witnesses: they sign what goes on from what they signed, and nothing else.

use std::sync::Arc;

use daa_core::clock::Timestamp;
use daa_rules::audit::{
    Bundle, Checkpoint, CosignRequest, KeyUse, NoteVerifier, Proof, SecretKey, Seen, TreeHash, Trust,
    TrustError, VerifyError, Witness, WitnessError, WitnessFile, WitnessMemory,
};

use super::world::World;

const NOON: Timestamp = Timestamp::from_millis(1_700_000_012_345);

fn secret(number: u8) -> SecretKey {
    let name = format!("witness.example/w{number}");
    SecretKey::from_seed(name.parse().unwrap(), KeyUse::Witness, &[100 + number; 32])
}

struct Seat {
    witness: Witness<WitnessFile>,
    dir: tempfile::TempDir,
}

fn seat(number: u8, trust: &Trust) -> Seat {
    let dir = tempfile::tempdir().unwrap();
    let memory = WitnessFile::new(dir.path().join("seen.json"));
    Seat { witness: Witness::new(secret(number), memory).unwrap().with_log(trust.clone()), dir }
}

/// A request that goes from `old` to the log's checkpoint.
async fn request(world: &World, old: u64) -> CosignRequest {
    let reader = world.reader();
    let note = reader.checkpoint().await.unwrap().unwrap();
    let size = Checkpoint::parse(note.text()).unwrap().size;
    CosignRequest::new(old, reader.consistency(old, size).await.unwrap(), note)
}

async fn logged() -> (World, daa_rules::audit::AuditLog) {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("first", 3).await;
    log.catch_up().await.unwrap();
    (world, log)
}

#[tokio::test]
async fn a_witness_signs_what_goes_on_and_remembers_it_over_a_restart() {
    let (world, mut log) = logged().await;
    let Seat { witness, dir } = seat(1, &world.trust());
    let line = witness.cosign(&request(&world, 0).await, NOON).await.unwrap();
    assert!(line.starts_with("\u{2014} witness.example/w1 ") && line.ends_with('\n'), "{line}");
    // The same again is signed again.
    witness.cosign(&request(&world, 9).await, NOON).await.unwrap();
    world.pay_often("second", 3).await;
    log.catch_up().await.unwrap();
    // From a size that is not the last one: told which is.
    let error = witness.cosign(&request(&world, 0).await, NOON).await.unwrap_err();
    assert!(matches!(error, WitnessError::OtherSize { seen: 9, requested: 0 }), "{error}");
    drop(witness);
    let memory = WitnessFile::new(dir.path().join("seen.json"));
    let witness = Witness::new(secret(1), memory).unwrap().with_log(world.trust());
    witness.cosign(&request(&world, 9).await, NOON).await.unwrap();
    let seen = witness.memory().seen(&"example.org/treasury".parse().unwrap()).await.unwrap();
    assert_eq!(seen.size, 18);
}

#[tokio::test]
async fn a_witness_signs_neither_a_fork_nor_a_rollback_nor_what_the_log_did_not_sign() {
    let (world, mut log) = logged().await;
    let early = request(&world, 0).await;
    world.pay_often("second", 3).await;
    log.catch_up().await.unwrap();
    let Seat { witness, dir: _dir } = seat(1, &world.trust());
    witness.cosign(&request(&world, 0).await, NOON).await.unwrap();
    // Back to what was before.
    let back = CosignRequest::new(18, Proof::default(), early.checkpoint.clone());
    let error = witness.cosign(&back, NOON).await.unwrap_err();
    assert!(matches!(error, WitnessError::Shrunk { old: 18, size: 9 }), "{error}");
    // Another log with the same key, as large and larger.
    for payments in [6, 8] {
        let other = World::new();
        let mut fork = other.open().await.unwrap();
        other.pay_often("other", payments).await;
        fork.catch_up().await.unwrap();
        let error = witness.cosign(&request(&other, 18).await, NOON).await.unwrap_err();
        match payments {
            6 => assert!(matches!(error, WitnessError::Forked { seen: 18, .. }), "{error}"),
            _ => assert!(matches!(error, WitnessError::Inconsistent { seen: 18, .. }), "{error}"),
        }
    }
    // A checkpoint of an unknown log, and one that nobody signed.
    let Seat { witness: ignorant, dir: _other } =
        seat(2, &Trust::in_log(other_log().public_key().clone()).unwrap());
    let error = ignorant.cosign(&early, NOON).await.unwrap_err();
    assert!(matches!(error, WitnessError::UnknownLog { .. }), "{error}");
    let text = early.to_string().replace("example.org/treasury A", "example.org/treasury B");
    let unsigned = CosignRequest::parse(text.as_bytes());
    if let Ok(unsigned) = unsigned {
        let error = witness.cosign(&unsigned, NOON).await.unwrap_err();
        assert!(matches!(error, WitnessError::Untrusted(_) | WitnessError::OtherSize { .. }), "{error}");
    }
    // What it signed last is what it was.
    witness.cosign(&request(&world, 18).await, NOON).await.unwrap();
}

fn other_log() -> SecretKey {
    SecretKey::from_seed("example.org/other".parse().unwrap(), KeyUse::Log, &[9; 32])
}

#[tokio::test]
async fn a_memory_that_cannot_be_read_signs_nothing() {
    let (world, _log) = logged().await;
    let Seat { witness, dir } = seat(1, &world.trust());
    std::fs::write(dir.path().join("seen.json"), "not what it was").unwrap();
    let error = witness.cosign(&request(&world, 0).await, NOON).await.unwrap_err();
    assert!(matches!(error, WitnessError::Memory(_)), "{error}");
}

#[tokio::test]
async fn of_two_requests_at_once_one_goes_on_from_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let memory = WitnessFile::new(dir.path().join("seen.json"));
    let origin = "example.org/treasury".parse().unwrap();
    let (one, two) = (Seen::new(1, TreeHash::leaf(b"1")), Seen::new(2, TreeHash::leaf(b"2")));
    assert!(memory.advance(&origin, Seen::NOTHING, one).await.unwrap());
    assert!(!memory.advance(&origin, Seen::NOTHING, two).await.unwrap());
    assert_eq!(memory.seen(&origin).await.unwrap(), one);
    let (a, b) = tokio::join!(memory.advance(&origin, one, two), memory.advance(&origin, one, two));
    assert_ne!(a.unwrap(), b.unwrap());
}

#[tokio::test]
async fn a_quorum_of_witnesses_is_needed_and_each_counts_once() {
    let (world, _log) = logged().await;
    let keys: Vec<Arc<dyn NoteVerifier>> =
        (1..=3).map(|number| Arc::new(secret(number).public_key().clone()) as _).collect();
    let trust = world.trust().with_witnesses(keys.clone(), 2).unwrap();
    let mut bundle = Bundle::of_records(&world.reader(), &[0]).await.unwrap();
    for (number, enough) in [(1, false), (1, false), (3, true)] {
        let Seat { witness, dir: _dir } = seat(number, &world.trust());
        // Twice by the same witness, at different times.
        let at = Timestamp::from_millis(1_700_000_000_000 + u64::from(enough) * 5_000);
        bundle.add_signatures(&witness.cosign(&request(&world, 0).await, at).await.unwrap()).unwrap();
        match bundle.verify(&trust) {
            Ok(verified) => {
                assert!(enough);
                let seen: Vec<_> =
                    verified.witnesses.iter().map(|it| (it.witness.as_str(), it.seconds)).collect();
                assert_eq!(
                    seen,
                    [("witness.example/w1", 1_700_000_000), ("witness.example/w3", 1_700_000_005)]
                );
            }
            Err(error) => {
                assert!(!enough, "{error}");
                let few =
                    matches!(error, VerifyError::Trust(TrustError::TooFewWitnesses { quorum: 2, actual: 1 }));
                assert!(few, "{error}");
            }
        }
    }
    // Who does not know the witnesses is not disturbed by them.
    bundle.verify(&world.trust()).unwrap();
    // A wrong signature in a known name spoils the note.
    let wrong = bundle.to_string().replace("w3 ", "w2 ");
    let renamed = Bundle::parse(wrong.as_bytes()).unwrap();
    assert!(renamed.verify(&trust).is_err());
}

#[test]
fn a_quorum_that_cannot_be_reached_or_is_one_key_is_refused() {
    let (one, two) = (secret(1), secret(2));
    let of = |keys: Vec<&SecretKey>, quorum| {
        let keys = keys.into_iter().map(|key| Arc::new(key.public_key().clone()) as Arc<dyn NoteVerifier>);
        World::new().trust().with_witnesses(keys.collect(), quorum)
    };
    assert!(of(vec![&one, &two], 2).is_ok());
    assert!(matches!(of(vec![&one], 2), Err(TrustError::Quorum { quorum: 2, witnesses: 1 })));
    let renamed =
        SecretKey::from_seed("witness.example/another".parse().unwrap(), KeyUse::Witness, &[101; 32]);
    assert!(matches!(of(vec![&one, &renamed], 2), Err(TrustError::SameKey { .. })));
    let log = SecretKey::from_seed("witness.example/log".parse().unwrap(), KeyUse::Witness, &[1; 32]);
    assert!(matches!(of(vec![&log], 1), Err(TrustError::SameKey { .. })));
    assert!(Witness::new(super::world::key(1), WitnessFile::new("unused")).is_err());
    assert!(Trust::in_log(one.public_key().clone()).is_err());
}

#[tokio::test]
async fn a_request_is_the_body_that_the_specification_has() {
    let (world, mut log) = logged().await;
    world.pay_often("second", 1).await;
    log.catch_up().await.unwrap();
    let request = request(&world, 9).await;
    let body = request.to_string();
    assert!(body.starts_with("old 9\n"), "{body}");
    assert!(body.contains("\n\nexample.org/treasury\n12\n"), "{body}");
    assert_eq!(CosignRequest::parse(body.as_bytes()).unwrap(), request);
    for (from, to) in
        [("old 9", "old 09"), ("old 9", "new 9"), ("old 9\n", "old 9\nx\n"), ("old 9", "old -9")]
    {
        assert!(CosignRequest::parse(body.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
    }
}
