//! What runs are performed with.

use std::sync::Arc;

use super::library::Library;
use super::metrics::Counters;
use super::snapshots::Snapshots;
use crate::action::{Executors, Gate};
use crate::artifact::Artifacts;
use crate::clock::Clock;
use crate::event::EventStore;

/// What runs are performed with.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) gate: Gate,
    pub(super) executors: Executors,
    pub(super) library: Arc<Library>,
    /// Where the histories of runs that have ended are moved.
    pub(super) artifacts: Option<Arc<dyn Artifacts>>,
    pub(super) counters: Arc<Counters>,
    pub(super) snapshots: Snapshots,
}
