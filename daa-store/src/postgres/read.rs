//! Reads pages of events, and checks that they are the ones that were written.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_core::event::{PageSize, Position, ReadAll, ReadError, RecordedEvent, Version};
use daa_core::id::{EventKind, StreamId};
use deadpool_postgres::{Client, Pool};
use tokio::time::{Instant, sleep};
use tokio_postgres::Row;

use super::connection::{self, give_back, in_time};
use super::engine::{Failure, Meaning};
use super::log::owner;
use super::names::{Names, OnPage};
use super::options::PostgresOptions;
use super::schema;
use crate::checksum::checksum;

/// The wait before a read is tried again on another connection.
const BACKOFF: Duration = Duration::from_millis(20);

/// A page ends where its payloads would be too large together; the first event is always on it.
const ALL: &str = "
    SELECT position, stream, version, at, checksum, kind, payload FROM (
        SELECT position, stream, version, at, checksum, kind, payload,
            sum(octet_length(payload)) OVER (ORDER BY position) - octet_length(payload) AS before
        FROM events WHERE position > $1 AND position <= $1 + $2
    ) page WHERE before < $3 ORDER BY position";
const STREAM: &str = concat!(
    "WITH writes AS (",
    super::schema::writes!(stream: "(SELECT id FROM streams WHERE name = $4)", owner: "$5", after: "$1::bigint", last: "($1::bigint + $2::bigint)"),
    ")
    SELECT position, stream, version, at, checksum, kind, payload FROM (
        SELECT e.position, e.stream, e.version, e.at, e.checksum, e.kind, e.payload,
            sum(octet_length(e.payload)) OVER (ORDER BY e.version) - octet_length(e.payload) AS before
        FROM writes w CROSS JOIN LATERAL (
            SELECT * FROM events f WHERE f.owner = $5 AND f.position >= w.first AND f.position <= w.last
            ORDER BY f.position LIMIT $2
        ) e
    ) page WHERE before < $3 ORDER BY version"
);

/// Reads on the connections of a pool. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pool: Pool,
    names: Arc<Names>,
    /// How long a read goes on trying while the server is away.
    patience: Duration,
    /// How long what is asked on a connection may take, before that is given up.
    limit: Duration,
}

impl Reader {
    pub(super) fn new(pool: Pool, options: &PostgresOptions) -> Self {
        let (patience, limit) = (options.acquire, connection::limit(options));
        Self { pool, names: Arc::default(), patience, limit }
    }

    /// The same on the connections of another pool.
    pub(super) fn beside(&self, pool: Pool) -> Self {
        Self { pool, ..self.clone() }
    }

    pub(super) const fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(super) const fn limit(&self) -> Duration {
        self.limit
    }

    pub(super) async fn head(&self) -> Result<Position, ReadError> {
        let patience = self.patience();
        loop {
            match self.try_head().await {
                Err(failure) if patience.outlasts(&failure).await => {}
                done => return done.map_err(Failure::read_error),
            }
        }
    }

    async fn try_head(&self) -> Result<Position, Failure> {
        self.head_on(self.pool.get().await?).await
    }

    /// The same on this connection, and without another try.
    pub(super) async fn head_on(&self, client: Client) -> Result<Position, Failure> {
        let head = in_time(self.limit, async {
            let head = client.prepare_cached(schema::HEAD).await?;
            schema::head_in(client.query_opt(&head, &[]).await?.as_ref())
        });
        let head = head.await;
        give_back(client, head)
    }

    /// For one call.
    pub(super) fn patience(&self) -> Patience {
        Patience { until: Instant::now() + self.patience }
    }

    pub(super) async fn stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let Some(start) = start(after.get(), page) else { return Ok(Vec::new()) };
        of_stream(self.page(Query::Stream(stream), start, page).await?, stream, after)
    }

    /// The same on this connection, and without another try.
    pub(super) async fn stream_on(
        &self,
        client: Client,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let Some(start) = start(after.get(), page) else { return Ok(Vec::new()) };
        let events = self.page_on(client, Query::Stream(stream), start, page).await;
        of_stream(events.map_err(Failure::read_error)??, stream, after)
    }

    /// The events of all streams on this connection, without another try.
    pub(super) async fn all_on(
        &self,
        client: Client,
        after: Position,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let Some(start) = start(after.get(), page) else { return Ok(Vec::new()) };
        let events = self.page_on(client, Query::All, start, page).await;
        of_all(events.map_err(Failure::read_error)??, after)
    }

    async fn page(
        &self,
        query: Query<'_>,
        start: i64,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let patience = self.patience();
        loop {
            match self.try_page(query, start, page).await {
                Err(failure) if patience.outlasts(&failure).await => {}
                Err(failure) => return Err(failure.read_error()),
                Ok(events) => return events,
            }
        }
    }

    /// Of the inner results the first is the engine's, the second that of the content.
    async fn try_page(
        &self,
        query: Query<'_>,
        start: i64,
        page: PageSize,
    ) -> Result<Result<Vec<RecordedEvent>, ReadError>, Failure> {
        self.page_on(self.pool.get().await?, query, start, page).await
    }

    async fn page_on(
        &self,
        client: Client,
        query: Query<'_>,
        start: i64,
        page: PageSize,
    ) -> Result<Result<Vec<RecordedEvent>, ReadError>, Failure> {
        let events = in_time(self.limit, self.ask(&client, query, start, page)).await;
        give_back(client, events)
    }

    async fn ask(
        &self,
        client: &Client,
        query: Query<'_>,
        start: i64,
        page: PageSize,
    ) -> Result<Result<Vec<RecordedEvent>, ReadError>, Failure> {
        let rows = query.rows(client, start, page).await?;
        let streams = rows.iter().map(|row| row.try_get(1)).collect::<Result<Vec<i64>, _>>()?;
        match self.names.of(client, streams.into_iter()).await? {
            Ok(names) => rows.iter().map(|row| event(row, &names)).collect(),
            Err(corrupt) => Ok(Err(corrupt)),
        }
    }
}

