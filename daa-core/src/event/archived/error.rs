//! What can go wrong while events are archived or read back.

use crate::artifact::ArtifactError;
use crate::digest::Digest;
use crate::event::{AppendError, Position, ReadError};
use crate::fault::{Fault, Reaction, Retry};

/// Why events were not archived. What was archived before stays so, and calling again goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The store could not be read.
    #[error("the events to be archived could not be read")]
    Read(#[from] ReadError),
    /// The store could not be written to.
    #[error("the index of archived events could not be written")]
    Append(#[from] AppendError),
    /// The artefacts could not be used.
    #[error("the artefact of archived events could not be stored")]
    Artifact(#[from] ArtifactError),
    /// An artefact does not hold the events that it should.
    #[error("the artefact {artifact} should hold the events from {first} to {last}, and does not")]
    Lost {
        /// The artefact.
        artifact: Digest,
        /// The first of the events.
        first: Position,
        /// The last of them.
        last: Position,
    },
    /// Others archived or erased something all the time.
    #[error("others archived or erased events all the time, {tries} times")]
    Contended {
        /// How often it was tried.
        tries: u32,
    },
}

impl Reaction for ArchiveError {
    fn fault(&self) -> Fault {
        match self {
            Self::Read(error) => error.fault(),
            Self::Append(error) => error.fault(),
            Self::Artifact(error) => error.fault(),
            Self::Lost { .. } | Self::Contended { .. } => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Read(error) => error.retry(),
            Self::Append(error) => error.retry(),
            Self::Artifact(error) => error.retry(),
            Self::Lost { .. } => Retry::Never,
            Self::Contended { .. } => Retry::Later,
        }
    }
}

impl ArchiveError {
    /// To whoever reads.
    pub(super) fn into_read(self) -> ReadError {
        match self {
            Self::Read(error) => error,
            error if error.retry() == Retry::Never => ReadError::Corrupt { detail: chain(&error) },
            error => ReadError::Unavailable { source: error.into() },
        }
    }

    /// To whoever erases.
    pub(super) fn into_append(self) -> AppendError {
        match self {
            Self::Append(error) => error,
            Self::Read(ReadError::Closed) => AppendError::Closed,
            Self::Read(ReadError::Unavailable { source }) => AppendError::Unavailable { source },
            Self::Read(ReadError::Corrupt { detail }) => AppendError::Corrupt { detail },
            Self::Artifact(ArtifactError::ReadOnly) => AppendError::ReadOnly,
            Self::Artifact(ArtifactError::Full { source }) => AppendError::Full { source },
            error if error.retry() == Retry::Never => AppendError::Corrupt { detail: chain(&error) },
            error => AppendError::Unavailable { source: error.into() },
        }
    }
}

/// An error and what it came from, where there is only room for a text.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
