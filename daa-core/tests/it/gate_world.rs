//! A small world for the gate: books on the event store, an outside where effects take place, rules by kind, and
//! a store that fails when told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use daa_core::action::{
    Action, Authorized, Decision, ExecuteError, Executor, Gate, Outcome, Policy, Reconciled, Refusal,
    Request, ReservationId, Treasury, TreasuryChange, TreasuryError, Verdict,
};
use daa_core::amount::{Currency, Money};
use daa_core::clock::{ManualClock, Timestamp};
use daa_core::digest::Digest;
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, ExpectedVersion, MemoryEventStore, NewEvent, PageSize,
    Position, ReadError, RecordedEvent, StreamWrite, Subscription, Version,
};
use daa_core::id::{ActionId, StreamId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Notify, OwnedMutexGuard};

pub(crate) const FUNDS: u128 = 1_000;

pub(crate) fn usd(units: u128) -> Money {
    Currency::new("USD", 2).unwrap().units(units)
}

pub(crate) fn action(id: &str) -> Action {
    action_of("pay", id).with_max_cost(usd(100))
}

pub(crate) fn action_of(kind: &str, id: &str) -> Action {
    let action = Action::new(id.parse().unwrap(), kind.parse().unwrap(), "alice".parse().unwrap()).unwrap();
    action.with_params(json!({ "to": "bob" })).unwrap()
}

/// Denies kinds that begin with `deny`, escalates those that begin with `escalate`, permits the rest.
#[derive(Debug)]
pub(crate) struct ByKind;

impl Policy for ByKind {
    fn decide(&self, request: &Request<'_>) -> Verdict {
        let kind = request.action.kind().as_str();
        let decision = match kind {
            _ if kind.starts_with("deny") => Decision::Deny { reason: "denied by kind".to_owned() },
            _ if kind.starts_with("escalate") => Decision::Escalate { reason: "ask somebody".to_owned() },
            _ => Decision::Permit,
        };
        Verdict::new(decision, Digest::of(b"by kind"), vec!["by-kind".parse().unwrap()])
    }
}

/// What happens to the money.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Entry {
    Held { id: String, units: u64 },
    Settled { id: String, units: u64 },
    Released { id: String },
}

/// The state of the books: what is held for each action, and what was paid for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Balance {
    pub(crate) held: BTreeMap<String, u128>,
    pub(crate) paid: BTreeMap<String, u128>,
    version: Version,
}

impl Balance {
    pub(crate) async fn read(store: &dyn EventStore) -> Self {
        let stream = books();
        let mut balance = Self::default();
        loop {
            let page = store.read_stream(&stream, balance.version, PageSize::default()).await.unwrap();
            let Some(last) = page.last() else { return balance };
            balance.version = last.version;
            page.iter().for_each(|event| balance.apply(&event.json().unwrap()));
        }
    }

    fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Held { id, units } => assert_eq!(self.held.insert(id.clone(), (*units).into()), None),
            Entry::Settled { id, units } => {
                assert!(self.held.remove(id).unwrap() >= (*units).into());
                assert_eq!(self.paid.insert(id.clone(), (*units).into()), None, "{id} is paid twice");
            }
            Entry::Released { id } => assert!(self.held.remove(id).is_some()),
        }
    }

    fn available(&self) -> u128 {
        FUNDS - self.held.values().sum::<u128>() - self.paid.values().sum::<u128>()
    }
}

fn books() -> StreamId {
    StreamId::new("books").unwrap()
}

/// A treasury that keeps nothing in memory: it reads the books whenever a change begins.
#[derive(Debug)]
pub(crate) struct Books {
    store: Arc<dyn EventStore>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Change {
    balance: Balance,
    expected: Version,
    entries: Vec<NewEvent>,
    _turn: OwnedMutexGuard<()>,
}

#[async_trait]
impl Treasury for Books {
    async fn begin(&self) -> Result<Box<dyn TreasuryChange>, TreasuryError> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let balance = Balance::read(&*self.store).await;
        let expected = balance.version;
        Ok(Box::new(Change { balance, expected, entries: Vec::new(), _turn: turn }))
    }
}

impl Change {
    fn enter(&mut self, entry: &Entry, now: Timestamp) {
        self.balance.apply(entry);
        self.entries.push(NewEvent::json("books.v1".parse().unwrap(), now, entry).unwrap());
    }

    fn held(&self, reservation: &ReservationId) -> Result<u128, Refusal> {
        let held = self.balance.held.get(reservation.as_str()).copied();
        held.ok_or_else(|| Refusal::NotOpen { reservation: reservation.clone() })
    }
}

