//! The contract of read models.

use std::error::Error as StdError;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::error::ModelError;
use super::slots::ModelState;
use crate::clock::Timestamp;
use crate::event::{Position, RecordedEvent};
use crate::id::{ProjectionName, StreamId};

/// The version of a projection: the higher, the newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelVersion(u32);

impl ModelVersion {
    /// Wraps a number.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Why a projection cannot apply an event. Where the engine behind the model is away, hand on its own error: the model
/// tells it from one that the event is to blame for.
pub type Refusal = Box<dyn StdError + Send + Sync>;

/// What all projections have in common, on whatever engine.
///
/// Applying must be a function of the model and the event: no clock, no randomness, nothing from outside. Otherwise the
/// model that is built anew is another one.
pub trait Projection: Send + Sync + fmt::Debug + 'static {
    /// Its name, for people.
    fn name(&self) -> &ProjectionName;

    /// Raise it with every change of what the model is or how events change it: the model is then built anew. It never
    /// goes back; to return to what an earlier version did, give that a higher number.
    fn version(&self) -> ModelVersion;

    /// Whether events of this stream are for it. That of an event whose kind was erased still tells.
    fn wants(&self, stream: &StreamId) -> bool {
        let _ = stream;
        true
    }
}

/// Events that change a model together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Where the model must be.
    pub from: Position,
    /// Where it is afterwards.
    pub to: Position,
    /// The events that change it, in order, all behind `from` and none behind `to`; none of them erased.
    pub events: Vec<RecordedEvent>,
    /// What was passed over because the projection refused it.
    pub skipped: Vec<SkippedEvent>,
}

impl Step {
    /// A step in which nothing was refused.
    #[must_use]
    pub const fn new(from: Position, to: Position, events: Vec<RecordedEvent>) -> Self {
        Self { from, to, events, skipped: Vec::new() }
    }

    /// Passes over an event, and records why.
    #[must_use]
    pub fn with_skipped(mut self, skipped: SkippedEvent) -> Self {
        self.skipped.push(skipped);
        self
    }
}

/// An event that was passed over because the projection refused it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SkippedEvent {
    /// Where it stands.
    pub position: Position,
    /// Why it was refused, for people.
    pub reason: String,
}

impl SkippedEvent {
    /// An event that was passed over.
    #[must_use]
    pub const fn new(position: Position, reason: String) -> Self {
        Self { position, reason }
    }
}

/// A projection on an engine: the rows that it makes, and their position in the order of the store.
///
/// Up to two versions are there at a time: the one that is *live*, which readers see, and one that is *building*. The
/// methods act on the version of this process's own projection, wherever it is.
///
/// # Contract
///
/// An implementation must:
/// - change rows and position in one transaction, and only if the position is [`Step::from`]: of two steps from the same
///   place one wins;
/// - change nothing when [`apply`](Self::apply) fails, except where it says that it is not known;
/// - show readers the live version only, and each of their reads one moment of it;
/// - [swap](Self::swap) as a whole, never so that the position that readers see goes back, and drop the old version;
/// - hold [`ModelError::Superseded`] against every call of a version that is lower than the live one.
///
/// The suite in [`testing`](super::testing) (feature `test-util`) checks that; every implementation runs it.
#[async_trait]
pub trait ReadModel: Send + Sync + fmt::Debug {
    /// The projection.
    fn projection(&self) -> &dyn Projection;

    /// Which versions are there, and where.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`], [`ModelError::Corrupt`].
    async fn state(&self) -> Result<ModelState, ModelError>;

    /// Begins to build the version of this projection, from the first event. Has no effect where it is live or being
    /// built. A lower version that is being built is given up.
    ///
    /// # Errors
    /// [`ModelError::Superseded`] by a higher version that is live or being built.
    ///
    /// # Cancel safety
    /// A dropped call has begun or not.
    async fn begin(&self) -> Result<(), ModelError>;

    /// Takes a step.
    ///
    /// # Errors
    /// [`ModelError::Moved`] where the model is elsewhere, [`ModelError::Poison`] with the event that the projection
    /// refuses, [`ModelError::NotBegun`], [`ModelError::Superseded`]. After [`ModelError::Unavailable`] ask for the
    /// [state](Self::state): the step may have been taken.
    ///
    /// # Cancel safety
    /// A dropped call has taken the step wholly or not at all, and may do so only after it was dropped.
    async fn apply(&self, step: Step) -> Result<(), ModelError>;

    /// Makes the version that is being built the live one. Has no effect where it is live.
    ///
    /// # Errors
    /// [`ModelError::Behind`] where the live version is further, [`ModelError::NotBegun`], [`ModelError::Superseded`].
    ///
    /// # Cancel safety
    /// A dropped call has swapped or not.
    async fn swap(&self) -> Result<(), ModelError>;

    /// Does what is due beside the events, such as refreshing a view of the rows; answers when it is to be called again,
    /// if it need be.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`].
    async fn refresh(&self, now: Timestamp) -> Result<Option<Timestamp>, ModelError> {
        let _ = now;
        Ok(None)
    }

    /// The events that this version has passed over because the projection refused them, in order, at most `limit`.
    ///
    /// # Errors
    /// [`ModelError::NotBegun`], [`ModelError::Unavailable`].
    async fn skipped(&self, limit: usize) -> Result<Vec<SkippedEvent>, ModelError>;
}
