//! The connection to the server, and the streams of a bus on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context, ErrorCode, context};
use async_nats::{Client, ConnectOptions, Event};
use daa_core::bus::{BusError, BusHealth, BusState, MAX_PAGE};
use daa_core::clock::Clock;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::names::Names;
use super::options::NatsOptions;
use crate::bus::broker;

/// How long one question to the server may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A connection on which nothing comes back for two of these is dead.
const PING_EVERY: Duration = Duration::from_secs(1);
/// The longest wait before the next attempt to connect.
const RECONNECT_WITHIN: Duration = Duration::from_millis(500);
/// How long dead letters are kept.
const DEAD_LETTERS_FOR: Duration = Duration::from_secs(90 * 24 * 3600);
/// How many dead letters are kept.
const MAX_DEAD_LETTERS: i64 = 100 * MAX_PAGE as i64;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) names: Names,
    pub(super) options: NatsOptions,
    pub(super) clock: Arc<dyn Clock>,
    /// Where answers go on when those who gave them are gone.
    pub(super) runtime: Handle,
    /// How often a connection was made.
    pub(super) connects: watch::Sender<u64>,
    pub(super) closed: watch::Sender<bool>,
    /// Names that nobody else uses begin with it.
    unique: String,
    made: AtomicU64,
}

impl Connection {
    pub(super) async fn open(options: NatsOptions, clock: Arc<dyn Clock>) -> Result<Self, BusError> {
        let connects = watch::Sender::new(0);
        let count = connects.clone();
        let client = ConnectOptions::new()
            // They are made of parts that are checked.
            .skip_subject_validation(true)
            .ping_interval(PING_EVERY)
            .connection_timeout(ANSWER_WITHIN)
            .request_timeout(Some(ANSWER_WITHIN))
            .max_reconnects(None)
            .reconnect_delay_callback(|attempt| {
                let doublings = u32::try_from(attempt).unwrap_or(u32::MAX).min(6);
                Duration::from_millis(10 << doublings).min(RECONNECT_WITHIN)
            })
            .event_callback(move |event| {
                let count = count.clone();
                async move { note(&event, &count) }
            });
        let client = options.connect(client).await?;
        let context = context::ContextBuilder::new()
            .timeout(ANSWER_WITHIN)
            .ack_timeout(ANSWER_WITHIN)
            .build(client.clone());
        let names = Names::new(options.name.clone(), options.partitions);
        let unique = client.new_inbox().replace(['.', '_'], "");
        let connection = Self {
            client,
            context,
            names,
            options,
            clock,
            runtime: Handle::current(),
            connects,
            closed: watch::Sender::new(false),
            unique,
            made: AtomicU64::new(0),
        };
        connection.make_streams().await?;
        Ok(connection)
    }

    async fn make_streams(&self) -> Result<(), BusError> {
        let failed = |error: context::CreateStreamError| broker("make its streams")(error.into());
        let messages = stream::Config {
            name: self.names.stream(),
            subjects: self.names.stream_subjects(),
            description: Some(self.terms()),
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            // A message that somebody still wants is never given up for a new one.
            discard: DiscardPolicy::New,
            max_bytes: i64::try_from(self.options.max_bytes.get()).unwrap_or(i64::MAX),
            max_age: self.options.max_age,
            duplicate_window: self.options.duplicate_window.min(self.options.max_age),
            num_replicas: self.options.replicas,
            ..stream::Config::default()
        };
        let dead = stream::Config {
            name: self.names.dead_stream(),
            subjects: self.names.dead_subjects(),
            max_bytes: messages.max_bytes,
            max_messages: MAX_DEAD_LETTERS,
            max_age: DEAD_LETTERS_FOR,
            discard: DiscardPolicy::Old,
            duplicate_window: self.options.duplicate_window,
            num_replicas: self.options.replicas,
            ..stream::Config::default()
        };
        let stream = self.context.get_or_create_stream(messages).await.map_err(failed)?;
        let found = stream.cached_info().config.description.clone().unwrap_or_default();
        if found != self.terms() {
            let told = format!("the stream {} is {found:?}, not {:?}", self.names.stream(), self.terms());
            return Err(broker("make its streams")(told.into()));
        }
        self.context.get_or_create_stream(dead).await.map_err(failed)?;
        Ok(())
    }

    /// What everybody who uses the bus must agree on.
    fn terms(&self) -> String {
        format!("daa-bus/1 partitions={}", self.options.partitions)
    }

    /// A name that nobody else uses.
    pub(super) fn unique(&self, prefix: &str) -> String {
        format!("{prefix}{}-{}", self.unique, self.made.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    pub(super) fn open_or_closed(&self) -> Result<(), BusError> {
        if self.is_closed() { Err(BusError::Closed) } else { Ok(()) }
    }

    pub(super) async fn health(&self) -> BusHealth {
        let reconnects = self.connects.borrow().saturating_sub(1);
        BusHealth::new(self.state().await, reconnects)
    }

    async fn state(&self) -> BusState {
        if self.is_closed() {
            return BusState::Closed;
        }
        let unavailable = |reason: String| BusState::Unavailable { reason };
        if self.client.connection_state() != State::Connected {
            return unavailable("no connection to the server".to_owned());
        }
        let asked = Instant::now();
        match timeout(ANSWER_WITHIN, self.context.get_stream(self.names.stream())).await {
            Ok(Ok(_)) => BusState::Ready { answered_in: asked.elapsed() },
            Ok(Err(error)) => unavailable(error.to_string()),
            Err(_) => unavailable(format!("no answer within {ANSWER_WITHIN:?}")),
        }
    }

    pub(super) async fn close(&self) -> Result<(), BusError> {
        self.closed.send_replace(true);
        if self.client.connection_state() != State::Connected {
            return Ok(());
        }
        let flushed = timeout(ANSWER_WITHIN, self.client.flush()).await;
        match flushed {
            Ok(flushed) => flushed.map_err(|error| broker("send what was answered last")(error.into())),
            Err(error) => Err(broker("send what was answered last")(error.into())),
        }
    }
}

fn note(event: &Event, connects: &watch::Sender<u64>) {
    match event {
        Event::Connected => {
            connects.send_modify(|connects| *connects += 1);
            tracing::info!("connected to NATS");
        }
        Event::Disconnected => tracing::warn!("the connection to NATS was lost"),
        // Details may repeat what the server was told; the connection itself goes on.
        Event::SlowConsumer(_) => tracing::warn!("NATS messages were dropped before they were read"),
        Event::ServerError(_) | Event::ClientError(_) => tracing::warn!("NATS reported an error"),
        Event::LameDuckMode | Event::Draining | Event::Closed => {}
    }
}

/// Whether a server says that something does not exist.
pub(super) fn is_missing(error: &jetstream::Error) -> bool {
    matches!(error.error_code(), ErrorCode::CONSUMER_NOT_FOUND | ErrorCode::STREAM_NOT_FOUND)
}
