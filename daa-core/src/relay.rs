//! Relays: what happened in a store, told on a bus, at least once.
//!
//! A [`Relay`] follows the global order of an [`EventStore`](crate::event::EventStore) from a durable position, makes a
//! [`Message`](crate::bus::Message) of each event by a [`Mapping`], publishes them, and records its position once all
//! of a batch are confirmed. A crash at any moment loses nothing, and repeats at most one batch under the same message
//! ids, so that brokers, [`Deduplicated`](crate::bus::Deduplicated) and [`Inbox`](crate::inbox::Inbox) drop it.
//!
//! - Messages have the stream of their event as key, unless the mapping gives another: the order of a stream is the
//!   order in which its messages are worked on.
//! - Of all relays of one name one is active. The others stand by, and one of them takes over when it is released, or
//!   when there is work and nothing is done for [a while](RelayOptions::with_takeover_after). Whoever was replaced
//!   cannot record a position any more.
//! - While the bus is down, the relay waits with backoff, and its [lag](RelayMonitor::status) grows.
//! - Streams that begin with `relay/`, `relay.skipped/`, `inbox/` or `archive/` are never relayed. Events that were erased before
//!   the relay came to them are passed over and counted.
//!
//! What the bus does with a message that nobody subscribed to is up to the bus: where groups do not outlive their
//! members, it is gone.
//!
//! ```
//! # use std::sync::Arc;
//! # use daa_core::bus::*;
//! # use daa_core::clock::{SystemClock, Timestamp};
//! # use daa_core::event::*;
//! # use daa_core::relay::*;
//! # use daa_core::shutdown::ShutdownTrigger;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (store, clock) = (Arc::new(MemoryEventStore::new()), Arc::new(SystemClock::new()));
//! let bus = Arc::new(InProcessBus::new(clock.clone()));
//! let mut orders = bus.subscribe(SubscribeOptions::new("event.order.>".parse()?)).await?;
//!
//! let holder = "host-1:4711".parse()?;
//! let relay = Relay::new("shop".parse()?, holder, store.clone(), bus, clock, RelayOptions::default())?;
//! let (trigger, shutdown) = ShutdownTrigger::new();
//! let running = tokio::spawn(relay.run(shutdown));
//!
//! let placed = NewEvent::json("order.placed.v1".parse()?, Timestamp::EPOCH, &"two apples")?;
//! store.append(Batch::new().with_event("order/17".parse()?, ExpectedVersion::NO_STREAM, placed)).await?;
//!
//! let delivery = orders.next().await?.ok_or("the bus was closed")?;
//! assert_eq!(delivery.message().topic().as_str(), "event.order.order.placed.v1");
//! assert_eq!(Relayed::of(delivery.message())?.stream.as_str(), "order/17");
//! delivery.ack().await?;
//! trigger.trigger();
//! running.await??;
//! # Ok(())
//! # }
//! ```

mod error;
mod journal;
mod mapping;
mod metrics;
mod monitor;
mod options;
mod plan;
mod publish;
mod relayed;
mod serve;
mod service;

pub use error::{NotRelayed, RelayError, Unmappable};
pub(crate) use journal::is_own;
pub use mapping::{ByCategory, Mapping, MappingError};
pub use metrics::RelayMetrics;
pub(crate) use monitor::lag_text;
pub use monitor::{RelayMonitor, RelayState, RelayStatus};
pub use options::RelayOptions;
pub use relayed::Relayed;
pub use serve::Relay;

#[cfg(feature = "test-util")]
pub mod testing;
