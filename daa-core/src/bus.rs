//! The event bus: messages between the parts of a system, on topics.
//!
//! A bus carries what happens now. The [event store](crate::event::EventStore) is the truth, and whoever needs all of
//! the past reads it there. What must not be lost is an event first, and a message after that.
//!
//! - A message on a [`Topic`](crate::id::Topic) goes to every subscription whose [`TopicPattern`] matches. Subscriptions that
//!   name the same [group](SubscribeOptions::with_group) share the messages: one member gets each.
//! - Each delivery is [acknowledged](Delivery::ack) or [refused](Delivery::nack). What is refused, or dropped
//!   without either, comes again after a [`Backoff`], up to a number of attempts, and then becomes a [`DeadLetter`]
//!   with the error, which can be looked at and [driven again](EventBus::redrive).
//! - Messages of one [key](Message::with_key) are worked on one after the other; the others in parallel.
//! - Queues are bounded, and so is what a subscriber holds unanswered. In one process, [`Published`] says what happened
//!   at each queue: a slow consumer is visible to publishers, and no other consumer waits for it.
//! - [`InProcessBus`] is complete, and gone with the process. `daa-store` has the same contract on NATS JetStream and
//!   on RabbitMQ. [`Capabilities`] says where they differ.
//!
//! ```
//! # use std::sync::Arc;
//! # use daa_core::bus::*;
//! # use daa_core::clock::SystemClock;
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = InProcessBus::new(Arc::new(SystemClock::new()));
//! let mut prices = bus.subscribe(SubscribeOptions::new("price.*.usd".parse()?)).await?;
//! bus.publish(Message::new("price.eth.usd".parse()?, "3123.45")).await?;
//! if let Some(delivery) = prices.next().await? {
//!     println!("{:?}", delivery.message().payload());
//!     delivery.ack().await?;
//! }
//! # Ok(())
//! # }
//! ```

mod backoff;
mod capabilities;
mod contract;
mod dead_letter;
mod deduplicated;
mod delivery;
mod error;
mod headers;
mod health;
mod history;
mod in_process;
mod message;
mod options;
mod pattern;
mod published;
mod queue;

pub use backoff::Backoff;
pub use capabilities::Capabilities;
pub use contract::{EventBus, Subscriber};
pub use dead_letter::{DeadLetter, DeadLetterId};
pub use deduplicated::Deduplicated;
pub use delivery::{Delivery, Settle, Settlement};
pub use error::BusError;
pub use headers::{HeaderError, Headers, MAX_HEADER_BYTES, MAX_HEADERS};
pub use health::{BusHealth, BusState};
pub use history::{BusPosition, HistoryPage, MAX_PAGE, MAX_PAGE_BYTES};
pub use in_process::{InProcessBus, InProcessOptions, SubscriptionStatus};
pub use message::{MAX_PAYLOAD, Message};
pub use options::{GroupName, Overflow, SubscribeOptions};
pub use pattern::{PatternError, TopicPattern};
pub use published::{Published, Receipt, SubscriptionId};

#[cfg(feature = "test-util")]
pub mod testing;
