//! What several tests need.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use daa_core::amount::Currency;
use daa_core::clock::ManualClock;
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, MemoryEventStore, PageSize, Position, ReadError, RecordedEvent,
    Subscription, Version,
};
use daa_core::id::StreamId;
use daa_economy::{Account, AccountKind, Ledger, Transfer};

pub(crate) fn usd() -> Currency {
    Currency::new("USD", 2).unwrap()
}

pub(crate) fn transfer(id: &str, from: &str, to: &str, units: u128) -> Transfer {
    let id = id.try_into().unwrap();
    Transfer::new(id, from.try_into().unwrap(), to.try_into().unwrap(), usd().units(units))
}

pub(crate) fn account(id: &str, kind: AccountKind) -> Account {
    Account::new(id.try_into().unwrap(), usd(), kind)
}

pub(crate) async fn ledger_on(store: Arc<dyn EventStore>) -> Ledger {
    Ledger::open(store, Arc::new(ManualClock::default())).await.unwrap()
}

/// A ledger with an issuance account `mint` and two agents, of which `alice` has 100 units.
pub(crate) async fn funded(store: Arc<dyn EventStore>) -> Ledger {
    let ledger = ledger_on(store).await;
    ledger.open_account(account("mint", AccountKind::Issuance)).await.unwrap();
    ledger.open_account(account("agent/alice", AccountKind::Agent)).await.unwrap();
    ledger.open_account(account("agent/bob", AccountKind::Agent)).await.unwrap();
    ledger.transfer(transfer("fund-alice", "mint", "agent/alice", 100)).await.unwrap();
    ledger
}

pub(crate) async fn posted(ledger: &Ledger, id: &str) -> i128 {
    ledger.balance(&id.try_into().unwrap(), usd()).await.unwrap().map_or(0, |balance| balance.posted)
}

pub(crate) async fn available(ledger: &Ledger, id: &str) -> u128 {
    let balance = ledger.balance(&id.try_into().unwrap(), usd()).await.unwrap();
    balance.map_or(0, |balance| balance.available().units())
}

pub(crate) async fn all_events(store: &dyn EventStore) -> Vec<RecordedEvent> {
    store.read_all(Position::START, PageSize::new(PageSize::MAX)).await.unwrap()
}

/// What goes wrong at an append of a [`FlakyStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hiccup {
    Fine,
    Unavailable,
    UnconfirmedButDurable,
    UnconfirmedAndLost,
}

/// A store whose appends go wrong by a script, and that lives on; after the script all is fine.
#[derive(Debug)]
pub(crate) struct FlakyStore {
    pub(crate) inner: MemoryEventStore,
    script: Mutex<VecDeque<Hiccup>>,
}

impl FlakyStore {
    pub(crate) fn new(script: impl IntoIterator<Item = Hiccup>) -> Arc<Self> {
        Arc::new(Self { inner: MemoryEventStore::new(), script: Mutex::new(script.into_iter().collect()) })
    }

    pub(crate) fn then(&self, hiccup: Hiccup) {
        self.script.lock().unwrap().push_back(hiccup);
    }
}

#[async_trait]
impl EventStore for FlakyStore {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        let hiccup = self.script.lock().unwrap().pop_front().unwrap_or(Hiccup::Fine);
        match hiccup {
            Hiccup::Fine => self.inner.append(batch).await,
            Hiccup::Unavailable => Err(AppendError::Unavailable { source: "busy".into() }),
            Hiccup::UnconfirmedAndLost => Err(AppendError::Unconfirmed { source: "cut off".into() }),
            Hiccup::UnconfirmedButDurable => {
                self.inner.append(batch).await?;
                Err(AppendError::Unconfirmed { source: "cut off".into() })
            }
        }
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_stream(stream, after, page).await
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

/// When the store dies at an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dies {
    Before,
    After,
}

/// A store that dies at one append, either before it is durable or after: the writer is not told which.
#[derive(Debug)]
pub(crate) struct DyingStore {
    pub(crate) inner: MemoryEventStore,
    left: AtomicUsize,
    dies: Dies,
}

impl DyingStore {
    pub(crate) fn new(inner: MemoryEventStore, appends: usize, dies: Dies) -> Arc<Self> {
        Arc::new(Self { inner, left: AtomicUsize::new(appends), dies })
    }
}

#[async_trait]
impl EventStore for DyingStore {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        let left = self.left.load(Ordering::SeqCst);
        if left > 0 {
            self.left.store(left - 1, Ordering::SeqCst);
            return self.inner.append(batch).await;
        }
        if self.dies == Dies::After {
            // What follows the last append finds a store that is closed, as a killed process would.
            let _ = self.inner.append(batch).await;
        }
        Err(AppendError::Closed)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_stream(stream, after, page).await
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
