//! The relay at work: stand by, claim, publish and record, until it is replaced or told to end.

use std::sync::Arc;
use std::time::Duration;

use super::error::RelayError;
use super::journal::{Done, Journal, Refused, Skipped, Tail};
use super::mapping::{ByCategory, Mapping};
use super::monitor::{RelayMonitor, RelayState, Shared};
use super::options::RelayOptions;
use super::plan::{Fate, Plan, fate, plan};
use super::publish::Publisher;
use crate::bus::{EventBus, Message};
use crate::clock::Clock;
use crate::digest::Digest;
use crate::event::{EventStore, PageSize, Position, ReadError, RecordedEvent, Version};
use crate::failure_text::error_text;
use crate::fault::{Reaction, Retry};
use crate::id::{HolderId, RelayName};
use crate::resilience::{jitter, within};
use crate::seed::Seed;
use crate::shutdown::Shutdown;
use crate::standby::{Verdict, Vigil};

/// The position is recorded when so many events were passed over, although nothing was published.
const PASSED_AT_MOST: u64 = 10_000;
/// One that stands by looks so many times in the time after which it takes over.
const LOOKS: u32 = 4;

/// Tells on a bus what happens in a store; see [the module](super).
#[derive(Debug)]
pub struct Relay {
    name: RelayName,
    journal: Journal,
    store: Arc<dyn EventStore>,
    bus: Arc<dyn EventBus>,
    clock: Arc<dyn Clock>,
    mapping: Arc<dyn Mapping>,
    options: RelayOptions,
    seed: Seed,
    shared: Arc<Shared>,
}

/// How an active time ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Shutdown,
    Replaced,
}

impl Relay {
    /// A relay that tells everything, mapped [by category](ByCategory). All relays of this `name` and this store are
    /// one; `holder` is this one among them, and must differ from all the others. Messages have ids made of name and
    /// position: relays of different stores that reach one bus, or one inbox, must have different names, or what one of
    /// them tells is taken for what another has told.
    ///
    /// # Errors
    /// [`RelayError::Name`] for a name that leaves no room for the names made of it.
    pub fn new(
        name: RelayName,
        holder: HolderId,
        store: Arc<dyn EventStore>,
        bus: Arc<dyn EventBus>,
        clock: Arc<dyn Clock>,
        options: RelayOptions,
    ) -> Result<Self, RelayError> {
        let seed = Digest::builder("daa relay jitter v1").field(holder.as_str().as_bytes()).finish();
        Ok(Self {
            journal: Journal::new(&name, holder, store.clone(), clock.clone())?,
            name,
            store,
            bus,
            clock,
            mapping: Arc::new(ByCategory::default()),
            options,
            seed: Seed::from_digest(seed),
            shared: Arc::new(Shared::new()),
        })
    }

    /// Maps events in another way.
    #[must_use]
    pub fn with_mapping(mut self, mapping: impl Mapping + 'static) -> Self {
        self.mapping = Arc::new(mapping);
        self
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &RelayName {
        &self.name
    }

    /// Looks at the relay while it runs.
    #[must_use]
    pub fn monitor(&self) -> RelayMonitor {
        RelayMonitor { shared: self.shared.clone(), store: self.store.clone(), clock: self.clock.clone() }
    }

    /// Relays, or stands by, until told to end. It goes on trying while the store or the bus is away.
    ///
    /// # Errors
    /// [`RelayError`] where trying again cannot help: an event that no bus takes (with
    /// [`OnPoison::Stop`](crate::event::OnPoison::Stop)), a store or a bus that is closed, a record that does not
    /// decode.
    ///
    /// # Cancel safety
    /// Dropped, it leaves what a crash leaves: another takes over after
    /// [a while](RelayOptions::with_takeover_after), and repeats at most one batch.
    pub async fn run(self, mut shutdown: Shutdown) -> Result<(), RelayError> {
        let ended = self.turns(&mut shutdown).await;
        self.shared.is(RelayState::Ended);
        ended
    }

    async fn turns(&self, shutdown: &mut Shutdown) -> Result<(), RelayError> {
        let mut failures = 0_u32;
        loop {
            let error = match self.turn(shutdown, &mut failures).await {
                Ok(End::Shutdown) => return Ok(()),
                Ok(End::Replaced) => {
                    self.shared.counters.replaced.one();
                    continue;
                }
                Err(error) if error.retry() == Retry::Never => return Err(error),
                Err(error) => error,
            };
            self.shared.is(RelayState::Resting { error: error_text(&error) });
            failures = failures.saturating_add(1);
            let longest = self.options.backoff.after(failures);
            let rest = jitter(self.seed.child("rest").nth(u64::from(failures)), longest);
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                () = self.clock.sleep(rest) => {}
            }
        }
    }

