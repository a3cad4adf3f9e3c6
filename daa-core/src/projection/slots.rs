//! Which versions of a model there are, and what follows for one of them. Pure.

use super::contract::ModelVersion;
use super::error::ModelError;
use crate::event::Position;

/// One version of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotState {
    /// The version.
    pub version: ModelVersion,
    /// Everything up to here is in it.
    pub position: Position,
}

impl SlotState {
    /// For those who implement a read model.
    #[must_use]
    pub const fn new(version: ModelVersion, position: Position) -> Self {
        Self { version, position }
    }
}

/// Which versions of a model there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelState {
    /// The one that readers see.
    pub live: Option<SlotState>,
    /// The one that is being built.
    pub building: Option<SlotState>,
}

/// Where a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// Readers see it.
    Live(Position),
    /// It is being built.
    Building(Position),
    /// Nowhere yet, and may be begun.
    Nowhere,
}

impl Place {
    /// How far it is.
    #[must_use]
    pub const fn position(self) -> Option<Position> {
        match self {
            Self::Live(position) | Self::Building(position) => Some(position),
            Self::Nowhere => None,
        }
    }
}

impl ModelState {
    /// For those who implement a read model.
    #[must_use]
    pub const fn new(live: Option<SlotState>, building: Option<SlotState>) -> Self {
        Self { live, building }
    }

    /// Where a version is.
    ///
    /// # Errors
    /// [`ModelError::Superseded`] where a higher one is live, or is being built and this one is not there.
    pub fn place(&self, version: ModelVersion) -> Result<Place, ModelError> {
        if let Some(live) = self.live.filter(|live| live.version >= version) {
            return match live.version == version {
                true => Ok(Place::Live(live.position)),
                false => Err(ModelError::Superseded { version, by: live.version }),
            };
        }
        match self.building {
            Some(building) if building.version == version => Ok(Place::Building(building.position)),
            Some(building) if building.version > version => {
                Err(ModelError::Superseded { version, by: building.version })
            }
            _ => Ok(Place::Nowhere),
        }
    }

    /// For those who implement a read model: whether a version can be made live; not where it is already.
    ///
    /// # Errors
    /// As [`ReadModel::swap`](super::ReadModel::swap).
    pub fn may_swap(&self, version: ModelVersion) -> Result<bool, ModelError> {
        match (self.place(version)?, self.live) {
            (Place::Live(_), _) => Ok(false),
            (Place::Nowhere, _) => Err(ModelError::NotBegun { version }),
            (Place::Building(position), Some(live)) if position < live.position => {
                Err(ModelError::Behind { position, live: live.position })
            }
            (Place::Building(_), _) => Ok(true),
        }
    }

    /// For those who implement a read model: whether a step from here may be taken by a version.
    ///
    /// # Errors
    /// As [`ReadModel::apply`](super::ReadModel::apply).
    pub fn may_step(&self, version: ModelVersion, from: Position) -> Result<(), ModelError> {
        match self.place(version)?.position() {
            None => Err(ModelError::NotBegun { version }),
            Some(actual) if actual != from => Err(ModelError::Moved { expected: from, actual }),
            Some(_) => Ok(()),
        }
    }
}
