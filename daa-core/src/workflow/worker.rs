//! A worker: takes runs that are due, and has them performed.

mod index;
mod lease;
mod options;
mod serve;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::id::RunId;

pub use options::WorkerOptions;
pub(super) use serve::Worker;

/// Those in this process who wait for a run to end.
#[derive(Debug, Default)]
pub(super) struct Endings {
    workers: AtomicUsize,
    waiting: Mutex<HashMap<RunId, Vec<oneshot::Sender<()>>>>,
}

/// A worker of this process follows the log as long as this lives.
pub(super) struct Serving(Arc<Endings>);

impl Drop for Serving {
    fn drop(&mut self) {
        if self.0.workers.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Dropping the other halves wakes those who wait.
            self.0.waiting().clear();
        }
    }
}

impl Endings {
    fn waiting(&self) -> MutexGuard<'_, HashMap<RunId, Vec<oneshot::Sender<()>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a worker of this process follows the log.
    pub(super) fn has_worker(&self) -> bool {
        self.workers.load(Ordering::Acquire) > 0
    }

    /// Says that a worker follows the log, until the answer is dropped. Those who wait then look for themselves.
    pub(super) fn serving(self: &Arc<Self>) -> Serving {
        self.workers.fetch_add(1, Ordering::AcqRel);
        Serving(self.clone())
    }

    /// Is told when a worker of this process learns that the run has ended.
    pub(super) fn listen(&self, run: &RunId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting();
        let listeners = waiting.entry(run.clone()).or_default();
        listeners.retain(|listener| !listener.is_closed());
        listeners.push(sender);
        receiver
    }

    fn tell(&self, run: &RunId) {
        let listeners = self.waiting().remove(run);
        for listener in listeners.into_iter().flatten() {
            // Whoever dropped the other half no longer waits.
            let _ = listener.send(());
        }
    }
}