    /// Stands by, and then works until it ends.
    async fn turn(&self, shutdown: &mut Shutdown, failures: &mut u32) -> Result<End, RelayError> {
        self.shared.is(RelayState::StandingBy);
        let mut active = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(End::Shutdown),
            active = self.stand_by() => active?,
        };
        *failures = 0;
        self.shared.counters.claimed.one();
        self.shared.is(RelayState::Active);
        let ended = active.work(shutdown).await;
        if matches!(&ended, Ok(End::Shutdown))
            || matches!(&ended, Err(error) if error.retry() == Retry::Never)
        {
            active.release().await;
        }
        ended
    }

    /// Waits until this one is to be active, and claims.
    async fn stand_by(&self) -> Result<Active<'_>, RelayError> {
        let mut vigil = Vigil::new(self.options.takeover_after);
        let mut tail = Tail { version: Version::EMPTY, position: self.options.start, holder: None };
        let mut passed = Position::START;
        loop {
            tail = self.journal.tail(tail.version).await?.unwrap_or(tail);
            passed = passed.max(tail.position);
            self.shared.is_at(passed);
            let others = tail.holder.as_ref().is_some_and(|holder| *holder != self.journal.holder);
            if others {
                let pending = self.is_pending(&mut passed).await?;
                let now = self.clock.now();
                if let Verdict::Wait(until) = vigil.look(tail.version.get(), pending, now) {
                    self.clock.sleep_until(until.min(now + self.options.takeover_after / LOOKS)).await;
                    continue;
                }
            }
            match self.journal.record(Done::Claimed, tail.version, tail.position, &[]).await {
                Ok(version) => {
                    return Ok(Active {
                        relay: self,
                        version,
                        recorded: tail.position,
                        position: tail.position,
                    });
                }
                Err(Refused::Replaced) => {}
                Err(Refused::Failed(error)) => return Err(error.into()),
            }
        }
    }

    /// Whether there is something to relay; moves `passed` behind what is not.
    async fn is_pending(&self, passed: &mut Position) -> Result<bool, ReadError> {
        loop {
            let page = self.store.read_all(*passed, self.page()).await?;
            if page.is_empty() {
                return Ok(false);
            }
            for event in page {
                if matches!(fate(&self.name, &*self.mapping, &event), Fate::Publish(_) | Fate::Poison(_)) {
                    return Ok(true);
                }
                *passed = event.position;
            }
        }
    }

    fn page(&self) -> PageSize {
        PageSize::new(self.options.batch.get())
    }
}

/// The relay while it is the active one.
struct Active<'a> {
    relay: &'a Relay,
    /// The version of the journal that the next record expects.
    version: Version,
    /// What is recorded.
    recorded: Position,
    /// What is dealt with.
    position: Position,
}

