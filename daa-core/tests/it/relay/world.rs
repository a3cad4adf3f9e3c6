//! A store, a bus that does as it is told, and relays between them.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::bus::*;
use daa_core::clock::{Clock, Timestamp, VirtualClock};
use daa_core::event::*;
use daa_core::relay::*;
use daa_core::shutdown::{Shutdown, ShutdownTrigger};
use tokio::task::JoinHandle;

/// What the bus does with a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Take,
    /// The broker is away, and nothing is published.
    Refuse,
    /// It is published, and the confirmation is lost.
    TakeSilently,
    /// No answer ever comes, and nothing is published.
    Hang,
    /// It is closed.
    Close,
}

/// Keeps all that is published, in order, and does as it is told.
#[derive(Debug)]
pub(crate) struct ScriptedBus {
    script: Mutex<VecDeque<Does>>,
    then: Mutex<Does>,
    taken: Mutex<Vec<Message>>,
    pub(crate) asked: AtomicU64,
}

impl ScriptedBus {
    pub(crate) fn new(script: impl IntoIterator<Item = Does>, then: Does) -> Arc<Self> {
        let script = Mutex::new(script.into_iter().collect());
        Arc::new(Self { script, then: Mutex::new(then), taken: Mutex::default(), asked: AtomicU64::new(0) })
    }

    pub(crate) fn takes_all() -> Arc<Self> {
        Self::new([], Does::Take)
    }

    pub(crate) fn now_does(&self, does: Does) {
        *self.then.lock().unwrap() = does;
    }

    pub(crate) fn taken(&self) -> Vec<Message> {
        self.taken.lock().unwrap().clone()
    }

    pub(crate) fn payloads(&self) -> Vec<String> {
        self.taken().iter().map(payload).collect()
    }

    /// For each key the payloads in the order in which they came first; copies must have the id of the first.
    pub(crate) fn by_key(&self) -> BTreeMap<String, Vec<String>> {
        let (mut ids, mut seen) = (BTreeMap::new(), BTreeMap::<String, Vec<String>>::new());
        for message in self.taken() {
            let (id, key) = (message.id().unwrap().clone(), message.key().unwrap().to_string());
            let known = ids.entry(payload(&message)).or_insert_with(|| {
                seen.entry(key).or_default().push(payload(&message));
                id.clone()
            });
            assert_eq!(*known, id, "published again under another id");
        }
        seen
    }

    fn next(&self) -> Does {
        self.asked.fetch_add(1, Ordering::AcqRel);
        self.script.lock().unwrap().pop_front().unwrap_or(*self.then.lock().unwrap())
    }
}

pub(crate) fn payload(message: &Message) -> String {
    String::from_utf8(message.payload().to_vec()).unwrap()
}

const NOT_HERE: BusError = BusError::Unsupported { what: "anything but publishing" };

#[async_trait]
impl EventBus for ScriptedBus {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
    }

    async fn publish(&self, message: Message) -> Result<Published, BusError> {
        message.check()?;
        let away = || BusError::Broker { what: "publish", source: "it is away".into() };
        // As on a wire: others go on meanwhile.
        tokio::task::yield_now().await;
        match self.next() {
            Does::Take => self.taken.lock().unwrap().push(message),
            Does::Refuse => return Err(away()),
            Does::TakeSilently => {
                self.taken.lock().unwrap().push(message);
                return Err(away());
            }
            Does::Hang => pending().await,
            Does::Close => return Err(BusError::Closed),
        }
        Ok(Published::default())
    }

    async fn subscribe(&self, _: SubscribeOptions) -> Result<Box<dyn Subscriber>, BusError> {
        Err(NOT_HERE)
    }

    async fn remove_group(&self, _: &GroupName) -> Result<(), BusError> {
        Err(NOT_HERE)
    }

    async fn request(&self, _: Message, _: Duration) -> Result<Message, BusError> {
        Err(NOT_HERE)
    }

    async fn reply(&self, _: &Message, _: Bytes) -> Result<(), BusError> {
        Err(NOT_HERE)
    }

    async fn dead_letters(&self, _: Option<DeadLetterId>, _: usize) -> Result<Vec<DeadLetter>, BusError> {
        Err(NOT_HERE)
    }

    async fn redrive(&self, _: DeadLetterId) -> Result<(), BusError> {
        Err(NOT_HERE)
    }

    async fn replay(
        &self,
        _: &TopicPattern,
        _: Option<BusPosition>,
        _: usize,
    ) -> Result<HistoryPage, BusError> {
        Err(NOT_HERE)
    }

    async fn health(&self) -> BusHealth {
        BusHealth::new(BusState::Ready { answered_in: Duration::ZERO }, 0)
    }

    async fn close(&self) -> Result<(), BusError> {
        Ok(())
    }
}

