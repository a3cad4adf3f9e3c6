//! A secret in shares, of which some number is needed to have it back, and fewer tell nothing.

mod recover;
mod split;

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

pub use recover::{RecoverError, recover};
pub use split::{SplitError, split, split_with};

use crate::algorithm::id;
use crate::encoding::{Kind, Reader, Writer};
use crate::error::DecodeError;

/// Bytes of the longest secret that is split. Keys are shorter; split the key of what is longer.
pub const MAX_SECRET: usize = 1024;

const SALT: usize = 32;
const COMMITMENT: usize = 32;

/// A share of a secret: Shamir's scheme over GF(256).
///
/// Each share carries hash commitments to all shares of its set and to the secret, so that a share that was damaged or
/// forged is found before it is used, and named; and so that what is recovered is known to be what was split. The
/// commitments tell nothing of the secret. What they do not do is to convict the one who split: they are made by whoever
/// knows the secret anyway.
#[derive(Clone)]
pub struct Share {
    set: Set,
    index: u8,
    salt: Zeroizing<[u8; SALT]>,
    value: Zeroizing<Vec<u8>>,
}

/// What all shares of one splitting have in common.
#[derive(Clone, PartialEq, Eq)]
struct Set {
    threshold: u8,
    secret: [u8; COMMITMENT],
    /// One for each share, in the order of their indices, from 1.
    shares: Vec<[u8; COMMITMENT]>,
}

impl Set {
    fn count(&self) -> usize {
        self.shares.len()
    }

    /// The name of the set, over everything in it.
    fn id(&self) -> ShareSetId {
        let mut hasher = blake3::Hasher::new_derive_key("daa-crypto 2026-11 share set v1");
        hasher.update(&[self.threshold]).update(&self.secret);
        for share in &self.shares {
            hasher.update(share);
        }
        ShareSetId(*hasher.finalize().as_bytes())
    }
}

/// The commitment to a share. The salt hides short values.
fn commit_to_share(index: u8, salt: &[u8; SALT], value: &[u8]) -> [u8; COMMITMENT] {
    let mut hasher = blake3::Hasher::new_derive_key("daa-crypto 2026-11 share commitment v1");
    hasher.update(&[index]).update(salt).update(value);
    *hasher.finalize().as_bytes()
}

/// The commitment to the secret: what is split begins with a salt of its own.
fn commit_to_secret(salted: &[u8]) -> [u8; COMMITMENT] {
    blake3::derive_key("daa-crypto 2026-11 shared secret commitment v1", salted)
}

/// The name of a set of shares. Note it apart from the shares: whoever has it knows that shares are of this set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareSetId([u8; 32]);

impl ShareSetId {
    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ShareSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ShareSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareSetId({self})")
    }
}

impl Share {
    /// Which share of its set, from 1.
    #[must_use]
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// How many shares are needed.
    #[must_use]
    pub const fn threshold(&self) -> u8 {
        self.set.threshold
    }

    /// How many shares there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.set.count()
    }

    /// The name of the set.
    #[must_use]
    pub fn set_id(&self) -> ShareSetId {
        self.set.id()
    }

    /// The encoding. It is secret.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Never more than 255 shares.
        let count = u8::try_from(self.set.count()).unwrap_or(u8::MAX);
        let len = self.set.count().saturating_mul(COMMITMENT).saturating_add(self.value.len());
        let mut writer = Writer::new(Kind::Share, id::SHAMIR_GF256, len.saturating_add(128))
            .fixed(&[self.set.threshold, count, self.index])
            .fixed(&self.set.secret);
        for commitment in &self.set.shares {
            writer = writer.fixed(commitment);
        }
        Zeroizing::new(writer.fixed(self.salt.as_slice()).field(&self.value).finish())
    }

    /// Reads an encoding, and checks the share against its commitment.
    ///
    /// # Errors
    /// [`DecodeError`]; [`DecodeError::Inconsistent`] when it is not what was committed to.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut reader, algorithm) = Reader::open(bytes, Kind::Share)?;
        if algorithm != id::SHAMIR_GF256 {
            return Err(DecodeError::UnknownAlgorithm { found: algorithm });
        }
        let (threshold, count, index) = (reader.u8()?, reader.u8()?, reader.u8()?);
        within("number of shares", count, 2, 255)?;
        within("threshold", threshold, 2, count)?;
        within("index", index, 1, count)?;
        let secret = reader.fixed()?;
        let shares = (0..count).map(|_| reader.fixed()).collect::<Result<Vec<_>, _>>()?;
        let salt = Zeroizing::new(reader.fixed()?);
        let value = reader.bounded("share", MAX_SECRET + SALT)?;
        if value.len() <= SALT {
            let found = value.len() as u64;
            let (min, max) = (SALT as u64 + 1, (MAX_SECRET + SALT) as u64);
            return Err(DecodeError::OutOfBounds { field: "bytes of the share", min, max, found });
        }
        reader.finish()?;
        let value = Zeroizing::new(value.to_vec());
        let share = Self { set: Set { threshold, secret, shares }, index, salt, value };
        if !share.matches_its_commitment() {
            return Err(DecodeError::Inconsistent { field: "share" });
        }
        Ok(share)
    }

    fn matches_its_commitment(&self) -> bool {
        let committed = self.set.shares.get(usize::from(self.index).wrapping_sub(1));
        let found = commit_to_share(self.index, &self.salt, &self.value);
        committed.is_some_and(|committed| committed.ct_eq(&found).into())
    }
}

fn within(field: &'static str, found: u8, min: u8, max: u8) -> Result<(), DecodeError> {
    if (min..=max).contains(&found) {
        return Ok(());
    }
    Err(DecodeError::OutOfBounds { field, min: min.into(), max: max.into(), found: found.into() })
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, count, threshold) = (self.index, self.set.count(), self.set.threshold);
        write!(f, "Share({index} of {count}, {threshold} needed, set {})", self.set.id())
    }
}
