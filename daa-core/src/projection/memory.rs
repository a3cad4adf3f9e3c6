//! Read models in memory: complete, and gone with the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::contract::{ModelVersion, Projection, ReadModel, Refusal, SkippedEvent, Step};
use super::error::ModelError;
use super::slots::{ModelState, Place, SlotState};
use crate::event::{Position, RecordedEvent};

/// A projection to a value in memory.
pub trait Fold: Projection {
    /// The value; the default is that before the first event.
    type Model: Clone + Default + Send + Sync + std::fmt::Debug + 'static;

    /// Changes the model by an event.
    ///
    /// # Errors
    /// [`Refusal`] makes the event poison.
    fn apply(&self, model: &mut Self::Model, event: &RecordedEvent) -> Result<(), Refusal>;
}

/// A model as it is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot<M> {
    /// The version of its projection.
    pub version: ModelVersion,
    /// Everything up to here is in it.
    pub position: Position,
    /// The model.
    pub model: Arc<M>,
}

#[derive(Clone, Debug)]
struct Slot<M> {
    snapshot: Snapshot<M>,
    skipped: Vec<SkippedEvent>,
}

#[derive(Debug)]
struct Slots<M> {
    live: Option<Slot<M>>,
    building: Option<Slot<M>>,
}

impl<M> Slots<M> {
    fn state(&self) -> ModelState {
        let of = |slot: &Option<Slot<M>>| {
            slot.as_ref().map(|slot| SlotState::new(slot.snapshot.version, slot.snapshot.position))
        };
        ModelState::new(of(&self.live), of(&self.building))
    }

    fn slot(&mut self, version: ModelVersion) -> Result<&mut Slot<M>, ModelError> {
        let slot = match self.state().place(version)? {
            Place::Live(_) => self.live.as_mut(),
            Place::Building(_) => self.building.as_mut(),
            Place::Nowhere => None,
        };
        slot.ok_or(ModelError::NotBegun { version })
    }
}

/// A [`ReadModel`] in memory. Readers share the value as it is; a step works on a copy and replaces it, so that it costs
/// a copy of the model. Clones share one model.
#[derive(Debug)]
pub struct MemoryReadModel<P: Fold> {
    projection: Arc<P>,
    slots: Arc<Mutex<Slots<P::Model>>>,
}

impl<P: Fold> Clone for MemoryReadModel<P> {
    fn clone(&self) -> Self {
        Self { projection: self.projection.clone(), slots: self.slots.clone() }
    }
}

impl<P: Fold> MemoryReadModel<P> {
    /// A model that nobody has begun.
    #[must_use]
    pub fn new(projection: P) -> Self {
        let slots = Arc::new(Mutex::new(Slots { live: None, building: None }));
        Self { projection: Arc::new(projection), slots }
    }

    /// The same model under another version of its projection, as a later version of the program finds it.
    #[must_use]
    pub fn with_projection<Q: Fold<Model = P::Model>>(&self, projection: Q) -> MemoryReadModel<Q> {
        MemoryReadModel { projection: Arc::new(projection), slots: self.slots.clone() }
    }

    /// The model that readers see; `None` before the first version was built.
    #[must_use]
    pub fn live(&self) -> Option<Snapshot<P::Model>> {
        self.slots().live.as_ref().map(|slot| slot.snapshot.clone())
    }

    fn version(&self) -> ModelVersion {
        self.projection.version()
    }

    /// Nothing of ours panics while it is held, and a projection that does has a copy in its hands.
    fn slots(&self) -> MutexGuard<'_, Slots<P::Model>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<P: Fold> ReadModel for MemoryReadModel<P> {
    fn projection(&self) -> &dyn Projection {
        &*self.projection
    }

    async fn state(&self) -> Result<ModelState, ModelError> {
        Ok(self.slots().state())
    }

    async fn begin(&self) -> Result<(), ModelError> {
        let (mut slots, version) = (self.slots(), self.version());
        if slots.state().place(version)? == Place::Nowhere {
            let snapshot = Snapshot { version, position: Position::START, model: Arc::default() };
            slots.building = Some(Slot { snapshot, skipped: Vec::new() });
        }
        Ok(())
    }

    async fn apply(&self, step: Step) -> Result<(), ModelError> {
        let (mut slots, version) = (self.slots(), self.version());
        slots.state().may_step(version, step.from)?;
        let slot = slots.slot(version)?;
        let mut model = P::Model::clone(&slot.snapshot.model);
        for event in &step.events {
            let applied = self.projection.apply(&mut model, event);
            applied.map_err(|source| ModelError::Poison { position: event.position, source })?;
        }
        slot.snapshot.model = Arc::new(model);
        slot.snapshot.position = step.to;
        slot.skipped.extend(step.skipped);
        Ok(())
    }

    async fn swap(&self) -> Result<(), ModelError> {
        let mut slots = self.slots();
        if slots.state().may_swap(self.version())? {
            slots.live = slots.building.take();
        }
        Ok(())
    }

    async fn skipped(&self, limit: usize) -> Result<Vec<SkippedEvent>, ModelError> {
        let mut slots = self.slots();
        Ok(slots.slot(self.version())?.skipped.iter().take(limit).cloned().collect())
    }
}
