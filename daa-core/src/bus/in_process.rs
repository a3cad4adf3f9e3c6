//! The bus within one process.

mod dead_letters;
mod registry;
mod slot;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;

use self::dead_letters::DeadLetters;
use self::registry::Registry;
use self::slot::{Slot, SlotSubscriber};
use super::contract::{EventBus, Subscriber};
use super::dead_letter::{DeadLetter, DeadLetterId};
use super::delivery::Settlement;
use super::error::BusError;
use super::message::Message;
use super::options::{GroupName, Overflow, SubscribeOptions};
use super::pattern::TopicPattern;
use super::published::{Published, Receipt, SubscriptionId};
use super::queue::{Entry, Offered};
use crate::clock::Clock;
use crate::id::Topic;
use crate::resilience::within;

/// A bus within one process: complete, and gone with the process. Queues, dead letters and messages being worked
/// on live in memory only.
///
/// At most 4,096 subscriptions, groups counted once; the latest 1,024 dead letters are kept. Clones share one
/// bus.
#[derive(Clone, Debug)]
pub struct InProcessBus {
    shared: Arc<Shared>,
}

/// Locks are taken in the order of the fields, and never held across an `await`.
#[derive(Debug)]
struct Shared {
    registry: Mutex<Registry>,
    dead: Mutex<DeadLetters>,
    inboxes: AtomicU64,
    clock: Arc<dyn Clock>,
}

/// One subscription or group of an [`InProcessBus`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionStatus {
    /// Its name in [`Published::receipts`].
    pub id: SubscriptionId,
    /// Which topics it wants.
    pub pattern: TopicPattern,
    /// Which group it is, if it is one.
    pub group: Option<GroupName>,
    /// How many subscribers share it.
    pub members: usize,
    /// How many messages it holds, those being worked on included.
    pub backlog: usize,
    /// How many messages are being worked on.
    pub in_flight: usize,
    /// How many messages it has lost.
    pub dropped: u64,
}

/// Nothing panics while one of the bus's locks is held, so a poisoned one still guards a whole value.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InProcessBus {
    /// A bus without subscriptions. The clock times waits, redelivery and dead letters.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let shared =
            Shared { registry: Mutex::default(), dead: Mutex::default(), inboxes: AtomicU64::new(0), clock };
        Self { shared: Arc::new(shared) }
    }

    /// All subscriptions, oldest first.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<SubscriptionStatus> {
        let slots = lock(&self.shared.registry).all();
        slots.iter().map(|slot| slot.status()).collect()
    }

    /// How many dead letters were given up to make room for later ones.
    #[must_use]
    pub fn dead_letters_lost(&self) -> u64 {
        lock(&self.shared.dead).lost()
    }

    fn join(&self, options: SubscribeOptions) -> Result<Arc<Slot>, BusError> {
        lock(&self.shared.registry).join(options)
    }

    fn subscriber(&self, slot: Arc<Slot>) -> SlotSubscriber {
        SlotSubscriber::new(self.shared.clone(), slot)
    }
}

impl Shared {
    /// Waits for room in one queue.
    async fn wait_for_room(&self, slot: &Slot, message: &Message, up_to: Duration) -> Receipt {
        let start = self.clock.now();
        let queued = within(&*self.clock, up_to, slot.offer_when_room(message)).await;
        let waited = self.clock.now().since(start);
        match queued {
            None => Receipt::TimedOut { waited },
            Some(Receipt::Delivered { .. }) => Receipt::Late { waited },
            Some(receipt) => receipt,
        }
    }

    fn settle(&self, slot: &Slot, entry: Entry, settlement: Settlement) {
        let now = self.clock.now();
        if let Some((entry, error)) = slot.settle(entry, settlement, now) {
            let options = slot.options();
            tracing::warn!(topic = %entry.message.topic(), attempts = entry.attempts, %error, "dead letter");
            lock(&self.dead).add(slot.id(), |id| {
                let (pattern, attempts) = (options.pattern().clone(), entry.attempts);
                DeadLetter::new(id, entry.message, pattern, attempts, error, now)
                    .with_group(options.group().cloned())
            });
        }
    }
}

#[async_trait]
impl EventBus for InProcessBus {
    async fn publish(&self, message: Message) -> Result<Published, BusError> {
        message.check()?;
        let slots = lock(&self.shared.registry).matching(message.topic())?;
        let mut receipts = Vec::with_capacity(slots.len());
        let mut full = Vec::new();
        for slot in slots {
            match slot.offer(&message) {
                Offered::Done(receipt) => {
                    if receipt == Receipt::Disconnected {
                        lock(&self.shared.registry).remove(&slot);
                    }
                    receipts.push((slot.id(), receipt));
                }
                Offered::Full => full.push(slot),
            }
        }
        // Everybody else has the message by now, so nobody waits for those who are slow but the publisher.
        let message = &message;
        let waiting = full.iter().map(|slot| async move {
            let up_to = match slot.options().overflow {
                Overflow::Block { up_to } => up_to,
                _ => Duration::ZERO,
            };
            (slot.id(), self.shared.wait_for_room(slot, message, up_to).await)
        });
        receipts.extend(join_all(waiting).await);
        receipts.sort_by_key(|&(id, _)| id);
        Ok(Published::new(receipts))
    }

    async fn subscribe(&self, options: SubscribeOptions) -> Result<Box<dyn Subscriber>, BusError> {
        let slot = self.join(options)?;
        Ok(Box::new(self.subscriber(slot)))
    }

    async fn request(&self, topic: Topic, payload: Bytes, limit: Duration) -> Result<Message, BusError> {
        let number = self.shared.inboxes.fetch_add(1, Ordering::Relaxed);
        let Ok(inbox) = Topic::new(format!("_inbox.{number}")) else { return Err(BusError::Closed) };
        // One reply is enough; later ones find no room.
        let options =
            SubscribeOptions::new((&inbox).into()).with_capacity(1).with_overflow(Overflow::DropNewest);
        let mut replies = self.subscriber(self.join(options)?);
        let request = Message::new(topic.clone(), payload).with_reply_to(inbox);
        let asked = async {
            if self.publish(request).await?.delivered() == 0 {
                return Err(BusError::NoResponder { topic: topic.clone() });
            }
            let delivery = replies.next().await?.ok_or(BusError::Closed)?;
            let reply = delivery.message().clone();
            delivery.ack().await?;
            Ok(reply)
        };
        within(&*self.shared.clock, limit, asked).await.unwrap_or(Err(BusError::NoReply { topic, limit }))
    }

    async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, BusError> {
        Ok(lock(&self.shared.dead).list(after, limit))
    }

    async fn redrive(&self, id: DeadLetterId) -> Result<(), BusError> {
        let registry = lock(&self.shared.registry);
        lock(&self.shared.dead).redrive(id, &registry)
    }

    async fn close(&self) -> Result<(), BusError> {
        for slot in lock(&self.shared.registry).close() {
            slot.close();
        }
        Ok(())
    }
}
