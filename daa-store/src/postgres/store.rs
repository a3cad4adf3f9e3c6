//! The store itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daa_core::clock::Timestamp;
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, PageSize, Position, ReadAll, ReadError, RecordedEvent,
    Subscription, Version,
};
use daa_core::id::StreamId;
use deadpool_postgres::Pool;
use tokio::sync::watch;

use super::connection::{Session, Statements};
use super::follow::{follow, tell};
use super::job::Job;
use super::options::PostgresOptions;
use super::read::Reader;
use super::recent::{Following, Recent};
use super::replica::{Replicas, StaleReads};
use super::schema::Unusable;
use super::writer::Writer;
use super::{connection, engine, erase};
use crate::head::Head;
use crate::open::OpenError;
use crate::queue::{Inlet, queue};

/// An [`EventStore`] in a schema of a PostgreSQL database, that any number of stores in any number of processes
/// may use at once. [The module](super) says how it keeps the order, and what happens when the server goes away.
///
/// # Guarantees
///
/// - An acknowledged append is committed with the durability of the server: on its disk with `synchronous_commit`
///   at its default, on its standbys too where the server is set up to wait for them.
/// - Every read and [`head`](EventStore::head) shows what any of the stores acknowledged before; a subscription
///   learns of it by notification, and within the [poll interval](PostgresOptions::with_poll_interval) where that
///   is lost.
/// - Damaged content is found by the checksum that each event has, and reported, never served.
/// - Reads of a server that is away wait for at most the
///   [acquire timeout](PostgresOptions::with_acquire_timeout), and those on a network that falls silent for the
///   [statement timeout](PostgresOptions::with_statement_timeout) and a second more; appends as long as the
///   [patience](PostgresOptions::with_patience) lasts.
///
/// It needs a tokio runtime with timers and I/O as long as it lives. Dropped without [`close`](EventStore::close),
/// it finishes the appends that were accepted in the background, if the runtime goes on.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use daa_core::event::EventStore;
/// use daa_store::postgres::{PostgresEventStore, PostgresOptions};
///
/// let options = PostgresOptions::new("postgres://daa@localhost/agents")?.with_schema("swarm")?;
/// let store = PostgresEventStore::open(options).await?;
/// println!("{} events", store.head().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PostgresEventStore {
    place: String,
    reader: Arc<Reader>,
    recent: Recent,
    replicas: Arc<Replicas>,
    appends: Inlet<Job>,
    head: watch::Receiver<Position>,
    closed: watch::Sender<bool>,
    /// Its sender is with the tasks: it is closed when the last has ended.
    alive: watch::Receiver<()>,
}

impl PostgresEventStore {
    /// Opens the store, and creates its schema, or brings it to this version, where that has to be done. Any number
    /// of programs may do so at once.
    ///
    /// # Errors
    /// [`OpenError`]: the schema has other tables, is of a version that this one cannot work on, or the server
    /// cannot be used.
    pub async fn open(options: PostgresOptions) -> Result<Self, OpenError> {
        let failed = |error| engine::open_error(options.place(), error);
        let engine_failed = |error| failed(Unusable::Engine(error));
        let mut session = Session::open(&options).await.map_err(engine_failed)?;
        let head = Head::new(session.set_up(&options).await.map_err(failed)?);
        let pool = connection::pool(&options, Statements::Ours).map_err(engine_failed)?;
        let (appends, jobs) = queue(options.queue.get());
        let (closed, (alive, watched)) = (watch::Sender::new(false), watch::channel(()));
        let recent = Recent::default();
        let writer = Writer::new(options.clone(), session, head.clone(), recent.clone());
        let telling = tell(options.clone(), pool.clone(), writer.appended());
        let reader = Reader::new(pool.clone(), &options);
        let replicas = Arc::new(Replicas::new(reader.clone(), &options).map_err(engine_failed)?);
        let following = follow(options.clone(), pool, replicas.clone(), head.clone(), closed.subscribe());
        let follower = head.follow();
        let writing = {
            let alive = alive.clone();
            async move {
                let _alive = alive;
                writer.run(jobs).await;
            }
        };
        let following = async move {
            let _alive = alive;
            following.await;
        };
        // The head is told by both, and closed when both have ended.
        tokio::spawn(writing);
        tokio::spawn(following);
        tokio::spawn(telling);
        Ok(Self {
            place: options.place(),
            reader: Arc::new(reader),
            recent,
            replicas,
            appends,
            head: follower,
            closed,
            alive: watched,
        })
    }

