//! Why an artefact was not stored or not read.

use std::error::Error as StdError;

use crate::digest::Digest;
use crate::fault::{Fault, Reaction, Retry};

/// Why an artefact was not stored or not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// More bytes than fit.
    #[error("at most {max} bytes, these are {len} or more")]
    TooLarge {
        /// How many there are, as far as is known.
        len: u64,
        /// How many fit.
        max: u64,
    },
    /// A range that is not within the artefact.
    #[error("the bytes {start} to {end} are asked for of an artefact that has {size}")]
    OutOfRange {
        /// Where the range begins.
        start: u64,
        /// Where it ends.
        end: u64,
        /// The size of the artefact.
        size: u64,
    },
    /// The stored bytes do not have the digest they are stored under.
    #[error("the artefact stored as {digest} has other content")]
    Corrupt {
        /// The address.
        digest: Digest,
    },
    /// What the store wrote for itself is not what it wrote.
    #[error("{name:?} in the artefact store is damaged")]
    Damaged {
        /// The name of the blob.
        name: String,
    },
    /// The cipher does not have the key that it was sealed with.
    #[error("{name:?} in the artefact store was sealed with the key {key:?}, which is not known here")]
    UnknownKey {
        /// The name of the blob.
        name: String,
        /// The id of the key.
        key: String,
    },
    /// The cipher has another key under this id than the one that it was sealed with, or the seal was changed.
    #[error("{name:?} in the artefact store was not sealed with this key {key:?}")]
    WrongKey {
        /// The name of the blob.
        name: String,
        /// The id of the key.
        key: String,
    },
    /// The cipher could not seal or open.
    #[error("the cipher of the artefact store is unavailable")]
    Cipher {
        /// What it said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The source of a stream failed.
    #[error("the source of the artefact failed")]
    Source {
        /// What it said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The disk is full.
    #[error("no space is left for the artefact")]
    Full {
        /// What the engine said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The store was opened read-only.
    #[error("the artefact store is read-only")]
    ReadOnly,
    /// The engine does not let us in: credentials are missing, wrong, or not enough.
    #[error("the artefact store refuses access")]
    Denied {
        /// What the engine said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The engine failed.
    #[error("the artefact store is unavailable")]
    Unavailable {
        /// What the engine said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl ArtifactError {
    /// The engine failed.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable { source: source.into() }
    }
}

impl Reaction for ArtifactError {
    fn fault(&self) -> Fault {
        match self {
            Self::TooLarge { .. } | Self::OutOfRange { .. } | Self::Source { .. } => Fault::Caller,
            Self::Corrupt { .. }
            | Self::Damaged { .. }
            | Self::UnknownKey { .. }
            | Self::WrongKey { .. }
            | Self::Cipher { .. }
            | Self::Full { .. }
            | Self::ReadOnly
            | Self::Denied { .. }
            | Self::Unavailable { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Cipher { .. } | Self::Full { .. } | Self::Unavailable { .. } => Retry::Later,
            Self::TooLarge { .. }
            | Self::OutOfRange { .. }
            | Self::Source { .. }
            | Self::Corrupt { .. }
            | Self::Damaged { .. }
            | Self::UnknownKey { .. }
            | Self::WrongKey { .. }
            | Self::ReadOnly
            | Self::Denied { .. } => Retry::Never,
        }
    }
}
