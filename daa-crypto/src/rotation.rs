//! One key takes the place of another.

use std::fmt;
use std::num::NonZeroU64;

use crate::algorithm::SignatureAlgorithm;
use crate::context::Context;
use crate::encoding::{Kind, LENGTH, PREFIX, Reader, Writer};
use crate::error::{DecodeError, Fault, NotAccepted, Reaction, SignError};
use crate::key_id::KeyId;
use crate::policy::Policy;
use crate::provider::Provider;
use crate::signature::Signature;
use crate::signer::Signer;
use crate::signing_key::VerifyingKey;

const BY_OLD: Context = Context::new("daa-crypto rotation v1: the old key names the new one");
const BY_NEW: Context = Context::new("daa-crypto rotation v1: the new key accepts");

/// The statement that a new key takes the place of an old one, signed by both.
///
/// The old key's signature hands over; the new key's proves that whoever asks for it holds it. An identity is named by its first
/// key, which is in each of its statements; they are numbered from 1. A key that signs two statements of one identity and
/// number is compromised, and the two are the proof: see [`contradicts`](Self::contradicts).
#[derive(Clone, PartialEq, Eq)]
pub struct Rotation {
    number: u64,
    first: KeyId,
    old: KeyId,
    new: VerifyingKey,
    by_old: Signature,
    by_new: Signature,
}

impl Rotation {
    /// States that `new` takes the place of `old`: the `number`th statement of the identity whose first key was `first`.
    ///
    /// # Errors
    /// [`RotateError::SameKey`] for a key that is to take its own place; [`RotateError::First`] when the first statement is
    /// not about the first key; [`RotateError::Sign`] of either signer.
    pub async fn sign(
        first: KeyId,
        old: &dyn Signer,
        new: &dyn Signer,
        number: NonZeroU64,
    ) -> Result<Self, RotateError> {
        let number = number.get();
        let (old_id, new_key) = (old.verifying_key().id(), new.verifying_key().clone());
        if new_key.id() == old_id {
            return Err(RotateError::SameKey { key: old_id });
        }
        if number == 1 && old_id != first {
            return Err(RotateError::First { first, found: old_id });
        }
        let body = body(old.verifying_key().algorithm(), number, first, old_id, &new_key).finish();
        let by_old = old.sign(BY_OLD, &body).await?;
        let by_new = new.sign(BY_NEW, &body).await?;
        Ok(Self { number, first, old: old_id, new: new_key, by_old, by_new })
    }

    /// The number of this statement among those of its identity, from 1.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The key with which the identity began.
    #[must_use]
    pub const fn first(&self) -> KeyId {
        self.first
    }

    /// The key whose place is taken.
    #[must_use]
    pub const fn old(&self) -> KeyId {
        self.old
    }

    /// The key that takes it. Trusted only after [`CryptoSuite::verify_rotation`](crate::CryptoSuite::verify_rotation).
    #[must_use]
    pub const fn new_key(&self) -> &VerifyingKey {
        &self.new
    }

