//! A log that signs twice, and auditors who want both signatures.

use std::num::NonZeroU64;
use std::sync::Arc;

use daa_core::action::{Action, Context as Facts, Gate};
use daa_core::clock::{ManualClock, Timestamp};
use daa_core::event::MemoryEventStore;
use daa_crypto::SignatureAlgorithm;
use daa_rules::audit::{
    AuditLog, AuditOptions, AuditParts, Bundle, CosignRequest, KeeperInMemory, KeyUse, MemoryTiles, Note,
    SecretKey, Trust, TrustError, VerifyError, Witness, WitnessError, WitnessFile,
};

use super::*;

const NAME: &str = "example.org/treasury";

fn signer(algorithm: SignatureAlgorithm) -> CheckpointSigner {
    let suite = CryptoSuite::new();
    let key = suite.generate_signing_key(algorithm).unwrap();
    CheckpointSigner::new(suite, NAME.parse().unwrap(), key)
}

fn ml_dsa() -> CheckpointSigner {
    signer(SignatureAlgorithm::MlDsa65)
}

fn log_key(seed: u8) -> SecretKey {
    SecretKey::from_seed(NAME.parse().unwrap(), KeyUse::Log, &[seed; 32])
}

/// An agent whose every wish is denied, and recorded.
struct World {
    store: Arc<MemoryEventStore>,
    clock: Arc<ManualClock>,
    tiles: Arc<MemoryTiles>,
    keeper: Arc<KeeperInMemory>,
    gate: Gate,
    wishes: usize,
}

impl World {
    fn new() -> Self {
        let (store, clock) =
            (Arc::new(MemoryEventStore::new()), Arc::new(ManualClock::new(Timestamp::EPOCH)));
        let gate = Gate::builder(store.clone(), clock.clone()).build();
        Self { store, clock, tiles: Arc::default(), keeper: Arc::default(), gate, wishes: 0 }
    }

    async fn open(&self, key: u8, second: &[&Arc<CheckpointSigner>]) -> AuditLog {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let (tiles, keeper, key) = (self.tiles.clone(), self.keeper.clone(), Arc::new(log_key(key)));
        let parts = AuditParts { store, clock, tiles, keeper, key };
        let options = second.iter().fold(AuditOptions::new(), |all, key| all.with_second_key((*key).clone()));
        AuditLog::open("treasury", parts, options).await.unwrap()
    }

    /// The checkpoint that is published when something more has happened, and a bundle of that.
    async fn grow(&mut self, log: &mut AuditLog) -> (Note, Bundle) {
        self.wishes += 1;
        let id = format!("wish-{}", self.wishes).parse().unwrap();
        let wish = Action::new(id, "wish".parse().unwrap(), "alice".parse().unwrap()).unwrap();
        self.gate.authorize(wish, Facts::new()).await.unwrap_err();
        let size = log.catch_up().await.unwrap().size;
        let note = log.reader().checkpoint().await.unwrap().unwrap();
        (note, Bundle::of_records(log.reader(), &[size - 1]).await.unwrap())
    }
}

fn trust(key: u8) -> Trust {
    Trust::in_log(log_key(key).public_key().clone()).unwrap()
}

fn demanding(key: u8, second: &CheckpointSigner) -> Trust {
    // As the auditor has it: from its text.
    let second = CheckpointKey::read(&CryptoSuite::new(), &second.public_key().to_string()).unwrap();
    trust(key).with_required(Arc::new(second))
}