/// How long what met a dead connection, or a server that is away, is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    until: Instant,
}

impl Patience {
    /// Whether it is worth another try, after a moment.
    pub(super) async fn outlasts(self, failure: &Failure) -> bool {
        let goes_on = failure.meaning() == Meaning::Away && Instant::now() + BACKOFF < self.until;
        if goes_on {
            sleep(BACKOFF).await;
        }
        goes_on
    }
}

#[derive(Clone, Copy)]
enum Query<'a> {
    All,
    Stream(&'a StreamId),
}

impl Query<'_> {
    async fn rows(self, client: &Client, start: i64, page: PageSize) -> Result<Vec<Row>, Failure> {
        let (count, bytes) = (page.get() as i64, PageSize::MAX_BYTES as i64);
        Ok(match self {
            Self::All => {
                let all = client.prepare_cached(ALL).await?;
                client.query(&all, &[&start, &count, &bytes]).await?
            }
            Self::Stream(stream) => {
                let of_stream = client.prepare_cached(STREAM).await?;
                let (name, owner) = (stream.as_str(), owner(stream));
                client.query(&of_stream, &[&start, &count, &bytes, &name, &owner]).await?
            }
        })
    }
}

#[async_trait]
impl ReadAll for Reader {
    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        let Some(start) = start(after.get(), page) else { return Ok(Vec::new()) };
        of_all(self.page(Query::All, start, page).await?, after)
    }
}

fn of_stream(
    events: Vec<RecordedEvent>,
    stream: &StreamId,
    after: Version,
) -> Result<Vec<RecordedEvent>, ReadError> {
    in_order(&events, after.get(), "version", |event| event.version.get())?;
    match events.iter().find(|event| event.stream != *stream) {
        Some(event) => Err(damaged(event.position.get(), "has the number of another stream")),
        None => Ok(events),
    }
}

fn of_all(events: Vec<RecordedEvent>, after: Position) -> Result<Vec<RecordedEvent>, ReadError> {
    in_order(&events, after.get(), "position", |event| event.position.get())?;
    Ok(events)
}

/// Where a page begins; `None` where there can be none.
fn start(after: u64, page: PageSize) -> Option<i64> {
    let start = i64::try_from(after).ok()?;
    start.checked_add(page.get() as i64).map(|_| start)
}

/// The event in a row; of the inner results the first is the engine's, the second that of the content.
fn event(row: &Row, names: &OnPage) -> Result<Result<RecordedEvent, ReadError>, Failure> {
    let (position, stream, version): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (at, sum, kind): (i64, i64, &str) = (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
    let payload: &[u8] = row.try_get(6)?;
    let (position, version) = (position.cast_unsigned(), version.cast_unsigned());
    let at = Timestamp::from_millis(at.cast_unsigned());
    let Some(stream) = names.get(&stream) else {
        return Ok(Err(damaged(position, "belongs to a stream without a name")));
    };
    if i64::from(checksum(position, version, at, stream.as_str(), kind, payload)) != sum {
        return Ok(Err(damaged(position, "does not have the content that was written")));
    }
    let Ok(kind) = EventKind::new(kind) else {
        return Ok(Err(damaged(position, "has a kind that is none")));
    };
    let payload = Bytes::copy_from_slice(payload);
    let (position, version) = (Position::new(position), Version::new(version));
    Ok(Ok(RecordedEvent::new(position, stream.clone(), version, kind, at, payload)))
}

fn in_order(
    events: &[RecordedEvent],
    after: u64,
    what: &str,
    number: impl Fn(&RecordedEvent) -> u64,
) -> Result<(), ReadError> {
    let expected = after.saturating_add(1)..;
    match events.iter().zip(expected).find(|(event, expected)| number(event) != *expected) {
        Some((event, expected)) => {
            let detail =
                format!("{what} {expected} is missing before the event at position {}", event.position);
            Err(ReadError::Corrupt { detail })
        }
        None => Ok(()),
    }
}

fn damaged(position: u64, what: &str) -> ReadError {
    ReadError::Corrupt { detail: format!("the event at position {position} {what}") }
}