impl Active<'_> {
    async fn work(&mut self, shutdown: &mut Shutdown) -> Result<End, RelayError> {
        let relay = self.relay;
        loop {
            let page = tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(End::Shutdown),
                page = self.next_page() => page?,
            };
            let RelayOptions { on_poison, .. } = relay.options;
            let plan = plan(&relay.name, &*relay.mapping, on_poison, self.position, &page);
            if let Some(end) = self.perform(plan, shutdown).await? {
                return Ok(end);
            }
        }
    }

    /// The next events; waits until there are some.
    async fn next_page(&self) -> Result<Vec<RecordedEvent>, ReadError> {
        let store = &*self.relay.store;
        loop {
            let page = store.read_all(self.position, self.relay.page()).await?;
            if !page.is_empty() {
                return Ok(page);
            }
            let mut subscription = store.subscribe(self.position).await?;
            if subscription.next().await?.is_none() {
                return Err(ReadError::Closed);
            }
        }
    }

    /// Publishes and records. `None` when the relay goes on.
    async fn perform(&mut self, mut plan: Plan, shutdown: &mut Shutdown) -> Result<Option<End>, RelayError> {
        let (relay, counters) = (self.relay, &self.relay.shared.counters);
        let does_something = plan.does_something();
        let lanes = std::mem::take(&mut plan.lanes);
        if !lanes.is_empty() {
            let published = tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(Some(End::Shutdown)),
                published = self.publish(lanes) => published?,
            };
            if let Some(end) = published {
                return Ok(Some(end));
            }
        }
        if does_something || plan.end.get().saturating_sub(self.recorded.get()) >= PASSED_AT_MOST {
            if !self.record(Done::Advanced, plan.end, &plan.skipped).await? {
                return Ok(Some(End::Replaced));
            }
            self.recorded = plan.end;
        }
        self.position = plan.end;
        relay.shared.is_at(plan.end);
        counters.left_out.add(plan.left_out);
        counters.erased.add(plan.erased);
        counters.skipped.add(plan.skipped.len() as u64);
        for skipped in &plan.skipped {
            let (position, reason) = (skipped.position, &skipped.reason);
            tracing::warn!(relay = %relay.name, %position, %reason, "an event was not relayed");
        }
        plan.poison.map_or(Ok(None), Err)
    }

    /// Publishes, and says now and then that this one lives.
    async fn publish(&mut self, lanes: Vec<Vec<Message>>) -> Result<Option<End>, RelayError> {
        let relay = self.relay;
        let publisher = Publisher {
            bus: &*relay.bus,
            clock: &*relay.clock,
            options: &relay.options,
            seed: relay.seed,
            shared: &relay.shared,
        };
        let mut publishing = std::pin::pin!(publisher.publish(lanes));
        loop {
            tokio::select! {
                biased;
                published = &mut publishing => return published.map(|()| None).map_err(RelayError::Bus),
                () = relay.clock.sleep(self.beat()) => {}
            }
            let recorded = self.recorded;
            let mut beat = std::pin::pin!(self.record(Done::Waiting, recorded, &[]));
            // Publishing goes on meanwhile; but what was begun here is brought to its end.
            let mut published = None;
            let alive = loop {
                tokio::select! {
                    biased;
                    done = &mut publishing, if published.is_none() => published = Some(done),
                    alive = &mut beat => break alive,
                }
            };
            match alive {
                Ok(true) => {}
                Ok(false) => return Ok(Some(End::Replaced)),
                Err(error) => return Err(error),
            }
            if let Some(published) = published {
                return published.map(|()| None).map_err(RelayError::Bus);
            }
        }
    }

    fn beat(&self) -> Duration {
        self.relay.options.takeover_after / 3
    }

    /// Whether it was recorded; not when another has replaced this one.
    async fn record(
        &mut self,
        done: Done,
        position: Position,
        skipped: &[Skipped],
    ) -> Result<bool, RelayError> {
        match self.relay.journal.record(done, self.version, position, skipped).await {
            Ok(version) => {
                self.version = version;
                Ok(true)
            }
            Err(Refused::Replaced) => Ok(false),
            Err(Refused::Failed(error)) => Err(error.into()),
        }
    }

    /// Lets one of those that stand by take over at once. What does not succeed costs them a wait.
    async fn release(&mut self) {
        let (relay, recorded) = (self.relay, self.recorded);
        let releasing = self.record(Done::Released, recorded, &[]);
        if !matches!(within(&*relay.clock, relay.options.takeover_after, releasing).await, Some(Ok(true))) {
            tracing::debug!(relay = %relay.name, "the relay was not released; another takes over after a while");
        }
    }
}
