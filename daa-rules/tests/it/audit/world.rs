//! An agent whose actions are audited: all in memory, and the same in every run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{Action, Authorized, Context, ExecuteError, Executor, Gate, Outcome, SaltKey};
use daa_core::clock::{ManualClock, Timestamp};
use daa_core::event::{EventStore, MemoryEventStore};
use daa_core::seed::Seed;
use daa_rules::audit::{
    AuditError, AuditLog, AuditOptions, AuditParts, CheckpointKeeper, KeeperInMemory, KeyUse, LogFile,
    LogReader, MemoryTiles, SecretKey, StorageError, TileStore, Trust,
};
use daa_rules::{RulesEngine, Ruleset};
use serde_json::json;
use tokio::sync::oneshot;

pub(crate) const NAME: &str = "treasury";
const RULES: &str = "[[rule]]\nid = 'small'\non = 'pay'\nwhen = 'action.params.amount <= 100'\neffect = 'permit'\n\
                     [[rule]]\nid = 'large'\non = 'pay'\nwhen = 'action.params.amount > 1000'\neffect = 'escalate'\n\
                     reason = 'somebody has to look at it'\n";

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed("example.org/treasury".parse().unwrap(), KeyUse::Log, &[seed; 32])
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) store: Arc<MemoryEventStore>,
    pub(crate) tiles: Arc<MemoryTiles>,
    pub(crate) keeper: Arc<KeeperInMemory>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) key: Arc<SecretKey>,
    pub(crate) gate: Gate,
}

struct Payer;

#[async_trait]
impl Executor for Payer {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        if action.params()["to"] == "nobody" {
            return Err(ExecuteError::rejected("nobody has no account"));
        }
        Ok(Outcome::new(json!({ "receipt": format!("for {}", action.params()["to"]) })))
    }
}

pub(crate) fn gate(store: Arc<dyn EventStore>, clock: Arc<ManualClock>) -> daa_core::action::GateBuilder {
    let rules = RulesEngine::new(Ruleset::from_toml(RULES).unwrap());
    Gate::builder(store, clock).with_policy(Arc::new(rules))
}

pub(crate) fn payment(id: &str, to: &str, amount: u64) -> Action {
    let action = Action::new(id.parse().unwrap(), "pay".parse().unwrap(), "alice".parse().unwrap()).unwrap();
    action.with_params(json!({ "to": to, "amount": amount })).unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        let store = Arc::new(MemoryEventStore::new());
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let salts = SaltKey::from_seed(&Seed::from_u64(7));
        let gate = gate(store.clone(), clock.clone()).with_salts(salts).build();
        let (tiles, keeper) = (Arc::new(MemoryTiles::new()), Arc::new(KeeperInMemory::new()));
        Self { store, tiles, keeper, clock, key: Arc::new(key(1)), gate }
    }

    /// Asks for a payment, whatever comes of it.
    pub(crate) async fn pay(&self, id: &str, to: &str, amount: u64) {
        self.clock.advance(Duration::from_millis(10));
        let context = Context::new().with("purpose", "rent of the flat in Mill Lane");
        let _ = self.gate.submit(payment(id, to, amount), context, &Payer).await;
    }

    /// So many payments that take effect: three records each.
    pub(crate) async fn pay_often(&self, label: &str, times: usize) {
        for number in 0..times {
            self.pay(&format!("{label}-{number}"), "bob", 10).await;
        }
    }

    pub(crate) fn parts(&self) -> AuditParts {
        AuditParts {
            store: self.store.clone(),
            clock: self.clock.clone(),
            tiles: self.tiles.clone(),
            keeper: self.keeper.clone(),
            key: self.key.clone(),
        }
    }

    pub(crate) async fn open(&self) -> Result<AuditLog, AuditError> {
        AuditLog::open(NAME, self.parts(), AuditOptions::new()).await
    }

    pub(crate) async fn open_with(
        &self,
        store: Arc<dyn EventStore>,
        tiles: Arc<dyn TileStore>,
        keeper: Arc<dyn CheckpointKeeper>,
    ) -> Result<AuditLog, AuditError> {
        let parts = AuditParts { store, tiles, keeper, ..self.parts() };
        AuditLog::open(NAME, parts, AuditOptions::new()).await
    }

    /// The same world, in which the log has another key.
    pub(crate) fn with_key(&self, seed: u8) -> Self {
        Self { key: Arc::new(key(seed)), ..self.clone() }
    }

    pub(crate) fn reader(&self) -> LogReader {
        LogReader::new(self.tiles.clone())
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::in_log(self.key.public_key().clone()).unwrap()
    }
}

/// Another store with the same events, as far as `keep` leaves them: what somebody with access to the disk can make.
pub(crate) async fn rewritten(
    store: &MemoryEventStore,
    keep: impl Fn(daa_core::event::RecordedEvent) -> Option<daa_core::event::RecordedEvent>,
) -> MemoryEventStore {
    use daa_core::event::{Batch, ExpectedVersion, NewEvent, PageSize, Position};
    let copy = MemoryEventStore::new();
    let mut after = Position::START;
    loop {
        let page = store.read_all(after, PageSize::default()).await.unwrap();
        let Some(last) = page.last() else { return copy };
        after = last.position;
        for event in page.into_iter().filter_map(&keep) {
            let new = NewEvent::new(event.kind, event.at, event.payload);
            let batch = Batch::new().with_event(event.stream, ExpectedVersion::Any, new);
            copy.append(batch).await.unwrap();
        }
    }
}

/// Tiles that fail, or wait, where a test wants it.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) inner: Arc<dyn TileStore>,
    /// The next write of this file fails.
    fails: Mutex<Option<&'static str>>,
    /// The next write of this file says that it is there, and waits.
    waits: Mutex<Option<Wait>>,
}

#[derive(Debug)]
struct Wait {
    path: &'static str,
    arrived: oneshot::Sender<()>,
    go: oneshot::Receiver<()>,
}

impl Staged {
    pub(crate) fn over(inner: Arc<dyn TileStore>) -> Arc<Self> {
        Arc::new(Self { inner, fails: Mutex::new(None), waits: Mutex::new(None) })
    }

    pub(crate) fn fail_at(&self, path: &'static str) {
        *self.fails.lock().unwrap() = Some(path);
    }

    /// Holds the next write of a file up: the first tells when it is there, the second lets it go on.
    pub(crate) fn hold_at(&self, path: &'static str) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((arrived, seen), (goes, go)) = (oneshot::channel(), oneshot::channel());
        *self.waits.lock().unwrap() = Some(Wait { path, arrived, go });
        (seen, goes)
    }
}

#[async_trait]
impl TileStore for Staged {
    async fn read(&self, path: &str) -> Result<Option<bytes::Bytes>, StorageError> {
        self.inner.read(path).await
    }

    async fn write(&self, files: Vec<LogFile>) -> Result<(), StorageError> {
        let has = |path: &str| files.iter().any(|file| file.path == path);
        if let Some(path) = self.fails.lock().unwrap().take_if(|path| has(path)) {
            return Err(StorageError::new(path, "the disk is full"));
        }
        let waits = self.waits.lock().unwrap().take_if(|wait| has(wait.path));
        if let Some(Wait { arrived, go, .. }) = waits {
            arrived.send(()).unwrap();
            go.await.unwrap();
        }
        self.inner.write(files).await
    }

    async fn remove(&self, under: &str) -> Result<(), StorageError> {
        self.inner.remove(under).await
    }
}