impl TreasuryChange for Change {
    fn reserve(&mut self, action: &Action, now: Timestamp) -> Result<ReservationId, Refusal> {
        let needed = action.max_cost().unwrap();
        let units = needed.amount().units();
        if units > self.balance.available() {
            return Err(Refusal::InsufficientFunds { needed, available: usd(self.balance.available()) });
        }
        let id = action.id().to_string();
        if self.balance.held.contains_key(&id) || self.balance.paid.contains_key(&id) {
            return Err(Refusal::IdReused { transfer: id.parse().unwrap() });
        }
        self.enter(&Entry::Held { id: id.clone(), units: units as u64 }, now);
        Ok(id.parse().unwrap())
    }

    fn settle(&mut self, reservation: &ReservationId, actual: Money, now: Timestamp) -> Result<(), Refusal> {
        let held = self.held(reservation)?;
        let units = actual.amount().units();
        if units > held {
            return Err(Refusal::OverReservation { actual, reserved: usd(held) });
        }
        self.enter(&Entry::Settled { id: reservation.to_string(), units: units as u64 }, now);
        Ok(())
    }

    fn release(&mut self, reservation: &ReservationId, now: Timestamp) -> Result<(), Refusal> {
        self.held(reservation)?;
        self.enter(&Entry::Released { id: reservation.to_string() }, now);
        Ok(())
    }

    fn writes(&self) -> Vec<StreamWrite> {
        vec![StreamWrite::new(books(), ExpectedVersion::Exact(self.expected), self.entries.clone())]
    }

    fn confirm(self: Box<Self>) {}
}

/// What an executor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// The effect, for this many cents.
    Succeeds(u128),
    /// Nothing, for ever.
    Hangs,
    /// The effect, and then nothing for ever.
    HangsAfterwards,
    /// The effect, and then it panics.
    Panics,
    /// Refuses to do it.
    Rejects,
    /// The effect, and then it says that it does not know.
    Interrupted,
    /// The effect, with an output that is too large.
    TooMuch,
    /// The effect, once it is told to go on.
    Waits,
}

/// The world outside, where effects take place.
#[derive(Debug)]
pub(crate) struct Outside {
    does: Mutex<Does>,
    pub(crate) effects: Mutex<BTreeMap<ActionId, u32>>,
    pub(crate) calls: AtomicUsize,
    /// Whether it can tell afterwards what took place.
    pub(crate) remembers: bool,
    pub(crate) called: Notify,
    pub(crate) go_on: Notify,
}

impl Outside {
    pub(crate) fn that(does: Does) -> Arc<Self> {
        Arc::new(Self::new(does, true))
    }

    pub(crate) fn new(does: Does, remembers: bool) -> Self {
        Self {
            does: Mutex::new(does),
            effects: Mutex::default(),
            calls: AtomicUsize::new(0),
            remembers,
            called: Notify::new(),
            go_on: Notify::new(),
        }
    }

    pub(crate) fn now(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn effects(&self, id: &str) -> u32 {
        self.effects.lock().unwrap().get(id).copied().unwrap_or_default()
    }

    fn effect(&self, id: &ActionId) {
        *self.effects.lock().unwrap().entry(id.clone()).or_default() += 1;
    }
}

#[async_trait]
impl Executor for Outside {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.called.notify_one();
        let does = *self.does.lock().unwrap();
        if !matches!(does, Does::Hangs | Does::Rejects | Does::Waits) {
            self.effect(action.id());
        }
        match does {
            Does::Succeeds(cost) => Ok(Outcome::new("done").with_cost(usd(cost))),
            Does::Hangs | Does::HangsAfterwards => std::future::pending().await,
            Does::Panics => panic!("out of paper"),
            Does::Rejects => Err(ExecuteError::rejected("no such account")),
            Does::Interrupted => Err(ExecuteError::interrupted("the line is dead")),
            Does::TooMuch => Ok(Outcome::new("x".repeat(100_000)).with_cost(usd(60))),
            Does::Waits => {
                self.go_on.notified().await;
                self.effect(action.id());
                Ok(Outcome::new("done").with_cost(usd(60)))
            }
        }
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        Ok(match self.effects(action.id().as_str()) {
            _ if !self.remembers => Reconciled::Unknown,
            0 => Reconciled::NotFound,
            _ => Reconciled::Completed(Outcome::new("found").with_cost(usd(60))),
        })
    }
}

