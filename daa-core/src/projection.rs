//! Projections: read models of what happened, kept up to date, and built anew beside the one that is read.
//!
//! Events are the truth; a read model answers questions about them. A [`Projection`] says how events change it, a
//! [`ReadModel`] keeps it on an engine, with its position in the same transaction, and a [`Projector`] follows the
//! store and brings it up to date. The model in memory is here ([`MemoryReadModel`]); `daa-store` has those on SQLite
//! and PostgreSQL.
//!
//! - Whatever crashes, model and position are of one moment: every event counts once.
//! - Of several processes with the same projection one applies events at a time; the others stand by.
//! - A new [version](Projection::version) of a projection is built from the first event, beside the one that is live.
//!   Readers see the old one until the new one has caught up, and then the new one; they never go back in time, and
//!   never see half a model.
//! - An event that the projection refuses stops it, or is passed over and recorded: [`OnPoison`](crate::event::OnPoison).
//! - Streams that begin with `relay/`, `relay.skipped/`, `inbox/` or `archive/` are not given to projections.
//!
//! ```
//! # use std::collections::BTreeMap;
//! # use std::error::Error;
//! # use std::sync::Arc;
//! # use daa_core::clock::{SystemClock, Timestamp};
//! # use daa_core::event::*;
//! # use daa_core::id::ProjectionName;
//! # use daa_core::projection::*;
//! # use daa_core::shutdown::ShutdownTrigger;
//! /// How many events of each kind there were.
//! #[derive(Debug)]
//! struct Kinds(ProjectionName);
//!
//! impl Projection for Kinds {
//!     fn name(&self) -> &ProjectionName {
//!         &self.0
//!     }
//!
//!     fn version(&self) -> ModelVersion {
//!         ModelVersion::new(1)
//!     }
//! }
//!
//! impl Fold for Kinds {
//!     type Model = BTreeMap<String, u64>;
//!
//!     fn apply(&self, kinds: &mut Self::Model, event: &RecordedEvent) -> Result<(), Refusal> {
//!         *kinds.entry(event.kind.to_string()).or_default() += 1;
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn Error>> {
//! let (store, clock) = (Arc::new(MemoryEventStore::new()), Arc::new(SystemClock::new()));
//! let hello = NewEvent::json("greeted.v1".parse()?, Timestamp::EPOCH, &"hello")?;
//! store.append(Batch::new().with_event("greetings".parse()?, ExpectedVersion::Any, hello)).await?;
//!
//! let kinds = MemoryReadModel::new(Kinds("kinds".parse()?));
//! let projector = Projector::new(Arc::new(kinds.clone()), store, clock, ProjectorOptions::default());
//! let (trigger, shutdown) = ShutdownTrigger::new();
//! let mut live = projector.monitor();
//! let running = tokio::spawn(projector.run(shutdown));
//! live.reached(Position::new(1)).await;
//! assert_eq!(kinds.live().map(|live| live.model["greeted.v1"]), Some(1));
//! trigger.trigger();
//! running.await??;
//! # Ok(())
//! # }
//! ```

mod contract;
mod error;
mod memory;
mod metrics;
mod monitor;
mod options;
mod serve;
mod service;
mod slots;

pub use contract::{ModelVersion, Projection, ReadModel, Refusal, SkippedEvent, Step};
pub use error::{ModelError, ProjectorError};
pub use memory::{Fold, MemoryReadModel, Snapshot};
pub use metrics::ProjectorMetrics;
pub use monitor::{ProjectorMonitor, ProjectorState, ProjectorStatus};
pub use options::{OnErased, ProjectorOptions};
pub use serve::Projector;
pub use slots::{ModelState, Place, SlotState};

#[cfg(feature = "test-util")]
pub mod testing;
