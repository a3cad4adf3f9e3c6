//! Names for artefacts, with versions and tags.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::fault::{Fault, Reaction, Retry};

use super::ArtifactError;

const MAX_NAME: usize = 200;
const MAX_TAG: usize = 64;

/// A name under which versions of an artefact are published, such as `models/llama-7b`: up to 200 lower-case letters,
/// digits, `.`, `_` and `-`, in parts between slashes; each part begins with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReferenceName(String);

/// A label on one version of a name, such as `stable`: up to 64 lower-case letters, digits, `.`, `_` and `-`, a letter or
/// a digit first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// The number of a version of a name: 1, 2, 3 and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArtifactVersion(NonZeroU64);

impl ArtifactVersion {
    /// The first version of a name.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The version of this number; `None` for zero.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The one that follows it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for ArtifactVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_part(part: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    part.bytes().next().is_some_and(letter)
        && part.bytes().all(|byte| letter(byte) || matches!(byte, b'.' | b'_' | b'-'))
}

impl ReferenceName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As one part of the name of a blob.
    pub(super) fn to_part(&self) -> String {
        self.0.replace('/', "=")
    }

    pub(super) fn from_part(part: &str) -> Option<Self> {
        part.replace('=', "/").parse().ok()
    }
}

impl Tag {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ReferenceName {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() <= MAX_NAME && text.split('/').all(is_part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseReferenceError)
        }
    }
}

impl FromStr for Tag {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() <= MAX_TAG && is_part(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseReferenceError)
        }
    }
}

macro_rules! text {
    ($($type:ident)*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$type> for String {
            fn from(it: $type) -> Self {
                it.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = ParseReferenceError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
    )*};
}

text! { ReferenceName Tag }

/// A text that is no name, or no tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "names and tags are lower-case letters, digits and `.`, `_`, `-`, a letter or a digit first; up to {MAX_NAME} for \
     a name, which may have slashes, and {MAX_TAG} for a tag"
)]
#[non_exhaustive]
pub struct ParseReferenceError;

/// Which version of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that was published last and is not retired.
    Latest,
    /// That of a number.
    Version(ArtifactVersion),
    /// That with a tag.
    Tag(Tag),
}

/// A published version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reference {
    /// The name.
    pub name: ReferenceName,
    /// Its version.
    pub version: ArtifactVersion,
    /// The artefact.
    pub digest: Digest,
    /// When it was published, by the clock of the engine.
    pub published: Timestamp,
}

/// Why a reference was not made or not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// Another version was published since.
    #[error("the latest version of {name} is {}, not {}", shown(*.found), shown(*.expected))]
    Stale {
        /// The name.
        name: ReferenceName,
        /// What the caller took for the latest version.
        expected: Option<ArtifactVersion>,
        /// The latest version; `None` also where somebody else published the first one just now.
        found: Option<ArtifactVersion>,
    },
    /// The tag is elsewhere than the caller thought.
    #[error("the tag {tag} of {name} is at {}, not at {}", shown(*.found), shown(*.expected))]
    Moved {
        /// The name.
        name: ReferenceName,
        /// The tag.
        tag: Tag,
        /// Where the caller took it to be.
        expected: Option<ArtifactVersion>,
        /// Where it is.
        found: Option<ArtifactVersion>,
    },
    /// There is no such version, or it is retired.
    #[error("{name} has no version {version}")]
    NoVersion {
        /// The name.
        name: ReferenceName,
        /// The version.
        version: ArtifactVersion,
    },
    /// A tag is on it.
    #[error("version {version} of {name} has the tag {tag}")]
    Tagged {
        /// The name.
        name: ReferenceName,
        /// The version.
        version: ArtifactVersion,
        /// The tag.
        tag: Tag,
    },
    /// There is no such artefact.
    #[error("there is no artefact {digest}")]
    NoArtifact {
        /// Its address.
        digest: Digest,
    },
    /// The store.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

fn shown(version: Option<ArtifactVersion>) -> String {
    version.map_or_else(|| "none".to_owned(), |version| version.to_string())
}

impl Reaction for ReferenceError {
    fn fault(&self) -> Fault {
        match self {
            Self::Stale { .. }
            | Self::Moved { .. }
            | Self::NoVersion { .. }
            | Self::Tagged { .. }
            | Self::NoArtifact { .. } => Fault::Caller,
            Self::Artifact(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Artifact(error) => error.retry(),
            _ => Retry::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags_are_checked() {
        for name in ["a", "models/llama-7b", "0.x_y/z", &"a".repeat(200)] {
            let name: ReferenceName = name.parse().unwrap();
            assert_eq!(ReferenceName::from_part(&name.to_part()), Some(name));
        }
        for name in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "a/../b",
            ".a",
            "A",
            "a b",
            "a=b",
            "ä",
            "a\0",
            &"a".repeat(201),
        ] {
            assert!(name.parse::<ReferenceName>().is_err(), "{name:?}");
        }
        assert!("stable".parse::<Tag>().is_ok());
        for tag in ["", "a/b", "..", "a=b", &"a".repeat(65)] {
            assert!(tag.parse::<Tag>().is_err(), "{tag:?}");
        }
    }
}