/// The note without the signatures of a key.
fn stripped(note: &Note, key: &CheckpointKey) -> Note {
    let own = key.id.to_bytes();
    let is_of = |line: &str| {
        let signature = line.rsplit(' ').next().and_then(|it| BASE64.decode(it.as_bytes()).ok());
        line.starts_with('\u{2014}') && signature.is_some_and(|bytes| bytes.starts_with(&own))
    };
    let text = note.to_string();
    let left: String = text.split_inclusive('\n').filter(|line| !is_of(line.trim_end())).collect();
    assert_ne!(left, text);
    Note::parse(left.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_checkpoint_counts_with_both_signatures_and_not_with_one() {
    let (mut world, second) = (World::new(), Arc::new(ml_dsa()));
    let mut log = world.open(1, &[&second]).await;
    let (note, bundle) = world.grow(&mut log).await;
    let demanding = demanding(1, &second);
    demanding.verify(&note).unwrap();
    assert_eq!(bundle.verify(&demanding).unwrap().records.len(), 1);
    // Who does not know the key passes it over.
    trust(1).verify(&note).unwrap();
    bundle.verify(&trust(1)).unwrap();
    // Stripped of the second signature it is still what the log signed, and does not count here.
    let less = stripped(&note, second.public_key());
    trust(1).verify(&less).unwrap();
    assert!(matches!(demanding.verify(&less), Err(TrustError::Unsigned { .. })));
    let mut json: serde_json::Value = serde_json::from_str(&bundle.to_string()).unwrap();
    let place = json.as_object_mut().unwrap().values_mut().find(|it| **it == note.to_string());
    *place.unwrap() = less.to_string().into();
    let less_bundle = Bundle::parse(json.to_string().as_bytes()).unwrap();
    less_bundle.verify(&trust(1)).unwrap();
    let error = less_bundle.verify(&demanding).unwrap_err();
    assert!(matches!(error, VerifyError::Trust(TrustError::Unsigned { .. })), "{error:?}");
    // Nor does it count with the second alone.
    let other = Trust::in_log(log_key(2).public_key().clone()).unwrap();
    assert!(matches!(other.verify(&note), Err(TrustError::Unsigned { .. })));
}

#[tokio::test]
async fn a_witness_signs_nothing_that_was_stripped() {
    let (mut world, second, dir) = (World::new(), Arc::new(ml_dsa()), tempfile::tempdir().unwrap());
    let mut log = world.open(1, &[&second]).await;
    let (note, _) = world.grow(&mut log).await;
    let key = SecretKey::generate("witness.example/w1".parse().unwrap(), KeyUse::Witness);
    let memory = WitnessFile::new(dir.path().join("seen.json"));
    let witness = Witness::new(key, memory).unwrap().with_log(demanding(1, &second));
    let request = |note: &Note| {
        let (note, reader) = (note.clone(), log.reader().clone());
        async move {
            let size = daa_rules::audit::Checkpoint::parse(note.text()).unwrap().size;
            CosignRequest::new(0, reader.consistency(0, size).await.unwrap(), note)
        }
    };
    let less = request(&stripped(&note, second.public_key())).await;
    let error = witness.cosign(&less, Timestamp::EPOCH).await.unwrap_err();
    assert!(matches!(error, WitnessError::Untrusted(TrustError::Unsigned { .. })), "{error:?}");
    witness.cosign(&request(&note).await, Timestamp::EPOCH).await.unwrap();
}

#[tokio::test]
async fn a_signature_that_was_changed_or_is_of_something_else_is_wrong() {
    let (mut world, second) = (World::new(), Arc::new(ml_dsa()));
    let mut log = world.open(1, &[&second]).await;
    let (first, _) = world.grow(&mut log).await;
    let (note, _) = world.grow(&mut log).await;
    let (key, demanding) = (second.public_key(), demanding(1, &second));
    let with = |signature: &[u8]| {
        let mut bytes = key.id.to_bytes().to_vec();
        bytes.extend_from_slice(signature);
        let mut note = stripped(&note, key);
        note.add_signatures(&format!("\u{2014} {NAME} {}\n", BASE64.encode(&bytes))).unwrap();
        demanding.verify(&note)
    };
    let right = second.sign(note.text()).unwrap();
    with(&right).unwrap();
    for at in [0, 32, 1_000, right.len() - 1] {
        let mut changed = right.clone();
        changed[at] ^= 1;
        assert!(matches!(with(&changed), Err(TrustError::WrongSignature { .. })), "byte {at}");
    }
    for wrong in
        [&right[..right.len() - 1], &[&right[..], &[0]].concat(), &second.sign(first.text()).unwrap()]
    {
        assert!(matches!(with(wrong), Err(TrustError::WrongSignature { .. })));
    }
    // Made by the same key, for another use.
    let elsewhere = second.key().sign(Context::new("daa test elsewhere v1"), note.text().as_bytes()).unwrap();
    assert!(matches!(with(elsewhere.as_raw()), Err(TrustError::WrongSignature { .. })));
    // Of another key of the same name.
    let another = trust(1).with_required(Arc::new(ml_dsa().public));
    assert!(matches!(another.verify(&note), Err(TrustError::Unsigned { .. })));
}

#[tokio::test]
async fn the_second_signature_is_demanded_across_new_keys_of_the_log() {
    let (mut world, second) = (World::new(), Arc::new(ml_dsa()));
    let mut log = world.open(1, &[&second]).await;
    let (_, before) = world.grow(&mut log).await;
    let rotation = log.rotate(Arc::new(log_key(2))).await.unwrap();
    let (note, after) = world.grow(&mut log).await;
    let (old, new) = (demanding(1, &second), demanding(1, &second).after(&rotation).unwrap());
    before.verify(&old).unwrap();
    new.verify(&note).unwrap();
    // Who trusts in the old key alone is led to the new one by the bundle.
    assert_eq!(&after.verify(&old).unwrap().key, log_key(2).public_key());
    assert!(matches!(new.verify(&stripped(&note, second.public_key())), Err(TrustError::Unsigned { .. })));
}

#[tokio::test]
async fn a_second_key_is_replaced_while_both_sign() {
    let (mut world, old) = (World::new(), Arc::new(ml_dsa()));
    // Another algorithm is only another key.
    let new = Arc::new(signer(SignatureAlgorithm::MlDsa87));
    let number = NonZeroU64::MIN;
    let first = old.key().verifying_key().id();
    let rotation = Rotation::sign(first, old.key(), new.key(), number).await.unwrap();
    let rotation = CryptoSuite::new().decode_rotation(&rotation.encode()).unwrap();
    let followed = old.public_key().follow(&[rotation]).unwrap();
    assert_eq!(&followed, new.public_key());
    let (by_old, by_new) = (demanding(1, &old), trust(1).with_required(Arc::new(followed)));
    let mut log = world.open(1, &[&old]).await;
    let (first, _) = world.grow(&mut log).await;
    by_old.verify(&first).unwrap();
    assert!(matches!(by_new.verify(&first), Err(TrustError::Unsigned { .. })));
    let mut log = world.open(1, &[&old, &new]).await;
    let (both, _) = world.grow(&mut log).await;
    by_old.verify(&both).unwrap();
    by_new.verify(&both).unwrap();
    let mut log = world.open(1, &[&new]).await;
    let (last, _) = world.grow(&mut log).await;
    by_new.verify(&last).unwrap();
    assert!(matches!(by_old.verify(&last), Err(TrustError::Unsigned { .. })));
}

#[test]
fn a_text_that_is_no_key_is_refused() {
    let (suite, key) = (CryptoSuite::new(), ml_dsa().public);
    let text = key.to_string();
    assert_eq!(CheckpointKey::read(&suite, &format!(" {text}\n")).unwrap(), key);
    let read = |text: &str| CheckpointKey::read(&suite, text).unwrap_err();
    let other_name = text.replace("treasury", "treasure");
    assert!(matches!(read(&other_name), CheckpointKeyError::Id { .. }));
    assert!(matches!(read(&log_key(1).public_key().to_string()), CheckpointKeyError::Kind));
    assert!(matches!(
        read(&text.replacen("example.org", "", 1).replacen("/treasury", "", 1)),
        CheckpointKeyError::Name(_)
    ));
    // The encoded key is the third field: base64 has pluses of its own.
    let encoded = text.splitn(3, '+').last().unwrap();
    let start = text.strip_suffix(encoded).unwrap().trim_end_matches('+');
    for broken in [&text[..text.len() - 4], start, "", "a+b", &format!("{start}+%"), &"a+".repeat(9_000)] {
        let error = read(broken);
        assert!(matches!(error, CheckpointKeyError::Format | CheckpointKeyError::Key(_)), "{broken} {error}");
    }
    let mut bytes = BASE64.decode(encoded.as_bytes()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let changed = format!("{start}+{}", BASE64.encode(&bytes));
    assert!(matches!(read(&changed), CheckpointKeyError::Id { .. } | CheckpointKeyError::Key(_)));
    // What the policy does not accept does not become a second key.
    let every =
        SignatureAlgorithm::ALL.iter().fold(daa_crypto::Policy::none(), |all, it| all.with_signature(*it));
    let lax = CryptoSuite::new().with_policy(every);
    let classic = lax.generate_signing_key(SignatureAlgorithm::Ed25519).unwrap();
    let classic = CheckpointSigner::new(lax, NAME.parse().unwrap(), classic).public_key().to_string();
    assert!(matches!(read(&classic), CheckpointKeyError::Key(DecodeError::NotAccepted(_))));
}
