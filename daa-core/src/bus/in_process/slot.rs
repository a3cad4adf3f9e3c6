//! A queue that can be waited for, and its consumers.

use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::{Either, select};
use tokio::sync::Notify;

use super::{Shared, SubscriptionStatus, lock};
use crate::bus::contract::Subscriber;
use crate::bus::delivery::{Delivery, Settlement};
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
    changed: Changed,
}

/// Wakes those who wait for a queue to change, and costs next to nothing while nobody does.
#[derive(Debug, Default)]
struct Changed {
    waiting: AtomicUsize,
    notify: Notify,
}

impl Changed {
    /// To be called after the queue was let go. Who waits says so before it looks at the queue, so that either it
    /// sees the change, or it is seen here.
    fn tell(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.notify.notify_waiters();
        }
    }

    fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }
}

struct Waiting<'a>(&'a Changed);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slot {
    pub(super) fn new(id: SubscriptionId, options: SubscribeOptions) -> Self {
        let queue = Mutex::new(Queue::new(options.clone()));
        Self { id, options, queue, changed: Changed::default() }
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
        self.changed.tell();
        last
    }

    pub(super) fn close(&self) {
        lock(&self.queue).close();
        self.changed.tell();
    }

    pub(super) fn end(&self) {
        lock(&self.queue).end();
        self.changed.tell();
    }

    pub(super) fn offer(&self, message: &Message) -> Offered {
        let offered = lock(&self.queue).offer(message);
        self.changed.tell();
        offered
    }

    pub(super) async fn offer_when_room(&self, message: &Message) -> Receipt {
        let waiting = self.changed.wait();
        loop {
            // Made before looking, so that no change after the look is missed.
            let changed = waiting.0.notify.notified();
            // Not `offer`: it would wake this very waiter for ever.
            let offered = lock(&self.queue).offer(message);
            match offered {
                Offered::Done(receipt) => {
                    self.changed.tell();
                    return receipt;
                }
                Offered::Full => changed.await,
            }
        }
    }

    pub(super) fn put_back(&self, message: &Message) -> bool {
        let room = lock(&self.queue).put_back(message);
        self.changed.tell();
        room
    }

    pub(super) fn settle(
        &self,
        entry: &Entry,
        settlement: Settlement,
        now: impl Fn() -> Timestamp,
    ) -> Option<String> {
        let dead = lock(&self.queue).settle(entry, settlement, now);
        self.changed.tell();
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
            lapsed: queue.lapsed(),
        }
    }
}

/// A member of a slot; leaves it when dropped.
#[derive(Debug)]
pub(super) struct SlotSubscriber {
    member: Arc<Member>,
}

/// What a subscriber and the messages in its hands share.
#[derive(Debug)]
struct Member {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    in_flight: AtomicUsize,
}

impl SlotSubscriber {
    /// For a slot that was joined.
    pub(super) fn new(shared: Arc<Shared>, slot: Arc<Slot>) -> Self {
        Self { member: Arc::new(Member { shared, slot, in_flight: AtomicUsize::new(0) }) }
    }

    fn deliver(&self, entry: Entry) -> Delivery {
        self.member.in_flight.fetch_add(1, Ordering::Relaxed);
        Delivery::local(InFlight { member: self.member.clone(), entry, settled: false })
    }
}

impl SlotSubscriber {
    /// What is there now, unless the subscriber has its hands full.
    fn take(&self) -> Taken {
        let Member { shared, slot, in_flight } = &*self.member;
        if in_flight.load(Ordering::Relaxed) >= slot.options.max_in_flight() {
            return Taken::Nothing { until: None };
        }
        lock(&slot.queue).take(|| shared.clock.now())
    }
}

#[async_trait]
impl Subscriber for SlotSubscriber {
    async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        let Member { shared, slot, .. } = &*self.member;
        if let Taken::Entry(entry) = self.take() {
            return Ok(Some(self.deliver(entry)));
        }
        let waiting = slot.changed.wait();
        loop {
            // Made before looking, so that no change after the look is missed.
            let changed = pin!(waiting.0.notify.notified());
            let due = match self.take() {
                Taken::Entry(entry) => return Ok(Some(self.deliver(entry))),
                Taken::Cut => return Err(BusError::Disconnected { capacity: slot.options.capacity() }),
                Taken::End => return Ok(None),
                Taken::Nothing { until: Some(until) } => Either::Left(shared.clock.sleep_until(until)),
                Taken::Nothing { until: None } => Either::Right(pending()),
            };
            select(changed, due).await;
        }
    }
}

impl Drop for SlotSubscriber {
    fn drop(&mut self) {
        let Member { shared, slot, .. } = &*self.member;
        // Under the lock, so that nobody joins what is about to be removed.
        let mut registry = lock(&shared.registry);
        if slot.leave() {
            registry.remove(slot);
        }
    }
}

/// A message in a consumer's hands.
pub(in crate::bus) struct InFlight {
    member: Arc<Member>,
    entry: Entry,
    settled: bool,
}

impl InFlight {
    pub(in crate::bus) const fn message(&self) -> &Message {
        &self.entry.message
    }

    pub(in crate::bus) const fn attempt(&self) -> u32 {
        self.entry.attempts
    }

    pub(in crate::bus) fn end(&mut self, settlement: Settlement) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let Member { shared, slot, in_flight } = &*self.member;
        in_flight.fetch_sub(1, Ordering::Relaxed);
        shared.settle(slot, &self.entry, settlement);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.settled {
            self.end(Settlement::Nack("dropped without an answer".to_owned()));
        }
    }
}
