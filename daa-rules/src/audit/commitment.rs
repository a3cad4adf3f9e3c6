//! Commitments: digests of what an event says, blinded by its salt, so that each part can be shown by itself, and all
//! of it can be erased.

use std::fmt;

use daa_core::action::Salt;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// A part of an event that can be shown by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// The action, as JSON.
    Action,
    /// What the rules were told beside it, as JSON.
    Context,
    /// The digest of the action, in hexadecimal.
    Digest,
    /// Why an action failed, as a JSON string.
    Error,
    /// All of the event, salt included.
    Event,
    /// What an action brought about, as JSON.
    Outcome,
    /// Why the rules said no, as a JSON string.
    Reason,
    /// Why the money was not reserved, as JSON.
    Refusal,
}

impl Part {
    /// Its name, as in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Context => "context",
            Self::Digest => "digest",
            Self::Error => "error",
            Self::Event => "event",
            Self::Outcome => "outcome",
            Self::Reason => "reason",
            Self::Refusal => "refusal",
        }
    }

    /// The salt of this part: it says nothing about those of others, nor about that of the event.
    fn salt(self, event: &Salt) -> PartSalt {
        let hash = Sha256::new().chain_update(b"daa audit part salt v1\0").chain_update(self.name());
        PartSalt(hash.chain_update([0]).chain_update(event.as_bytes()).finalize().into())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// 32 bytes in hexadecimal.
macro_rules! hexadecimal {
    ($($(#[$doc:meta])* $visibility:vis $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        $visibility struct $name([u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&HEXLOWER.encode_display(&self.0), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut digits = [0; 64];
                HEXLOWER.encode_mut(&self.0, &mut digits);
                serializer.serialize_str(std::str::from_utf8(&digits).unwrap_or_default())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                let mut bytes = [0; 32];
                let decoded = text.len() == 64 && HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).is_ok();
                decoded.then_some(Self(bytes)).ok_or_else(|| de::Error::custom("64 lower-case hexadecimal digits"))
            }
        }
    )*};
}

hexadecimal! {
    /// The salt of one part of an event.
    pub PartSalt;
    /// A digest that binds to content: with a salt it says nothing about it, without one whoever guesses the content
    /// can tell.
    pub Commitment;
}

impl Commitment {
    fn blinded(part: Part, salt: &PartSalt, content: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(b"daa audit commitment v1\0").chain_update(part.name());
        Self(hash.chain_update([0]).chain_update(salt.0).chain_update(content).finalize().into())
    }

    /// Of a part of an event that has a salt.
    pub(super) fn of(part: Part, event: &Salt, content: &[u8]) -> Self {
        Self::blinded(part, &part.salt(event), content)
    }

    /// Of content that everybody may know: plain SHA-256.
    pub(super) fn public(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }
}

/// A part of an event with its salt: whoever has it can check that the log means this content. The other parts stay
/// hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Disclosure {
    /// Which part.
    pub part: Part,
    /// Its salt.
    pub salt: PartSalt,
    /// What it says.
    pub content: String,
}

impl Disclosure {
    pub(super) fn new(part: Part, event: &Salt, content: &str) -> Self {
        Self { part, salt: part.salt(event), content: content.to_owned() }
    }

    /// The commitment that its record has.
    #[must_use]
    pub fn commitment(&self) -> Commitment {
        Commitment::blinded(self.part, &self.salt, self.content.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_salt_and_content_are_all_bound() {
        let (salt, other) = (Salt::from_bytes([1; 32]), Salt::from_bytes([2; 32]));
        let one = Commitment::of(Part::Action, &salt, b"content");
        assert_eq!(one, Disclosure::new(Part::Action, &salt, "content").commitment());
        for changed in [
            Commitment::of(Part::Context, &salt, b"content"),
            Commitment::of(Part::Action, &other, b"content"),
            Commitment::of(Part::Action, &salt, b"contents"),
        ] {
            assert_ne!(one, changed);
        }
    }

    #[test]
    fn names_are_those_of_the_records() {
        for part in [Part::Action, Part::Context, Part::Digest, Part::Error, Part::Event, Part::Outcome] {
            assert_eq!(serde_json::to_string(&part).unwrap(), format!("\"{}\"", part.name()));
        }
    }

    #[test]
    fn the_salt_of_a_part_does_not_tell_the_salt_of_the_event() {
        let salt = Salt::from_bytes([1; 32]);
        let parts = [Part::Action, Part::Event].map(|part| part.salt(&salt).0);
        assert_ne!(parts[0], parts[1]);
        assert!(!parts.contains(salt.as_bytes()));
    }
}
