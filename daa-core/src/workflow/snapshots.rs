//! Where the latest snapshots of runs stand, as far as this engine came across them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::event::Version;
use crate::id::RunId;

/// How many are remembered. Of a run that was forgotten the whole history is read once.
const MAX_RUNS: usize = 16_384;

/// Where the latest snapshots of runs stand: what is before need not be read.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    by_run: Mutex<HashMap<RunId, Version>>,
}

impl Snapshots {
    fn by_run(&self) -> MutexGuard<'_, HashMap<RunId, Version>> {
        self.by_run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version of the latest snapshot of a run that is known; empty where none is.
    pub(super) fn of(&self, run: &RunId) -> Version {
        self.by_run().get(run).copied().unwrap_or_default()
    }

    pub(super) fn note(&self, run: &RunId, snapshot: Version) {
        let mut by_run = self.by_run();
        if snapshot == Version::EMPTY {
            by_run.remove(run);
            return;
        }
        if by_run.len() >= MAX_RUNS && !by_run.contains_key(run) {
            by_run.clear();
        }
        by_run.insert(run.clone(), snapshot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let snapshots = Snapshots::default();
        for run in 0..=MAX_RUNS {
            snapshots.note(&RunId::new(run.to_string()).unwrap(), Version::new(9));
        }
        assert!(snapshots.by_run().len() <= MAX_RUNS);
        let last = RunId::new(MAX_RUNS.to_string()).unwrap();
        assert_eq!(snapshots.of(&last), Version::new(9));
        snapshots.note(&last, Version::EMPTY);
        assert_eq!(snapshots.of(&last), Version::EMPTY);
    }
}
