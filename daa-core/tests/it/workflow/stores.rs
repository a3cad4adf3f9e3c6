//! Stores that fail, or take their time.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, PageSize, Position, ReadAll, ReadError, RecordedEvent,
    Subscription, Version,
};
use daa_core::id::StreamId;
use tokio::sync::watch;

/// What happens on the way to a store and back. `false`: the request, or the answer, is lost.
#[async_trait]
pub(crate) trait Weather: fmt::Debug + Send + Sync + 'static {
    async fn request(&self) -> bool {
        true
    }

    async fn answer(&self) -> bool {
        true
    }

    /// Before subscribers hear of events.
    async fn news(&self) {}

    /// The request for a stream.
    async fn read(&self, _: &StreamId) -> bool {
        self.request().await
    }

    /// The events of a stream on their way back.
    fn brought(&self, _: &StreamId, _: usize) {}

    /// The request of an append.
    async fn write(&self) -> bool {
        self.request().await
    }
}

/// A store behind some weather.
#[derive(Debug)]
pub(crate) struct Behind<W> {
    store: Arc<dyn EventStore>,
    weather: Arc<W>,
}

impl<W> Clone for Behind<W> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), weather: self.weather.clone() }
    }
}

impl<W: Weather> Behind<W> {
    pub(crate) fn new(weather: W, store: Arc<dyn EventStore>) -> Arc<Self> {
        Arc::new(Self { store, weather: Arc::new(weather) })
    }

    async fn reach(&self) -> Result<(), ReadError> {
        let lost = || ReadError::Unavailable { source: "the store is away".into() };
        if self.weather.request().await { Ok(()) } else { Err(lost()) }
    }
}

#[async_trait]
impl<W: Weather> ReadAll for Behind<W> {
    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.reach().await?;
        self.store.read_all(after, page).await
    }
}

#[async_trait]
impl<W: Weather> EventStore for Behind<W> {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        if !self.weather.write().await {
            return Err(AppendError::Unavailable { source: "the store is away".into() });
        }
        let appended = self.store.append(batch).await;
        if !self.weather.answer().await {
            return Err(AppendError::Unconfirmed { source: "the answer was lost".into() });
        }
        appended
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let lost = |what: &str| ReadError::Unavailable { source: what.into() };
        if !self.weather.read(stream).await {
            return Err(lost("the store is away"));
        }
        let read = self.store.read_stream(stream, after, page).await;
        if let Ok(page) = &read {
            self.weather.brought(stream, page.len());
        }
        if self.weather.answer().await { read } else { Err(lost("the answer was lost")) }
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        ReadAll::read_all(self, after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.reach().await?;
        let mut inner = self.store.subscribe(after).await?;
        let (head, heads) = watch::channel(self.store.head().await?);
        let weather = self.weather.clone();
        tokio::spawn(async move {
            while let Ok(Some(event)) = inner.next().await {
                weather.news().await;
                if head.is_closed() {
                    return;
                }
                head.send_if_modified(|head| {
                    let ahead = event.position > *head;
                    *head = (*head).max(event.position);
                    ahead
                });
            }
        });
        Ok(Subscription::new(Arc::new(self.clone()), heads, after))
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.reach().await?;
        self.store.head().await
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        self.store.erase(stream, up_to).await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

pub(crate) async fn thawed(ice: &watch::Receiver<bool>) {
    let mut ice = ice.clone();
    // Whoever held the ice may be gone, and it with them.
    let _ = ice.wait_for(|frozen| !frozen).await;
}

/// Nothing gets through while it is cold: neither requests nor answers.
#[derive(Debug)]
pub(crate) struct Ice(pub(crate) watch::Receiver<bool>);

#[async_trait]
impl Weather for Ice {
    async fn request(&self) -> bool {
        thawed(&self.0).await;
        true
    }

    async fn answer(&self) -> bool {
        thawed(&self.0).await;
        true
    }
}

/// Requests arrive, and answers come only when it has thawed.
#[derive(Debug)]
pub(crate) struct IcyAnswers(pub(crate) watch::Receiver<bool>);

#[async_trait]
impl Weather for IcyAnswers {
    async fn answer(&self) -> bool {
        thawed(&self.0).await;
        true
    }
}

/// Appends arrive only when it has thawed.
#[derive(Debug)]
pub(crate) struct IcyWrites(pub(crate) watch::Receiver<bool>);

#[async_trait]
impl Weather for IcyWrites {
    async fn write(&self) -> bool {
        thawed(&self.0).await;
        true
    }
}

/// Whoever follows the log hears of events only when it has thawed.
#[derive(Debug)]
pub(crate) struct IcyLog(pub(crate) watch::Receiver<bool>);

#[async_trait]
impl Weather for IcyLog {
    async fn news(&self) {
        thawed(&self.0).await;
    }
}

/// One stream cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable(pub(crate) &'static str);

#[async_trait]
impl Weather for Unreadable {
    async fn read(&self, stream: &StreamId) -> bool {
        stream.as_str() != self.0
    }
}

/// What is lost at present.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Storm {
    #[default]
    None,
    Requests,
    Answers,
}

#[derive(Debug)]
pub(crate) struct Storms(pub(crate) watch::Receiver<Storm>);

#[async_trait]
impl Weather for Storms {
    async fn request(&self) -> bool {
        *self.0.borrow() != Storm::Requests
    }

    async fn answer(&self) -> bool {
        *self.0.borrow() != Storm::Answers
    }
}
