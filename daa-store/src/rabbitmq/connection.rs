//! What all uses of a bus share.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use daa_core::bus::{BusError, BusHealth, BusState};
use daa_core::clock::Clock;
use lapin::ExchangeKind;
use lapin::options::ExchangeDeclareOptions;
use lapin::types::FieldTable;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::link::{ANSWER_WITHIN, Link, Session, answered};
use super::names::Names;
use super::options::RabbitOptions;
use super::wire::short;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) link: Link,
    pub(super) names: Names,
    pub(super) options: RabbitOptions,
    pub(super) clock: Arc<dyn Clock>,
    /// Where answers go on when those who gave them are gone.
    pub(super) runtime: Handle,
    /// Which dead letters were driven again, and up to where that was read.
    pub(super) redriven: Mutex<Redriven>,
    /// Names that nobody else uses begin with it.
    unique: String,
    made: AtomicU64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Redriven {
    pub(super) ids: BTreeSet<u64>,
    pub(super) read_to: u64,
}

impl Connection {
    pub(super) async fn open(options: RabbitOptions, clock: Arc<dyn Clock>) -> Result<Self, BusError> {
        let session = Session::open(&options).await?;
        let names = Names::new(options.name.clone(), options.partitions);
        make(&session, &names, &options).await?;
        let unique = unique_name(&session).await?;
        Ok(Self {
            link: Link::new(session, options.clone()),
            names,
            options,
            clock,
            runtime: Handle::current(),
            redriven: Mutex::default(),
            unique,
            made: AtomicU64::new(0),
        })
    }

    /// A name that nobody else uses.
    pub(super) fn unique(&self, prefix: &str) -> String {
        format!("{prefix}{}-{}", self.unique, self.made.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn open_or_closed(&self) -> Result<(), BusError> {
        if self.link.is_closed() { Err(BusError::Closed) } else { Ok(()) }
    }

    /// A session for one question.
    pub(super) async fn session(&self) -> Result<Arc<Session>, BusError> {
        let session = self.link.session(Instant::now() + ANSWER_WITHIN).await;
        session.ok_or_else(|| BusError::Broker {
            what: "connect to RabbitMQ",
            source: "there is no connection at present".into(),
        })
    }

    pub(super) async fn health(&self) -> BusHealth {
        BusHealth::new(self.state().await, self.link.made().saturating_sub(1))
    }

    async fn state(&self) -> BusState {
        if self.link.is_closed() {
            return BusState::Closed;
        }
        let unavailable = |reason: String| BusState::Unavailable { reason };
        let Some(session) = self.link.present() else {
            return unavailable("no connection to the broker".to_owned());
        };
        if session.connection.status().blocked() {
            return unavailable("the broker takes no messages, as it is short of memory or disk".to_owned());
        }
        let asked = Instant::now();
        match session.channel().await {
            Ok(_) => BusState::Ready { answered_in: asked.elapsed() },
            Err(error) => unavailable(error.to_string()),
        }
    }

    pub(super) fn close(&self) {
        self.link.closed.send_replace(true);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

/// The broker makes up a name for a queue that lives as long as this connection.
async fn unique_name(session: &Session) -> Result<String, BusError> {
    let channel = session.channel().await?;
    let options = lapin::options::QueueDeclareOptions::exclusive().auto_delete();
    let made = channel.queue_declare(short(""), options, FieldTable::default());
    let queue = answered("make up a name", timeout(ANSWER_WITHIN, made).await)?;
    let name = queue.name().as_str().trim_start_matches("amq.gen-").to_owned();
    let gone = channel.queue_delete(queue.name().clone(), lapin::options::QueueDeleteOptions::default());
    answered("make up a name", timeout(ANSWER_WITHIN, gone).await)?;
    Ok(name)
}

async fn make(session: &Session, names: &Names, options: &RabbitOptions) -> Result<(), BusError> {
    let channel = session.channel().await?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let exchange = short(names.exchange());
    let made = channel.exchange_declare(exchange, ExchangeKind::Topic, durable, FieldTable::default());
    answered("make its exchange", timeout(ANSWER_WITHIN, made).await)?;
    super::queues::agree(&channel, names).await?;
    super::stream::make(&channel, &names.dead(), options).await?;
    if options.history {
        super::stream::make(&channel, &names.history(), options).await?;
        super::queues::bind(&channel, &names.history(), &names.exchange(), "#").await?;
    }
    Ok(())
}
