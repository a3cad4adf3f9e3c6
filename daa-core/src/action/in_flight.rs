//! One performer at a time for each action.

use std::sync::{Arc, Mutex, PoisonError};

use foldhash::HashSet;

use super::error::GateError;
use crate::id::ActionId;

/// The actions that this gate and its clones are performing or reconciling.
///
/// The journal alone cannot tell an attempt that is under way from one whose performer is gone: reconciling the
/// former would find no effect yet, and repeat it.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<Mutex<HashSet<ActionId>>>);

/// Keeps others away from an action until it is dropped.
#[derive(Debug)]
pub(crate) struct FlightGuard {
    all: InFlight,
    id: ActionId,
}

impl InFlight {
    pub(super) fn begin(&self, id: &ActionId) -> Result<FlightGuard, GateError> {
        let fresh = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        if fresh {
            return Ok(FlightGuard { all: self.clone(), id: id.clone() });
        }
        Err(GateError::InProgress { id: id.clone() })
    }
}

impl Drop for FlightGuard {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
