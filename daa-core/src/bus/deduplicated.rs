//! Consumers that see a message once.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::contract::Subscriber;
use super::delivery::{Delivery, Settle, Settlement};
use super::error::BusError;
use crate::id::MessageId;

/// The latest ids, up to a bound.
#[derive(Debug)]
pub(super) struct Remembered {
    ids: HashSet<MessageId>,
    order: VecDeque<MessageId>,
    capacity: usize,
}

impl Remembered {
    pub(super) fn new(capacity: usize) -> Self {
        Self { ids: HashSet::new(), order: VecDeque::new(), capacity }
    }

    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.ids.contains(id)
    }

    /// `false` when the id is known already.
    pub(super) fn insert(&mut self, id: MessageId) -> bool {
        if self.capacity == 0 || !self.ids.insert(id.clone()) {
            return self.capacity == 0;
        }
        self.order.push_back(id);
        while self.order.len() > self.capacity {
            if let Some(oldest) = self.order.pop_front() {
                self.ids.remove(&oldest);
            }
        }
        true
    }

    /// For an id that was inserted a moment ago.
    pub(super) fn forget(&mut self, id: &MessageId) {
        if self.ids.remove(id)
            && let Some(index) = self.order.iter().rposition(|known| known == id)
        {
            self.order.remove(index);
        }
    }
}

/// A subscriber that passes over what was acknowledged through it before: messages with the
/// [id](super::Message::with_id) of one of the latest acknowledged ones are acknowledged and not handed out. Messages
/// without an id pass.
///
/// What it knows is gone with it. Effects that must not happen twice across restarts carry the id to where they
/// happen.
#[derive(Debug)]
pub struct Deduplicated<S> {
    inner: S,
    acknowledged: Arc<Mutex<Remembered>>,
}

impl<S: Subscriber> Deduplicated<S> {
    /// Remembers as many ids as `window`.
    #[must_use]
    pub fn new(inner: S, window: usize) -> Self {
        Self { inner, acknowledged: Arc::new(Mutex::new(Remembered::new(window))) }
    }
}

#[async_trait]
impl<S: Subscriber> Subscriber for Deduplicated<S> {
    async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        while let Some(delivery) = self.inner.next().await? {
            let Some(id) = delivery.message().id().cloned() else { return Ok(Some(delivery)) };
            let known = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).contains(&id);
            if !known {
                let (message, attempt) = (delivery.message().clone(), delivery.attempt());
                let settle = Remember { id, delivery, acknowledged: self.acknowledged.clone() };
                return Ok(Some(Delivery::new(message, attempt, Box::new(settle))));
            }
            delivery.ack().await?;
        }
        Ok(None)
    }
}

#[async_trait]
impl Subscriber for Box<dyn Subscriber> {
    async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        (**self).next().await
    }
}

struct Remember {
    id: MessageId,
    delivery: Delivery,
    acknowledged: Arc<Mutex<Remembered>>,
}

#[async_trait]
impl Settle for Remember {
    async fn settle(self: Box<Self>, settlement: Settlement) -> Result<(), BusError> {
        match settlement {
            Settlement::Ack => {
                // Before the bus knows: what it did not hear of comes again, and was dealt with.
                self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(self.id);
                self.delivery.ack().await
            }
            Settlement::Nack(error) => self.delivery.nack(error).await,
            Settlement::Reject(error) => self.delivery.reject(error).await,
        }
    }
}
