//! Tells the server what is still being worked on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{Client, Subject};
use tokio::time::{MissedTickBehavior, interval};

use super::consumers::DEAD_AFTER;

/// The messages that a subscriber holds, by where the server hears of them.
#[derive(Debug, Default)]
pub(super) struct Progress {
    held: Mutex<HashMap<u64, Subject>>,
    made: AtomicU64,
}

/// One message that is held.
#[derive(Debug)]
pub(super) struct Held {
    progress: Arc<Progress>,
    number: u64,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Subject>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hold(self: &Arc<Self>, answers: Subject) -> Held {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, answers);
        Held { progress: self.clone(), number }
    }

    /// Runs until everybody else has let go of it.
    pub(super) async fn tell(self: Arc<Self>, client: Client) {
        let mut ticks = interval(DEAD_AFTER / 4);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while Arc::strong_count(&self) > 1 {
            ticks.tick().await;
            let held: Vec<Subject> = self.lock().values().cloned().collect();
            for answers in held {
                if client.publish(answers, "+WPI".into()).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.progress.lock().remove(&self.number);
    }
}