/// How an append fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing was written.
    Before,
    /// Everything was written, but the answer is lost.
    After,
}

/// Looks on before each append: at the kinds of its events.
struct OnLooker(Box<Look>);

type Look = dyn Fn(&[String]) + Send + Sync;

impl std::fmt::Debug for OnLooker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnLooker(..)")
    }
}

/// A store that dies at its n-th append, counted from 0, and notes what was appended.
#[derive(Debug)]
pub(crate) struct Mortal {
    inner: Arc<MemoryEventStore>,
    on_looker: OnLooker,
    dies: Option<(usize, Loss)>,
    appends: AtomicUsize,
    /// The kinds of event in each append.
    pub(crate) batches: Mutex<Vec<Vec<String>>>,
    /// Written by another process just before the next append.
    rival: Mutex<Option<Batch>>,
}

impl Mortal {
    pub(crate) fn new(inner: Arc<MemoryEventStore>, dies: Option<(usize, Loss)>) -> Arc<Self> {
        Arc::new(Self::seen_by(inner, dies, |_| {}))
    }

    /// One that lives, with somebody who looks on before each append.
    pub(crate) fn watched(
        inner: Arc<MemoryEventStore>,
        looks: impl Fn(&[String]) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self::seen_by(inner, None, looks))
    }

    fn seen_by(
        inner: Arc<MemoryEventStore>,
        dies: Option<(usize, Loss)>,
        looks: impl Fn(&[String]) + Send + Sync + 'static,
    ) -> Self {
        let (appends, batches, rival) = (AtomicUsize::new(0), Mutex::default(), Mutex::default());
        Self { inner, on_looker: OnLooker(Box::new(looks)), dies, appends, batches, rival }
    }

    /// Lets another process hold a little money just before the next append.
    pub(crate) fn interfere(&self, id: &str) {
        let entry = Entry::Held { id: id.to_owned(), units: 1 };
        let event = NewEvent::json("books.v1".parse().unwrap(), Timestamp::EPOCH, &entry).unwrap();
        *self.rival.lock().unwrap() = Some(Batch::new().with_event(books(), ExpectedVersion::Any, event));
    }

    pub(crate) fn appends(&self) -> usize {
        self.appends.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl EventStore for Mortal {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        let count = self.appends.fetch_add(1, Ordering::SeqCst);
        let rival = self.rival.lock().unwrap().take();
        if let Some(rival) = rival {
            self.inner.append(rival).await?;
        }
        let kinds = batch.writes.iter().flat_map(|write| &write.events).map(|event| event.kind.to_string());
        let kinds: Vec<String> = kinds.collect();
        (self.on_looker.0)(&kinds);
        self.batches.lock().unwrap().push(kinds);
        match self.dies {
            Some((at, Loss::After)) if count == at => {
                self.inner.append(batch).await?;
                Err(AppendError::Unconfirmed { source: "killed".into() })
            }
            Some((at, _)) if count >= at => Err(AppendError::Unavailable { source: "killed".into() }),
            _ => self.inner.append(batch).await,
        }
    }

    async fn read_stream(
        &self,
        of: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_stream(of, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.inner.subscribe(after).await
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        self.inner.erase(stream, up_to).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// A gate on a store, as a process has it that has just started.
pub(crate) fn gate_on(store: Arc<dyn EventStore>, clock: &ManualClock) -> Gate {
    gate_with(store, clock, Arc::new(ByKind))
}

/// The same, under other rules.
pub(crate) fn gate_with(store: Arc<dyn EventStore>, clock: &ManualClock, rules: Arc<dyn Policy>) -> Gate {
    let books = Books { store: Arc::clone(&store), turn: Arc::default() };
    let gate = Gate::builder(store, Arc::new(clock.clone())).with_policy(rules);
    gate.with_treasury(Arc::new(books)).build()
}

/// The kinds of all events about one action, in order.
pub(crate) async fn history(store: &dyn EventStore, id: &str) -> Vec<String> {
    let stream = StreamId::new(format!("action/{id}")).unwrap();
    let events = store.read_stream(&stream, Version::EMPTY, PageSize::default()).await.unwrap();
    events.iter().map(|event| event.kind.to_string()).collect()
}

/// The last event about one action.
pub(crate) async fn last_event(store: &dyn EventStore, id: &str) -> Value {
    let stream = StreamId::new(format!("action/{id}")).unwrap();
    let events = store.read_stream(&stream, Version::EMPTY, PageSize::default()).await.unwrap();
    events.last().unwrap().json().unwrap()
}
