//! Publishing a plan: keys in parallel, and the messages of one key one after the other.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::monitor::Shared;
use super::options::RelayOptions;
use crate::bus::{BusError, EventBus, Message, Receipt};
use crate::clock::Clock;
use crate::failure_text::error_text;
use crate::fault::{Reaction, Retry};
use crate::resilience::jitter;
use crate::seed::Seed;

pub(super) struct Publisher<'a> {
    pub(super) bus: &'a dyn EventBus,
    pub(super) clock: &'a dyn Clock,
    pub(super) options: &'a RelayOptions,
    pub(super) seed: Seed,
    pub(super) shared: &'a Shared,
}

impl Publisher<'_> {
    /// Comes back when all is confirmed, or when the bus will never take it.
    pub(super) async fn publish(&self, lanes: Vec<Vec<Message>>) -> Result<(), BusError> {
        let publishing = stream::iter(lanes).map(|lane| self.lane(lane));
        publishing.buffer_unordered(self.options.in_flight.get()).try_collect().await
    }

    async fn lane(&self, lane: Vec<Message>) -> Result<(), BusError> {
        for message in lane {
            self.until_confirmed(message).await?;
        }
        Ok(())
    }

    async fn until_confirmed(&self, message: Message) -> Result<(), BusError> {
        for attempt in 1_u32.. {
            let at_least = match self.bus.publish(message.clone()).await {
                Ok(published) if published.receipts().iter().all(|&(_, receipt)| is_done(receipt)) => {
                    self.shared.published(published.is_duplicate());
                    return Ok(());
                }
                Ok(_) => {
                    self.shared.waits("a subscription had no room for a message in time".to_owned());
                    Duration::ZERO
                }
                Err(error) => {
                    let at_least = match error.retry() {
                        Retry::Never => return Err(error),
                        Retry::Now | Retry::Later => Duration::ZERO,
                        Retry::After(span) => span,
                    };
                    self.shared.waits(error_text(&error));
                    at_least
                }
            };
            let longest = self.options.backoff.after(attempt);
            self.clock.sleep(at_least + jitter(self.nth(&message, attempt), longest)).await;
        }
        Ok(())
    }

    fn nth(&self, message: &Message, attempt: u32) -> Seed {
        let id = message.id().map_or("", |id| id.as_str());
        self.seed.child(id).nth(u64::from(attempt))
    }
}

/// Whether there is nothing left to try: the message is queued, or the subscription asked that it be dropped.
const fn is_done(receipt: Receipt) -> bool {
    !matches!(receipt, Receipt::TimedOut { .. })
}
