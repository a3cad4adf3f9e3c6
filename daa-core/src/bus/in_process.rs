//! The bus within one process.

mod dead_letters;
mod history;
mod inboxes;
mod options;
mod registry;
mod slot;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;

use self::dead_letters::DeadLetters;
use self::history::History;
use self::inboxes::Inboxes;
pub use self::options::InProcessOptions;
use self::registry::Registry;
pub(super) use self::slot::InFlight;
use self::slot::{Slot, SlotSubscriber};
use super::capabilities::Capabilities;
use super::contract::{EventBus, Subscriber};
use super::dead_letter::{DeadLetter, DeadLetterId};
use super::deduplicated::Remembered;
use super::delivery::Settlement;
use super::error::BusError;
use super::health::{BusHealth, BusState};
use super::history::{BusPosition, HistoryPage};
use super::message::Message;
use super::options::{GroupName, Overflow, SubscribeOptions};
use super::pattern::TopicPattern;
use super::published::{Published, Receipt, SubscriptionId};
use super::queue::{Entry, Offered};
use crate::clock::Clock;
use crate::id::MessageId;
use crate::resilience::within;

/// A bus within one process: complete, and gone with the process. Queues, dead letters and messages being worked
/// on live in memory only.
///
/// At most 4,096 subscriptions, groups counted once, and as many requests at a time; the latest 1,024 dead letters are
/// kept. Clones share one bus.
#[derive(Clone, Debug)]
pub struct InProcessBus {
    shared: Arc<Shared>,
}

/// Locks are taken in the order of the fields, and never held across an `await`.
#[derive(Debug)]
struct Shared {
    registry: Mutex<Registry>,
    dead: Mutex<DeadLetters>,
    published: Mutex<Remembered>,
    history: Mutex<History>,
    inboxes: Inboxes,
    options: InProcessOptions,
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
    /// How many messages it has lost because its queue was full.
    pub dropped: u64,
    /// How many messages were dropped because their deadline had passed.
    pub lapsed: u64,
}

/// Nothing panics while one of the bus's locks is held, so a poisoned one still guards a whole value.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InProcessBus {
    /// A bus without subscriptions and without history. The clock times waits, redelivery and dead letters.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_options(clock, InProcessOptions::new())
    }

    /// A bus without subscriptions.
    #[must_use]
    pub fn with_options(clock: Arc<dyn Clock>, options: InProcessOptions) -> Self {
        let shared = Shared {
            registry: Mutex::default(),
            dead: Mutex::default(),
            published: Mutex::new(Remembered::new(options.remembered_ids)),
            history: Mutex::new(History::new(options.history)),
            inboxes: Inboxes::default(),
            options,
            clock,
        };
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
}

impl Shared {
    /// Hands the message to everybody who wants it.
    async fn deliver(&self, message: &Message) -> Result<Published, BusError> {
        let slots = lock(&self.registry).route(message.topic())?;
        if self.options.history > 0 {
            lock(&self.history).push(message.clone());
        }
        let mut receipts = Vec::with_capacity(slots.len());
        let mut full = Vec::new();
        for slot in &*slots {
            match slot.offer(message) {
                Offered::Done(receipt) => {
                    if receipt == Receipt::Disconnected {
                        lock(&self.registry).remove(slot);
                    }
                    receipts.push((slot.id(), receipt));
                }
                Offered::Full => full.push(slot),
            }
        }
        if !full.is_empty() {
            // Everybody else has the message by now, so nobody waits for those who are slow but the publisher.
            receipts.extend(join_all(full.into_iter().map(|slot| self.wait_for_room(slot, message))).await);
            receipts.sort_by_key(|&(id, _)| id);
        }
        Ok(Published::new(receipts))
    }

    async fn wait_for_room(&self, slot: &Slot, message: &Message) -> (SubscriptionId, Receipt) {
        let up_to = match slot.options().overflow {
            Overflow::Block { up_to } => up_to,
            _ => Duration::ZERO,
        };
        let start = self.clock.now();
        let queued = within(&*self.clock, up_to, slot.offer_when_room(message)).await;
        let waited = self.clock.now().since(start);
        let receipt = match queued {
            None => Receipt::TimedOut { waited },
            Some(Receipt::Delivered { .. }) => Receipt::Late { waited },
            Some(receipt) => receipt,
        };
        (slot.id(), receipt)
    }

