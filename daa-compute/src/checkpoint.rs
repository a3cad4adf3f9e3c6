//! Checkpoints: all that is needed to go on, or to join, after a round. Content-addressed, so that a newcomer can take
//! one from anybody.

use bytes::Bytes;
use daa_core::artifact::{ArtifactError, Artifacts};
use daa_core::digest::Digest;
use daa_core::fault::{Fault, Reaction, Retry};

use crate::commitment::{Round, RunId};
use crate::parameters::{Layout, Parameters};
use crate::wire::{DecodeError, Reader, put_count, put_floats, put_header};

const MAGIC: [u8; 4] = *b"DAAC";
const VERSION: u16 = 1;

/// The state of a run between two rounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Which run.
    pub run: RunId,
    /// How many rounds are closed: the next one is `Round(rounds_closed)`.
    pub rounds_closed: u32,
    /// The checkpoint before this one; `None` for the first.
    pub previous: Option<Digest>,
    /// The model.
    pub parameters: Parameters,
    /// The last aggregate, from which a robust aggregation starts; `None` before the first.
    pub aggregate: Option<Vec<f32>>,
}

/// Why there is no checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Nothing is stored at that address.
    #[error("there is no checkpoint {digest}")]
    Missing {
        /// The address.
        digest: Digest,
    },
    /// Other bytes than the address says.
    #[error("the bytes have digest {found}, asked for was {expected}")]
    Foreign {
        /// Their digest.
        found: Digest,
        /// What was asked for.
        expected: Digest,
    },
    /// The bytes are no checkpoint of this layout.
    #[error("the bytes are no checkpoint")]
    Decode(#[from] DecodeError),
    /// The store failed.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
}

impl Reaction for CheckpointError {
    fn fault(&self) -> Fault {
        match self {
            Self::Missing { .. } => Fault::Environment,
            Self::Foreign { .. } | Self::Decode(_) => Fault::Peer,
            Self::Artifacts(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Missing { .. } => Retry::Later,
            Self::Foreign { .. } | Self::Decode(_) => Retry::Never,
            Self::Artifacts(error) => error.retry(),
        }
    }
}

impl Checkpoint {
    /// The checkpoint before round 0.
    #[must_use]
    pub const fn genesis(run: RunId, parameters: Parameters) -> Self {
        Self { run, rounds_closed: 0, previous: None, parameters, aggregate: None }
    }

    /// The checkpoint after a round that started from this one, whose digest is `own`.
    #[must_use]
    pub const fn after(
        &self,
        own: Digest,
        round: Round,
        parameters: Parameters,
        aggregate: Vec<f32>,
    ) -> Self {
        Self {
            run: self.run,
            rounds_closed: round.next().0,
            previous: Some(own),
            parameters,
            aggregate: Some(aggregate),
        }
    }

    /// Bytes: `DAAC`, version (u16), run, rounds closed (u32), whether there is a previous one (u32) and its digest
    /// (else zeros), length and bytes of the parameters, count and numbers of the aggregate (count 0: none).
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(128 + self.parameters.values().len() * 8);
        put_header(&mut out, MAGIC, VERSION);
        out.extend_from_slice(self.run.0.as_bytes());
        out.extend_from_slice(&self.rounds_closed.to_le_bytes());
        out.extend_from_slice(&u32::from(self.previous.is_some()).to_le_bytes());
        out.extend_from_slice(self.previous.as_ref().map_or(&[0; 32], |previous| previous.as_bytes()));
        let parameters = self.parameters.encode();
        put_count(&mut out, parameters.len());
        out.extend_from_slice(&parameters);
        let aggregate = self.aggregate.as_deref().unwrap_or_default();
        put_count(&mut out, aggregate.len());
        put_floats(&mut out, aggregate);
        out.into()
    }

    /// Parses [`Checkpoint::encode`] for a layout that the reader knows.
    ///
    /// # Errors
    /// [`DecodeError`]; nothing beyond twice the layout's size is ever allocated.
    pub fn decode(layout: &Layout, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.header(MAGIC, VERSION)?;
        let run = RunId(reader.digest()?);
        let rounds_closed = reader.u32()?;
        let linked = reader.u32()?;
        let previous = reader.digest()?;
        let previous = match linked {
            0 if *previous.as_bytes() == [0; 32] => None,
            1 => Some(previous),
            _ => return Err(DecodeError::Invalid { what: "link to the previous checkpoint" }),
        };
        let len = reader.count("length of the parameters", layout.len() * 4 + 64)?;
        let parameters = Parameters::decode(layout, reader.take(len)?)?;
        let aggregate = match reader.count("length of the aggregate", layout.len())? {
            0 => None,
            count if count == layout.len() => Some(reader.finite_vec("aggregate", count)?),
            _ => return Err(DecodeError::Invalid { what: "length of the aggregate" }),
        };
        reader.end()?;
        Ok(Self { run, rounds_closed, previous, parameters, aggregate })
    }

    /// Stores it, and returns its address.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn store(&self, artifacts: &dyn Artifacts) -> Result<Digest, ArtifactError> {
        artifacts.put(self.encode()).await
    }

    /// Loads the checkpoint of an address, and checks that the bytes are those.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub async fn load(
        artifacts: &dyn Artifacts,
        digest: &Digest,
        layout: &Layout,
    ) -> Result<Self, CheckpointError> {
        let bytes = artifacts.get(digest).await?.ok_or(CheckpointError::Missing { digest: *digest })?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(CheckpointError::Foreign { found, expected: *digest });
        }
        Ok(Self::decode(layout, &bytes)?)
    }
}
