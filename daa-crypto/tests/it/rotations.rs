//! One key takes the place of another.

use std::num::NonZeroU64;

use async_trait::async_trait;
use daa_crypto::{
    Context, CryptoSuite, DecodeError, Fault, KeyId, Policy, Reaction as _, RotateError, Rotation,
    RotationError, SignError, Signature, SignatureAlgorithm, Signer, SigningKey, VerifyingKey, signed_bytes,
};

use crate::{lenient, seed};

fn key(algorithm: SignatureAlgorithm, byte: u8) -> SigningKey {
    let mut seed = seed(algorithm.seed_len());
    seed[0] = byte;
    lenient().signing_key_from_seed(algorithm, &seed).expect("a key")
}

fn number(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).expect("not zero")
}

/// The first rotation of an identity.
async fn rotate(old: &dyn Signer, new: &dyn Signer) -> Rotation {
    later(old.verifying_key().id(), old, new, 1).await
}

/// A rotation of the identity that began with `first`.
async fn later(first: KeyId, old: &dyn Signer, new: &dyn Signer, at: u64) -> Rotation {
    Rotation::sign(first, old, new, number(at)).await.expect("a rotation")
}

#[tokio::test]
async fn a_chain_leads_from_the_first_key_to_the_last() {
    use SignatureAlgorithm as A;
    let suite = lenient();
    let keys = [key(A::MlDsa65, 1), key(A::MlDsa65Ed25519, 2), key(A::Ed25519, 3), key(A::MlDsa87, 4)];
    let mut rotations = Vec::new();
    for (at, pair) in (1..).zip(keys.windows(2)) {
        let rotation = later(keys[0].verifying_key().id(), &pair[0], &pair[1], at).await;
        assert_eq!(suite.decode_rotation(&rotation.encode()), Ok(rotation.clone()));
        rotations.push(rotation);
    }
    let first = keys[0].verifying_key();
    assert_eq!(suite.follow(first, &rotations).as_ref(), Ok(keys[3].verifying_key()));
    assert_eq!(suite.follow(first, &[]).as_ref(), Ok(first));
    let verified = suite.verify_rotation(first.id(), first, number(1), &rotations[0]);
    assert_eq!(verified.as_ref(), Ok(keys[1].verifying_key()));

    let skipped = suite.follow(first, &rotations[1..]);
    assert_eq!(skipped, Err(RotationError::Number { expected: 1, found: 2 }));
    let twice = suite.follow(first, &[rotations[0].clone(), rotations[0].clone()]);
    assert_eq!(twice, Err(RotationError::Number { expected: 2, found: 1 }));
    let (expected, found) = (keys[2].verifying_key().id(), first.id());
    let stranger = suite.verify_rotation(first.id(), keys[2].verifying_key(), number(1), &rotations[0]);
    assert_eq!(stranger, Err(RotationError::OtherKey { expected, found }));
    let many = vec![rotations[0].clone(); 1025];
    assert_eq!(suite.follow(first, &many), Err(RotationError::TooMany { max: 1024, found: 1025 }));
}

/// Signs for one key with another: what somebody does who holds only one of the two.
struct Impostor {
    claims: VerifyingKey,
    holds: SigningKey,
}

#[async_trait]
impl Signer for Impostor {
    fn verifying_key(&self) -> &VerifyingKey {
        &self.claims
    }

    async fn sign(&self, context: Context, message: &[u8]) -> Result<Signature, SignError> {
        self.holds.sign(context, message)
    }
}

#[tokio::test]
async fn both_keys_must_sign() {
    use SignatureAlgorithm::MlDsa65;
    let suite = lenient();
    let (old, new, thief) = (key(MlDsa65, 1), key(MlDsa65, 2), key(MlDsa65, 3));
    let trusted = old.verifying_key().clone();

    let steals = Impostor { claims: trusted.clone(), holds: key(MlDsa65, 3) };
    let stolen = rotate(&steals, &thief).await;
    assert_eq!(
        suite.verify_rotation(trusted.id(), &trusted, number(1), &stolen),
        Err(RotationError::OldSignature)
    );

    // The old key names a key whose holder did not agree, or does not exist.
    let absent = Impostor { claims: new.verifying_key().clone(), holds: key(MlDsa65, 3) };
    let imposed = rotate(&old, &absent).await;
    assert_eq!(
        suite.verify_rotation(trusted.id(), &trusted, number(1), &imposed),
        Err(RotationError::NewSignature)
    );
}

#[tokio::test]
async fn a_change_anywhere_is_refused() {
    let suite = lenient();
    let (old, new) = (key(SignatureAlgorithm::MlDsa44, 1), key(SignatureAlgorithm::Ed25519, 2));
    let first = old.verifying_key();
    let encoded = rotate(&old, &new).await.encode();
    for at in 0..encoded.len() {
        let mut changed = encoded.clone();
        changed[at] ^= 1 << (at % 8);
        let verified = suite
            .decode_rotation(&changed)
            .is_ok_and(|rotation| suite.verify_rotation(first.id(), first, number(1), &rotation).is_ok());
        assert!(!verified, "byte {at}");
    }
}

