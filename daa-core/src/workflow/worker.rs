//! A worker: takes runs that are due, and has them performed.

mod index;
mod lease;
mod options;
mod retention;
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

/// Somebody who waits for a run to end; dropped, they no longer do.
#[derive(Debug)]
pub(super) struct Listening<'a> {
    endings: &'a Endings,
    run: &'a RunId,
    told: oneshot::Receiver<()>,
}

impl Listening<'_> {
    /// Waits until a worker of this process says that the run has ended; `false` when none is left.
    pub(super) async fn told(mut self) -> bool {
        (&mut self.told).await.is_ok()
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.told.close();
        let mut waiting = self.endings.waiting();
        if let Some(listeners) = waiting.get_mut(self.run) {
            listeners.retain(|listener| !listener.is_closed());
            if listeners.is_empty() {
                waiting.remove(self.run);
            }
        }
    }
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
    pub(super) fn listen<'a>(&'a self, run: &'a RunId) -> Listening<'a> {
        let (sender, told) = oneshot::channel();
        self.waiting().entry(run.clone()).or_default().push(sender);
        Listening { endings: self, run, told }
    }

    fn tell(&self, run: &RunId) {
        let listeners = self.waiting().remove(run);
        for listener in listeners.into_iter().flatten() {
            // Whoever dropped the other half no longer waits.
            let _ = listener.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn nobody_is_remembered_who_no_longer_waits() {
        let (endings, run) = (Endings::default(), RunId::new("nobody").unwrap());
        let (one, other) = (endings.listen(&run), endings.listen(&run));
        drop(one);
        assert_eq!(endings.waiting().len(), 1);
        let mut told = Box::pin(other.told());
        assert_eq!(told.as_mut().now_or_never(), None);
        endings.tell(&run);
        assert_eq!(told.as_mut().now_or_never(), Some(true));
        drop(endings.listen(&run));
        assert!(endings.waiting().is_empty());
    }
}