    /// Whether both are of the same identity, key and number, and name different keys. Verify both before blaming anybody.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        let about = |one: &Self| (one.first, one.number, one.old);
        about(self) == about(other) && self.new != other.new
    }

    /// The encoding. [`CryptoSuite::decode_rotation`](crate::CryptoSuite::decode_rotation) reads it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        body(self.by_old.algorithm(), self.number, self.first, self.old, &self.new)
            .field(self.by_old.as_raw())
            .field(self.by_new.as_raw())
            .finish()
    }

    pub(crate) fn decode(
        provider: &dyn Provider,
        policy: &Policy,
        bytes: &[u8],
    ) -> Result<Self, DecodeError> {
        let (mut reader, id) = Reader::open(bytes, Kind::Rotation)?;
        let algorithm = SignatureAlgorithm::known(id)?;
        policy.check_signature(algorithm)?;
        let number = reader.u64()?;
        if number == 0 {
            return Err(DecodeError::OutOfBounds { field: "number", min: 1, max: u64::MAX, found: 0 });
        }
        let first = KeyId::from_bytes(reader.fixed()?);
        let old = KeyId::from_bytes(reader.fixed()?);
        if number == 1 && first != old {
            return Err(DecodeError::Inconsistent { field: "old key" });
        }
        let longest = SignatureAlgorithm::MlDsa87.public_key_len() + PREFIX + LENGTH;
        let new = reader.bounded("new key", longest)?;
        let new = VerifyingKey::decode(provider, new, |algorithm| Ok(policy.check_signature(algorithm)?))?;
        let by_old = reader.field("old key's signature", algorithm.signature_len())?;
        let by_old = Signature::from_raw(algorithm, by_old)?;
        let by_new = reader.field("new key's signature", new.algorithm().signature_len())?;
        let by_new = Signature::from_raw(new.algorithm(), by_new)?;
        reader.finish()?;
        if new.id() == old {
            return Err(DecodeError::Inconsistent { field: "new key" });
        }
        Ok(Self { number, first, old, new, by_old, by_new })
    }

    /// Verifies the statement by the key that is trusted so far.
    pub(crate) fn verify(
        &self,
        policy: &Policy,
        first: KeyId,
        trusted: &VerifyingKey,
        number: u64,
    ) -> Result<(), RotationError> {
        for key in [trusted, &self.new] {
            policy.check_signature(key.algorithm())?;
        }
        if self.first != first {
            return Err(RotationError::OtherIdentity { expected: first, found: self.first });
        }
        if self.number != number {
            return Err(RotationError::Number { expected: number, found: self.number });
        }
        if self.old != trusted.id() || self.by_old.algorithm() != trusted.algorithm() {
            return Err(RotationError::OtherKey { expected: trusted.id(), found: self.old });
        }
        let body = body(trusted.algorithm(), self.number, self.first, self.old, &self.new).finish();
        if !trusted.holds(BY_OLD, &body, &self.by_old) {
            return Err(RotationError::OldSignature);
        }
        if !self.new.holds(BY_NEW, &body, &self.by_new) {
            return Err(RotationError::NewSignature);
        }
        Ok(())
    }
}

/// Everything before the signatures: what both sign.
fn body(algorithm: SignatureAlgorithm, number: u64, first: KeyId, old: KeyId, new: &VerifyingKey) -> Writer {
    let new = new.encode();
    Writer::new(Kind::Rotation, algorithm.id(), new.len().saturating_add(96))
        .u64(number)
        .fixed(first.as_bytes())
        .fixed(old.as_bytes())
        .field(&new)
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rotation({}: {} to {})", self.number, self.old, self.new.id())
    }
}

/// A rotation that was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// A key was to take its own place.
    #[error("{key} is to take its own place")]
    SameKey {
        /// Which key.
        key: KeyId,
    },
    /// The first statement of an identity is about its first key.
    #[error("the first rotation of {first} is to take the place of {found}")]
    First {
        /// The first key.
        first: KeyId,
        /// The key whose place was to be taken.
        found: KeyId,
    },
    /// One of the two did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl Reaction for RotateError {
    fn fault(&self) -> Fault {
        match self {
            Self::SameKey { .. } | Self::First { .. } => Fault::Caller,
            Self::Sign(error) => error.fault(),
        }
    }
}

/// A rotation that does not hold. The fault of whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// The policy refuses the algorithm of the old or the new key.
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
    /// It is of an identity that began with another key.
    #[error("expected a rotation of the identity that began with {expected}, found one of {found}")]
    OtherIdentity {
        /// The first key of the identity that is followed.
        expected: KeyId,
        /// The first key that it names.
        found: KeyId,
    },
    /// It has another number than the next.
    #[error("expected rotation {expected}, found {found}")]
    Number {
        /// The next number.
        expected: u64,
        /// Its number.
        found: u64,
    },
    /// It is about another key than the one that is trusted.
    #[error("expected a rotation of {expected}, found one of {found}")]
    OtherKey {
        /// The trusted key.
        expected: KeyId,
        /// The key whose place it takes.
        found: KeyId,
    },
    /// The old key did not sign it.
    #[error("the old key's signature does not verify")]
    OldSignature,
    /// The new key did not sign it.
    #[error("the new key's signature does not verify")]
    NewSignature,
    /// More rotations at once than are followed.
    #[error("{found} rotations are more than {max}")]
    TooMany {
        /// How many are followed.
        max: usize,
        /// How many there are.
        found: usize,
    },
}

impl Reaction for RotationError {
    fn fault(&self) -> Fault {
        Fault::Peer
    }
}