#[tokio::test]
async fn two_statements_of_one_number_contradict_each_other() {
    use SignatureAlgorithm::MlDsa65;
    let (old, one, other) = (key(MlDsa65, 1), key(MlDsa65, 2), key(MlDsa65, 3));
    let (a, b) = (rotate(&old, &one).await, rotate(&old, &other).await);
    assert!(a.contradicts(&b) && b.contradicts(&a));
    assert!(!a.contradicts(&a.clone()));
    assert!(!a.contradicts(&rotate(&old, &one).await), "signed again, and the same");
    assert!(!a.contradicts(&later(old.verifying_key().id(), &one, &other, 2).await));
}

#[tokio::test]
async fn a_rotation_to_a_weaker_algorithm_is_refused() {
    let (old, new) = (key(SignatureAlgorithm::MlDsa65, 1), key(SignatureAlgorithm::Ed25519, 2));
    let rotation = rotate(&old, &new).await;
    let suite = CryptoSuite::new().with_policy(Policy::default());
    assert!(suite.decode_rotation(&rotation.encode()).is_err());
    let found = suite.verify_rotation(rotation.first(), old.verifying_key(), number(1), &rotation);
    assert!(matches!(found, Err(RotationError::NotAccepted(_))), "{found:?}");
}

/// A device that holds a bare key, and signs the bytes that it is given.
struct Device {
    key: ed25519_dalek::SigningKey,
    public: VerifyingKey,
}

#[async_trait]
impl Signer for Device {
    fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    async fn sign(&self, context: Context, message: &[u8]) -> Result<Signature, SignError> {
        use ed25519_dalek::Signer as _;
        let bytes = signed_bytes(SignatureAlgorithm::Ed25519, context, message);
        let signature = self.key.sign(&bytes).to_bytes();
        Signature::from_raw(SignatureAlgorithm::Ed25519, &signature)
            .map_err(|error| SignError::Signer(error.into()))
    }
}

#[tokio::test]
async fn a_device_signs_as_a_key_in_memory_does() {
    let suite = lenient();
    let seed = seed(32);
    let in_memory = suite.signing_key_from_seed(SignatureAlgorithm::Ed25519, &seed).expect("a key");
    let key = ed25519_dalek::SigningKey::from_bytes(seed.as_slice().try_into().expect("32 bytes"));
    let device = Device { key, public: in_memory.verifying_key().clone() };
    let context = Context::new("daa-crypto test");
    let signature = Signer::sign(&device, context, b"message").await.expect("a signature");
    assert_eq!(signature, in_memory.sign(context, b"message").expect("a signature"));
    assert_eq!(suite.verify(device.verifying_key(), context, b"message", &signature), Ok(()));
}

#[tokio::test]
async fn a_key_does_not_take_its_own_place() {
    let key = key(SignatureAlgorithm::MlDsa44, 1);
    let id = key.verifying_key().id();
    let found = Rotation::sign(id, &key, &key, number(1)).await.expect_err("refused");
    assert!(matches!(found, RotateError::SameKey { key } if key == id), "{found:?}");
    assert_eq!(found.fault(), Fault::Caller);
}

/// Two identities come to one key. What it signs for one of them is no statement of the other, and convicts nobody.
#[tokio::test]
async fn a_chain_says_which_key_it_begins_with() {
    use SignatureAlgorithm::MlDsa44;
    let suite = lenient();
    let [one, other, shared, next, stranger] = [1, 2, 3, 4, 5].map(|byte| key(MlDsa44, byte));
    let (first, second) = (one.verifying_key(), other.verifying_key());
    let (of_one, of_other) = (rotate(&one, &shared).await, rotate(&other, &shared).await);
    let (to_next, to_stranger) =
        (later(first.id(), &shared, &next, 2).await, later(second.id(), &shared, &stranger, 2).await);
    let followed = suite.follow(first, &[of_one.clone(), to_next.clone()]);
    assert_eq!(followed.as_ref(), Ok(next.verifying_key()));
    let followed = suite.follow(second, &[of_other, to_stranger.clone()]);
    assert_eq!(followed.as_ref(), Ok(stranger.verifying_key()));
    let refused = RotationError::OtherIdentity { expected: first.id(), found: second.id() };
    assert_eq!(suite.follow(first, &[of_one, to_stranger.clone()]), Err(refused));
    assert!(!to_next.contradicts(&to_stranger));
}

/// The first statement is about the first key: it is not made otherwise, and not read.
#[tokio::test]
async fn the_first_rotation_is_of_the_first_key() {
    use SignatureAlgorithm::MlDsa44;
    let [one, other, new] = [1, 2, 3].map(|byte| key(MlDsa44, byte));
    let first = other.verifying_key().id();
    let found = Rotation::sign(first, &one, &new, number(1)).await;
    assert!(matches!(found, Err(RotateError::First { found, .. }) if found == one.verifying_key().id()));
    let mut encoded = later(first, &one, &new, 2).await.encode();
    encoded[11] = 1;
    let found = lenient().decode_rotation(&encoded);
    assert_eq!(found, Err(DecodeError::Inconsistent { field: "old key" }));
}
