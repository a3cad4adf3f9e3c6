//! Salts beside what a journal says, so that digests of it can be published and it can still be erased.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::digest::{Digest, ParseDigestError};
use crate::event::Version;
use crate::id::ActionId;
use crate::seed::Seed;

/// 32 bytes that nobody can guess, in the journal beside the content that they blind.
///
/// A digest of content and salt says nothing about the content to whoever does not have the salt. Erasing the event
/// takes both, and leaves a digest that fits nothing any more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// Wraps 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt")
    }
}

impl FromStr for Salt {
    type Err = ParseDigestError;

    /// Reads 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(|digest: Digest| Self(*digest.as_bytes()))
    }
}

impl Serialize for Salt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Digest::from_bytes(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The secret that a gate derives its salts from.
///
/// It must never be stored: whoever has it has the salts of what was erased. It need not be the same after a restart,
/// because each salt stands beside what it blinds; so take 32 fresh bytes from the operating system at every start.
#[derive(Clone)]
pub struct SaltKey([u8; 32]);

impl SaltKey {
    /// A secret of 32 bytes that nobody can guess.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret of a seed: the same salts in every run, for tests and simulations. Whoever knows the seed knows the
    /// salts.
    #[must_use]
    pub fn from_seed(seed: &Seed) -> Self {
        use rand::Rng as _;
        let mut bytes = [0; 32];
        seed.child("salts").rng().fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The salt of the event that becomes `version` of the stream of an action. No two events share a salt.
    pub(super) fn salt(&self, id: &ActionId, version: Version) -> Salt {
        let digest = Digest::builder("daa action salt v1").field(&self.0).field(id.as_str().as_bytes());
        Salt(*digest.number(version.get()).finish().as_bytes())
    }
}

impl fmt::Debug for SaltKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaltKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts_differ_by_key_action_and_version_and_by_nothing_else() {
        let key = |seed| SaltKey::from_seed(&Seed::from_u64(seed));
        let salt = |seed, id: &str, version| key(seed).salt(&id.parse().unwrap(), Version::new(version));
        assert_eq!(salt(1, "a", 1), salt(1, "a", 1));
        for other in [salt(2, "a", 1), salt(1, "b", 1), salt(1, "a", 2)] {
            assert_ne!(salt(1, "a", 1), other);
        }
    }

    #[test]
    fn a_salt_is_text_in_the_journal_and_shown_nowhere_else() {
        let salt = Salt::from_bytes([7; 32]);
        let json = serde_json::to_string(&salt).unwrap();
        assert_eq!(json, format!("\"{}\"", "07".repeat(32)));
        assert_eq!(serde_json::from_str::<Salt>(&json).unwrap(), salt);
        assert!(serde_json::from_str::<Salt>("\"07\"").is_err());
        assert_eq!(format!("{salt:?} {:?}", SaltKey::from_bytes([7; 32])), "Salt SaltKey");
    }
}
