//! A queue that can be waited for, and its consumers.

use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::{Either, select};
use tokio::sync::Notify;

use super::{Shared, SubscriptionStatus, lock};
use crate::bus::contract::Subscriber;
use crate::bus::delivery::{Delivery, Settle, Settlement};
use crate::bus::error::BusError;
use crate::bus::message::Message;
use crate::bus::options::SubscribeOptions;
use crate::bus::published::{Receipt, SubscriptionId};
use crate::bus::queue::{Entry, Offered, Queue, Taken};
use crate::clock::Timestamp;

/// A queue, and the means to wait for messages and for room in it.
#[derive(Debug)]
pub(super) struct Slot {
    id: SubscriptionId,
    options: SubscribeOptions,
    queue: Mutex<Queue>,
    filled: Notify,
    drained: Notify,
}

impl Slot {
    pub(super) fn new(id: SubscriptionId, options: SubscribeOptions) -> Self {
        let queue = Mutex::new(Queue::new(options.clone()));
        Self { id, options, queue, filled: Notify::new(), drained: Notify::new() }
    }

    pub(super) const fn id(&self) -> SubscriptionId {
        self.id
    }

    pub(super) const fn options(&self) -> &SubscribeOptions {
        &self.options
    }

    pub(super) fn join(&self) {
        lock(&self.queue).join();
    }

    fn leave(&self) -> bool {
        let last = lock(&self.queue).leave();
        self.wake_all();
        last
    }

    pub(super) fn close(&self) {
        lock(&self.queue).close();
        self.wake_all();
    }

    fn wake_all(&self) {
        self.filled.notify_waiters();
        self.drained.notify_waiters();
    }

    pub(super) fn offer(&self, message: &Message) -> Offered {
        let offered = lock(&self.queue).offer(message);
        if offered == Offered::Done(Receipt::Disconnected) {
            self.wake_all();
        }
        self.filled.notify_waiters();
        offered
    }

    pub(super) async fn offer_when_room(&self, message: &Message) -> Receipt {
        loop {
            // Made before looking, so that no change after the look is missed.
            let drained = self.drained.notified();
            match self.offer(message) {
                Offered::Done(receipt) => return receipt,
                Offered::Full => drained.await,
            }
        }
    }

    pub(super) fn put_back(&self, message: &Message) -> bool {
        let room = lock(&self.queue).put_back(message);
        self.filled.notify_waiters();
        room
    }

    pub(super) fn settle(
        &self,
        entry: Entry,
        settlement: Settlement,
        now: Timestamp,
    ) -> Option<(Entry, String)> {
        let dead = lock(&self.queue).settle(entry, settlement, now);
        self.wake_all();
        dead
    }

    pub(super) fn status(&self) -> SubscriptionStatus {
        let queue = lock(&self.queue);
        SubscriptionStatus {
            id: self.id,
            pattern: queue.options().pattern().clone(),
            group: queue.options().group().cloned(),
            members: queue.members(),
            backlog: queue.backlog(),
            in_flight: queue.in_flight(),
            dropped: queue.dropped(),
        }
    }
}

/// A member of a slot; leaves it when dropped.
#[derive(Debug)]
pub(super) struct SlotSubscriber {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
}

impl SlotSubscriber {
    /// For a slot that was joined.
    pub(super) const fn new(shared: Arc<Shared>, slot: Arc<Slot>) -> Self {
        Self { shared, slot }
    }

    fn deliver(&self, entry: Entry) -> Delivery {
        let (message, attempt) = (entry.message.clone(), entry.attempts);
        let in_flight = InFlight { shared: self.shared.clone(), slot: self.slot.clone(), entry: Some(entry) };
        Delivery::new(message, attempt, Box::new(in_flight))
    }
}

#[async_trait]
impl Subscriber for SlotSubscriber {
    async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        let clock = self.shared.clock.clone();
        loop {
            // Made before looking, so that no change after the look is missed.
            let filled = pin!(self.slot.filled.notified());
            let taken = lock(&self.slot.queue).take(clock.now());
            let due = match taken {
                Taken::Entry(entry) => return Ok(Some(self.deliver(entry))),
                Taken::Cut => {
                    return Err(BusError::Disconnected { capacity: self.slot.options.capacity });
                }
                Taken::End => return Ok(None),
                Taken::Nothing { until: Some(until) } => Either::Left(clock.sleep_until(until)),
                Taken::Nothing { until: None } => Either::Right(pending()),
            };
            select(filled, due).await;
        }
    }
}

impl Drop for SlotSubscriber {
    fn drop(&mut self) {
        // Under the lock, so that nobody joins what is about to be removed.
        let mut registry = lock(&self.shared.registry);
        if self.slot.leave() {
            registry.remove(&self.slot);
        }
    }
}

/// A message in a consumer's hands.
struct InFlight {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    entry: Option<Entry>,
}

impl InFlight {
    fn end(&mut self, settlement: Settlement) {
        if let Some(entry) = self.entry.take() {
            self.shared.settle(&self.slot, entry, settlement);
        }
    }
}

#[async_trait]
impl Settle for InFlight {
    async fn settle(mut self: Box<Self>, settlement: Settlement) -> Result<(), BusError> {
        self.end(settlement);
        Ok(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.end(Settlement::Nack("dropped without an answer".to_owned()));
    }
}
