//! An auditor that hears of purchases over the bus alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use daa::core::bus::{SubscribeOptions, Subscriber};
use daa::core::relay::{Relay, RelayError, RelayOptions, Relayed};
use daa::core::shutdown::ShutdownTrigger;
use daa::prelude::*;
use daa::store::backends::Backends;
use tokio::task::JoinHandle;

use crate::Failure;

/// How long what happened may take to be heard of.
const PATIENCE: Duration = Duration::from_secs(30);

/// Hears what the relay tells.
pub(crate) struct Auditor {
    /// What the streams of the agent's actions begin with.
    streams: String,
    subscriber: Box<dyn Subscriber>,
    relay: JoinHandle<Result<(), RelayError>>,
    trigger: ShutdownTrigger,
}

impl Auditor {
    /// Begins to relay, and to listen.
    pub(crate) async fn begin(
        backends: &Backends,
        clock: &Arc<dyn Clock>,
        agent: &AgentId,
    ) -> Result<Self, Failure> {
        let successes = SubscribeOptions::new("event.action.action.succeeded.v1".parse()?);
        let subscriber = backends.bus.subscribe(successes).await?;
        // A relay of its own, from now on: what others did is not its concern.
        let (name, holder) = (format!("grow-{agent}").parse()?, "auditor".parse()?);
        let options = RelayOptions::default().with_start(backends.store.head().await?);
        let (store, bus, clock) = (backends.store.clone(), backends.bus.clone(), clock.clone());
        let relay = Relay::new(name, holder, store, bus, clock, options)?;
        let (trigger, shutdown) = ShutdownTrigger::new();
        let relay = tokio::spawn(relay.run(shutdown));
        Ok(Self { streams: format!("action/{agent}/"), subscriber, relay, trigger })
    }

    /// How many purchases the auditor heard of, once it has heard of all that were paid for, and what was paid.
    pub(crate) async fn end(mut self, purchases: usize) -> Result<usize, Failure> {
        let heard = tokio::time::timeout(PATIENCE, self.hear(purchases)).await;
        self.trigger.trigger();
        self.relay.await??;
        heard.map_err(|_| format!("not all of {purchases} purchases were heard of within {PATIENCE:?}"))?
    }

    async fn hear(&mut self, purchases: usize) -> Result<usize, Failure> {
        // At least once: what comes again is one purchase all the same.
        let mut heard = BTreeSet::new();
        while heard.len() < purchases {
            let delivery = self.subscriber.next().await?.ok_or("the bus was closed")?;
            let event = Relayed::of(delivery.message())?;
            if event.stream.as_str().starts_with(&self.streams) {
                heard.insert(event.stream);
            }
            delivery.ack().await?;
        }
        Ok(heard.len())
    }
}