    /// Whether the server answers now: the readiness of this store.
    ///
    /// # Errors
    /// [`ReadError`] says what is wrong.
    pub async fn check(&self) -> Result<(), ReadError> {
        self.head().await.map(|_| ())
    }

    /// Reads that may be as far behind as this, so that replicas can take them off the primary:
    /// [`PostgresOptions::with_replica`] names them. A bound that is shorter than the
    /// [poll interval](PostgresOptions::with_poll_interval) costs a look at the primary for each read.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use daa_core::event::{PageSize, Position, ReadAll};
    /// use daa_store::postgres::{PostgresEventStore, PostgresOptions};
    ///
    /// let options = PostgresOptions::new("postgres://daa@primary/agents")?
    ///     .with_replica("postgres://daa@replica-1/agents")?
    ///     .with_replica("postgres://daa@replica-2/agents")?;
    /// let store = PostgresEventStore::open(options).await?;
    /// let report = store.stale(Duration::from_secs(5));
    /// let events = report.read_all(Position::START, PageSize::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn stale(&self, max_lag: Duration) -> StaleReads {
        StaleReads::new(self.replicas.clone(), max_lag, self.closed.subscribe())
    }

    /// The last position that was written by `time`, by the clock of the server: up to where the log is older than
    /// that. [`Position::START`] where nothing is, or where it is not known, since a program of an older version wrote
    /// it before the schema kept times.
    ///
    /// # Errors
    /// [`ReadError`] when the server cannot be read.
    ///
    /// # Cancel safety
    /// Safe: it only reads.
    pub async fn position_at(&self, time: Timestamp) -> Result<Position, ReadError> {
        if !self.is_open() {
            return Err(ReadError::Closed);
        }
        self.reader.position_at(time).await
    }

    /// Server, database and schema, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    fn is_open(&self) -> bool {
        self.appends.is_open()
    }

    fn stop(&self) {
        self.appends.close();
        self.closed.send_replace(true);
    }
}

#[async_trait]
impl EventStore for PostgresEventStore {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        batch.check()?;
        let (job, answer) = Job::new(batch);
        let size = job.megabytes();
        self.appends.send(job, size).await.map_err(|_| AppendError::Closed)?;
        let gone = "the writer has ended; it is not known what became of the append";
        answer.await.map_err(|_| AppendError::Unconfirmed { source: gone.into() })?
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        if !self.is_open() {
            return Err(ReadError::Closed);
        }
        self.reader.stream(stream, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        if !self.is_open() {
            return Err(ReadError::Closed);
        }
        self.reader.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        if !self.is_open() {
            return Err(ReadError::Closed);
        }
        let following = Following { recent: self.recent.clone(), reader: self.reader.clone() };
        Ok(Subscription::new(Arc::new(following), self.head.clone(), after))
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        if !self.is_open() {
            return Err(AppendError::Closed);
        }
        let _erasing = self.recent.until_erased();
        erase::erase(&self.reader, stream, up_to).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        if !self.is_open() {
            return Err(ReadError::Closed);
        }
        self.reader.head().await
    }

    async fn now(&self) -> Result<Option<Timestamp>, ReadError> {
        if !self.is_open() {
            return Err(ReadError::Closed);
        }
        self.reader.now().await.map(Some)
    }

    async fn close(&self) {
        self.stop();
        let mut alive = self.alive.clone();
        // Fails when the tasks have ended, and never succeeds: nothing is sent.
        while alive.changed().await.is_ok() {}
        // A read that nobody polls may keep its connection for ever, so that is not waited for.
        self.reader.pool().close();
        self.recent.close();
        self.replicas.pools().for_each(Pool::close);
    }
}

impl Drop for PostgresEventStore {
    fn drop(&mut self) {
        self.stop();
    }
}
