//! Reading from replicas, no further behind than the caller allows.
//!
//! No clock but that of this process is used. The store looks now and then with which group the log of the primary
//! ends, and keeps when it asked. Groups become visible one after the other, on a replica too: one that has the group
//! that the primary ended with when it was asked a second ago shows everything that was acknowledged more than a second
//! ago. The token of the group tells whether it is the same group, and not one that took its place on a server that
//! went its own way.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::event::{PageSize, Position, ReadAll, ReadError, RecordedEvent, Version};
use daa_core::id::StreamId;
use deadpool_postgres::Client;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_postgres::GenericClient;

use super::connection::{self, give_back, in_time};
use super::engine::Failure;
use super::options::PostgresOptions;
use super::read::Reader;

const LAST: &str = "SELECT first, token, last FROM commits ORDER BY first DESC LIMIT 1";
/// A server that takes writes itself is no replica any more, whatever it has.
const HAS: &str = "
    SELECT pg_is_in_recovery() AND
        ($1::bigint IS NULL OR EXISTS (SELECT 1 FROM commits WHERE first = $1 AND token = $2))";
/// So many looks at the primary are kept; the older they are, the further apart.
const KEPT: usize = 128;
/// A replica that fails is left alone, twice as long each time.
const RESTS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// The group that the log of the primary ended with, if there was one, when it was asked at a moment.
#[derive(Clone, Copy, Debug)]
struct End {
    asked: Instant,
    group: Option<(i64, i64)>,
}

impl End {
    /// Whether a replica has it: then it shows all that was acknowledged before this was asked.
    async fn is_in(self, replica: &Client) -> Result<bool, Failure> {
        let (first, token) = self.group.unzip();
        let has = replica.prepare_cached(HAS).await?;
        Ok(replica.query_one(&has, &[&first, &token]).await?.try_get(0)?)
    }
}

#[derive(Debug)]
struct Replica {
    reader: Reader,
    place: String,
    /// Until when it is left alone, and for how long that was.
    rests: Mutex<Option<(Instant, Duration)>>,
}

impl Replica {
    fn is_fit(&self) -> bool {
        self.rests().is_none_or(|(until, _)| until <= Instant::now())
    }

    fn rest(&self) {
        let mut rests = self.rests();
        let wait = rests.map_or(RESTS.0, |(_, wait)| (wait * 2).min(RESTS.1));
        *rests = Some((Instant::now() + wait, wait));
    }

    fn rests(&self) -> MutexGuard<'_, Option<(Instant, Duration)>> {
        self.rests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The replicas of a store, and what is known of its primary.
#[derive(Debug)]
pub(super) struct Replicas {
    primary: Reader,
    all: Vec<Replica>,
    /// Which one comes first next time.
    turn: AtomicUsize,
    ends: Mutex<VecDeque<End>>,
}

impl Replicas {
    pub(super) fn new(primary: Reader, options: &PostgresOptions) -> Result<Self, Failure> {
        let replica = |connect: &tokio_postgres::Config| {
            let options = PostgresOptions { connect: connect.clone(), ..options.clone() };
            let reader = primary.beside(connection::pool(&options, connection::Statements::Ours)?);
            Ok(Replica { reader, place: options.place(), rests: Mutex::default() })
        };
        let all = options.replicas.iter().map(replica).collect::<Result<_, Failure>>()?;
        Ok(Self { primary, all, turn: AtomicUsize::new(0), ends: Mutex::default() })
    }

    /// Looks with which group the log of the primary ends, and remembers that; answers its last position.
    pub(super) async fn look(&self, primary: &impl GenericClient) -> Result<Position, Failure> {
        let (_, last) = self.ask(primary).await?;
        Ok(last)
    }

    async fn ask(&self, primary: &impl GenericClient) -> Result<(End, Position), Failure> {
        let asked = Instant::now();
        let row = primary.query_opt(LAST, &[]).await?;
        let (group, last) = match row {
            Some(row) => (Some((row.try_get(0)?, row.try_get(1)?)), row.try_get::<_, i64>(2)?),
            None => (None, 0),
        };
        let end = End { asked, group };
        remember(&mut self.ends(), end);
        Ok((end, Position::new(last.cast_unsigned())))
    }

    /// What a replica has to have so that it is no further behind: the oldest look that is young enough, or else one
    /// at the primary now.
    async fn end_within(&self, lag: Duration) -> Result<End, Failure> {
        let now = Instant::now();
        let young = |end: &&End| now.saturating_duration_since(end.asked) <= lag;
        let known = self.ends().iter().find(young).copied();
        match known {
            Some(end) => Ok(end),
            None => {
                let client = self.primary.pool().get().await?;
                let asked = in_time(self.primary.limit(), self.ask(&**client)).await;
                Ok(give_back(client, asked)?.0)
            }
        }
    }

    fn ends(&self) -> MutexGuard<'_, VecDeque<End>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that are fit, beginning with another one each time.
    fn fit(&self) -> impl Iterator<Item = &Replica> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(self.all.len()).unwrap_or(0);
        self.all.iter().cycle().skip(first).take(self.all.len()).filter(|replica| replica.is_fit())
    }

    pub(super) fn pools(&self) -> impl Iterator<Item = &deadpool_postgres::Pool> {
        self.all.iter().map(|replica| replica.reader.pool())
    }
}

