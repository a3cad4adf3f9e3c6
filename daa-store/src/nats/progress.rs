//! Tells the server what is still being worked on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{Client, Subject};
use tokio::time::{MissedTickBehavior, interval};

use super::consumers::DEAD_AFTER;

/// The messages that a subscriber holds.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<Slots>);

/// Where the server hears of each message, and which places are free.
#[derive(Debug, Default)]
struct Slots {
    held: Vec<Option<Subject>>,
    free: Vec<usize>,
}

/// One message that is held.
#[derive(Debug)]
pub(super) struct Held {
    progress: Arc<Progress>,
    slot: usize,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hold(self: &Arc<Self>, answers: Subject) -> Held {
        let mut slots = self.lock();
        let slot = slots.free.pop().unwrap_or(slots.held.len());
        match slots.held.get_mut(slot) {
            Some(place) => *place = Some(answers),
            None => slots.held.push(Some(answers)),
        }
        Held { progress: self.clone(), slot }
    }

    /// Runs until everybody else has let go of it.
    pub(super) async fn tell(self: Arc<Self>, client: Client) {
        let mut ticks = interval(DEAD_AFTER / 4);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while Arc::strong_count(&self) > 1 {
            ticks.tick().await;
            let held: Vec<Subject> = self.lock().held.iter().flatten().cloned().collect();
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
        let mut slots = self.progress.lock();
        if let Some(place) = slots.held.get_mut(self.slot) {
            *place = None;
            slots.free.push(self.slot);
        }
    }
}