/// A clock of virtual time, which the runtime must have paused.
pub(crate) fn clock() -> Arc<VirtualClock> {
    Arc::new(VirtualClock::new(Timestamp::from_millis(1_000_000)))
}

pub(crate) fn event(at: Timestamp, payload: impl Into<String>) -> NewEvent {
    NewEvent::new("order.placed.v1".parse().unwrap(), at, payload.into().into())
}

pub(crate) async fn append(store: &dyn EventStore, at: Timestamp, stream: &str, payload: &str) -> Position {
    let batch = Batch::new().with_event(stream.parse().unwrap(), ExpectedVersion::Any, event(at, payload));
    store.append(batch).await.unwrap().last
}

/// Ten events each in three streams, in turns.
pub(crate) async fn orders(store: &dyn EventStore) -> BTreeMap<String, Vec<String>> {
    let mut expected = BTreeMap::<String, Vec<String>>::new();
    for number in 0..30 {
        let (stream, payload) = (format!("order/{}", number % 3), format!("{}-{}", number % 3, number / 3));
        append(store, Timestamp::from_millis(1_000_000), &stream, &payload).await;
        expected.entry(stream).or_default().push(payload);
    }
    expected
}

pub(crate) struct Running {
    pub(crate) monitor: RelayMonitor,
    trigger: ShutdownTrigger,
    pub(crate) task: JoinHandle<Result<(), RelayError>>,
}

impl Running {
    pub(crate) fn start(relay: Relay) -> Self {
        let monitor = relay.monitor();
        let (trigger, shutdown): (_, Shutdown) = ShutdownTrigger::new();
        Self { monitor, trigger, task: tokio::spawn(relay.run(shutdown)) }
    }

    pub(crate) async fn stop(self) -> RelayMonitor {
        self.trigger.trigger();
        self.task.await.unwrap().unwrap();
        self.monitor
    }

    /// As a process that is killed.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Waits until nothing is left to relay.
    pub(crate) async fn caught_up(&self) {
        until("the relay has caught up", async || {
            let status = self.monitor.status().await.unwrap();
            status.state == RelayState::Active && status.lag.events() == 0
        })
        .await;
    }
}

/// Waits, in virtual or in real time, until something is so.
pub(crate) async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), waiting)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

pub(crate) fn relay(
    holder: &str,
    store: &Arc<dyn EventStore>,
    bus: &Arc<ScriptedBus>,
    clock: &Arc<VirtualClock>,
) -> Relay {
    relay_with(holder, store, bus, clock, RelayOptions::default().with_batch(8))
}

pub(crate) fn relay_with(
    holder: &str,
    store: &Arc<dyn EventStore>,
    bus: &Arc<ScriptedBus>,
    clock: &Arc<VirtualClock>,
    options: RelayOptions,
) -> Relay {
    let clock: Arc<dyn Clock> = clock.clone();
    Relay::new("shop".parse().unwrap(), holder.parse().unwrap(), store.clone(), bus.clone(), clock, options)
        .unwrap()
}

pub(crate) async fn stream(store: &dyn EventStore, name: &str) -> Vec<RecordedEvent> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(Version::EMPTY, |event| event.version);
        let page = store.read_stream(&name.parse().unwrap(), after, PageSize::default()).await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}