/// Keeps a look. Where there are too many, the one goes that is missed least: whose neighbours are closest together,
/// for their age.
fn remember(ends: &mut VecDeque<End>, end: End) {
    ends.push_back(end);
    if ends.len() <= KEPT {
        return;
    }
    let apart = |window: &[End]| match window {
        [before, _, after] => {
            let apart = after.asked.saturating_duration_since(before.asked);
            apart.as_secs_f64() / end.asked.saturating_duration_since(before.asked).as_secs_f64().max(1e-9)
        }
        _ => f64::INFINITY,
    };
    let windows = ends.make_contiguous().windows(3).map(apart).enumerate();
    if let Some((before, _)) = windows.min_by(|(_, one), (_, other)| one.total_cmp(other)) {
        ends.remove(before + 1);
    }
}

/// Reads that a replica may answer, where one is no further behind than was allowed; otherwise the primary does.
///
/// # Contract
///
/// - A read shows every append that was acknowledged, by whichever process, longer than the bound before the read
///   began. It may show any number of later ones, without gaps.
/// - The bound is proved for each read and not estimated: a replica is used only where it has what the primary had. A
///   replica that is behind, away, or of another history costs a moment and is passed over.
/// - While the primary is away, replicas answer as long as the bound can still be kept; then reads are
///   [`ReadError::Unavailable`].
/// - A server that was promoted is passed over. One that follows such a server may show what was written there, as long
///   as the bound lasts: take the replicas of a server that was replaced out of the options.
/// - One read may show less than the one before it, which another server answered.
/// - What was [erased](daa_core::event::EventStore::erase) may be shown as long as the bound lasts.
///
/// Made by [`PostgresEventStore::stale`](super::PostgresEventStore::stale); of a store without replicas, the primary
/// answers. Clones are cheap.
#[derive(Clone, Debug)]
pub struct StaleReads {
    replicas: Arc<Replicas>,
    max_lag: Duration,
    closed: watch::Receiver<bool>,
}

impl StaleReads {
    pub(super) const fn new(
        replicas: Arc<Replicas>,
        max_lag: Duration,
        closed: watch::Receiver<bool>,
    ) -> Self {
        Self { replicas, max_lag, closed }
    }

    /// How far behind they may be.
    #[must_use]
    pub const fn max_lag(&self) -> Duration {
        self.max_lag
    }

    /// The events of a stream, as [`EventStore::read_stream`](daa_core::event::EventStore::read_stream).
    ///
    /// # Errors
    /// [`ReadError`] when no server can answer within the bound.
    pub async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        if let Some((replica, client)) = self.candidate().await? {
            match replica.reader.stream_on(client, stream, after, page).await {
                Ok(events) => return Ok(events),
                Err(error) => failed(replica, &error),
            }
        }
        self.replicas.primary.stream(stream, after, page).await
    }

    /// The position of the last event, as [`EventStore::head`](daa_core::event::EventStore::head).
    ///
    /// # Errors
    /// [`ReadError`] when no server can answer within the bound.
    pub async fn head(&self) -> Result<Position, ReadError> {
        if let Some((replica, client)) = self.candidate().await? {
            match replica.reader.head_on(client).await {
                Ok(head) => return Ok(head),
                Err(failure) => failed(replica, &failure),
            }
        }
        self.replicas.primary.head().await
    }

    /// A connection to a replica that is not too far behind, if there is one.
    async fn candidate(&self) -> Result<Option<(&Replica, Client)>, ReadError> {
        if *self.closed.borrow() {
            return Err(ReadError::Closed);
        }
        let mut fit = self.replicas.fit().peekable();
        if fit.peek().is_none() {
            return Ok(None);
        }
        let Ok(end) = self.replicas.end_within(self.max_lag).await else {
            // The primary says why, or is back.
            return Ok(None);
        };
        for replica in fit {
            let tried = async {
                let client = replica.reader.pool().get().await?;
                match in_time(replica.reader.limit(), end.is_in(&client)).await {
                    Ok(is_in) => Ok(is_in.then_some(client)),
                    failed => give_back(client, failed).map(|_| None),
                }
            };
            match tried.await {
                Ok(Some(client)) => {
                    *replica.rests() = None;
                    return Ok(Some((replica, client)));
                }
                Ok(None) => tracing::debug!(replica = replica.place, "a replica is too far behind"),
                Err(failure) => failed(replica, &failure),
            }
        }
        Ok(None)
    }
}

fn failed(replica: &Replica, error: &dyn std::fmt::Display) {
    tracing::warn!(replica = replica.place, %error, "a replica cannot be read");
    replica.rest();
}

#[async_trait]
impl ReadAll for StaleReads {
    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        if let Some((replica, client)) = self.candidate().await? {
            match replica.reader.all_on(client, after, page).await {
                Ok(events) => return Ok(events),
                Err(error) => failed(replica, &error),
            }
        }
        self.replicas.primary.read_all(after, page).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_reach_far_back_and_are_close_together_where_they_are_young() {
        let (began, mut ends) = (Instant::now(), VecDeque::new());
        let poll = Duration::from_millis(500);
        // A day.
        for look in 0..172_800_u32 {
            remember(&mut ends, End { asked: began + poll * look, group: None });
        }
        assert_eq!(ends.len(), KEPT);
        let now = ends.back().unwrap().asked;
        for lag in [1, 2, 5, 10, 60, 600, 3_600, 40_000].map(Duration::from_secs) {
            let young = |end: &&End| now - end.asked <= lag;
            let oldest = now - ends.iter().find(young).unwrap().asked;
            assert!(oldest >= lag / 2, "the oldest look within {lag:?} is {oldest:?} old");
        }
    }
}