    fn settle(&self, slot: &Slot, entry: &Entry, settlement: Settlement) {
        if let Some(error) = slot.settle(entry, settlement, || self.clock.now()) {
            let options = slot.options();
            tracing::warn!(topic = %entry.message.topic(), attempts = entry.attempts, %error, "dead letter");
            let now = self.clock.now();
            lock(&self.dead).add(slot.id(), |id| {
                let (pattern, attempts) = (options.pattern().clone(), entry.attempts);
                DeadLetter::new(id, entry.message.clone(), pattern, attempts, error, now)
                    .with_group(options.group().cloned())
            });
        }
    }
}

/// An id that is remembered once its message has reached everybody: otherwise whoever tries again must be heard.
struct Claim<'a> {
    published: &'a Mutex<Remembered>,
    id: Option<&'a MessageId>,
}

impl<'a> Claim<'a> {
    /// `None` when the id is known.
    fn new(published: &'a Mutex<Remembered>, id: Option<&'a MessageId>) -> Option<Self> {
        let new = id.is_none_or(|id| lock(published).insert(id.clone()));
        new.then_some(Self { published, id })
    }

    fn keep(mut self) {
        self.id = None;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            lock(self.published).forget(id);
        }
    }
}

#[async_trait]
impl EventBus for InProcessBus {
    fn capabilities(&self) -> Capabilities {
        let InProcessOptions { history, remembered_ids } = self.shared.options;
        Capabilities::new().with_history(history > 0).with_deduplicates(remembered_ids > 0)
    }

    async fn publish(&self, message: Message) -> Result<Published, BusError> {
        message.check()?;
        let Some(claim) = Claim::new(&self.shared.published, message.id()) else {
            return Ok(Published::default().as_duplicate());
        };
        let published = self.shared.deliver(&message).await?;
        if published.receipts().iter().all(|(_, receipt)| receipt.is_delivered()) {
            claim.keep();
        }
        Ok(published)
    }

    async fn subscribe(&self, options: SubscribeOptions) -> Result<Box<dyn Subscriber>, BusError> {
        let slot = lock(&self.shared.registry).join(options)?;
        Ok(Box::new(SlotSubscriber::new(self.shared.clone(), slot)))
    }

    async fn remove_group(&self, group: &GroupName) -> Result<(), BusError> {
        let slot = lock(&self.shared.registry).remove_group(group)?;
        slot.end();
        Ok(())
    }

    async fn request(&self, request: Message, limit: Duration) -> Result<Message, BusError> {
        let mut inbox = self.shared.inboxes.open()?;
        let clock = &*self.shared.clock;
        let topic = request.topic().clone();
        let request = request.with_reply_to(inbox.topic.clone()).with_deadline(clock.now() + limit);
        let asked = async {
            if self.publish(request).await?.delivered() == 0 {
                return Err(BusError::NoResponder { topic: topic.clone() });
            }
            (&mut inbox.reply).await.map_err(|_| BusError::Closed)
        };
        within(clock, limit, asked).await.unwrap_or(Err(BusError::NoReply { topic, limit }))
    }

    async fn reply(&self, request: &Message, payload: Bytes) -> Result<(), BusError> {
        let topic =
            request.reply_to().ok_or_else(|| BusError::NotARequest { topic: request.topic().clone() })?;
        let reply = Message::new(topic.clone(), payload);
        reply.check()?;
        if lock(&self.shared.registry).is_closed() {
            return Err(BusError::Closed);
        }
        self.shared.inboxes.deliver(reply);
        Ok(())
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

    async fn replay(
        &self,
        pattern: &TopicPattern,
        after: Option<BusPosition>,
        limit: usize,
    ) -> Result<HistoryPage, BusError> {
        if self.shared.options.history == 0 {
            return Err(BusError::Unsupported { what: "replay without a history" });
        }
        Ok(lock(&self.shared.history).page(pattern, after, limit))
    }

    async fn health(&self) -> BusHealth {
        let closed = lock(&self.shared.registry).is_closed();
        let state = if closed { BusState::Closed } else { BusState::Ready { answered_in: Duration::ZERO } };
        BusHealth::new(state, 0)
    }

    async fn close(&self) -> Result<(), BusError> {
        for slot in lock(&self.shared.registry).close() {
            slot.close();
        }
        Ok(())
    }
}
