//! When groups were written, by the clock of the server.

use daa_core::clock::Timestamp;
use daa_core::event::{Position, ReadError};
use deadpool_postgres::Client;

use super::connection::{give_back, in_time};
use super::engine::Failure;
use super::read::Reader;
use super::schema;

/// The group that a position is in; without a time where a program of the first format wrote it before the schema
/// had a place for it.
const GROUP: &str = "
    SELECT first, last, ceil(extract(epoch FROM at) * 1000)::bigint FROM commits
    WHERE first <= $1 ORDER BY first DESC LIMIT 1";

/// The moment, in milliseconds since 1970.
const NOW: &str = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

impl Reader {
    /// The last position of those that were written by `time`, as far as that is known.
    pub(super) async fn position_at(&self, time: Timestamp) -> Result<Position, ReadError> {
        let patience = self.patience();
        loop {
            match self.try_position_at(time).await {
                Err(failure) if patience.outlasts(&failure).await => {}
                done => return done.map_err(Failure::read_error),
            }
        }
    }

    /// What the clock of the server shows.
    pub(super) async fn now(&self) -> Result<Timestamp, ReadError> {
        let patience = self.patience();
        loop {
            match self.try_now().await {
                Err(failure) if patience.outlasts(&failure).await => {}
                done => return done.map_err(Failure::read_error),
            }
        }
    }

    async fn try_now(&self) -> Result<Timestamp, Failure> {
        let client = self.pool().get().await?;
        let now = in_time(self.limit(), async {
            let now = client.prepare_cached(NOW).await?;
            let millis: i64 = client.query_one(&now, &[]).await?.try_get(0)?;
            Ok(Timestamp::from_millis(millis.cast_unsigned()))
        });
        let now = now.await;
        give_back(client, now)
    }

    async fn try_position_at(&self, time: Timestamp) -> Result<Position, Failure> {
        let client = self.pool().get().await?;
        let position = in_time(self.limit(), search(&client, time)).await;
        give_back(client, position)
    }
}

/// Halves what is left: a group is written after the one before it was read, so times rise with positions.
async fn search(client: &Client, time: Timestamp) -> Result<Position, Failure> {
    let group = client.prepare_cached(GROUP).await?;
    let head = schema::head(&***client).await?.get().cast_signed();
    let (mut by_then, mut is_known, mut later) = (0_i64, false, head);
    while by_then < later {
        let middle = by_then + (later - by_then + 1) / 2;
        let Some(row) = client.query_opt(&group, &[&middle]).await? else { break };
        let (first, last, at): (i64, i64, Option<i64>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if at.is_none_or(|at| at.cast_unsigned() <= time.as_millis()) {
            (by_then, is_known) = (last, at.is_some());
        } else {
            later = first - 1;
        }
    }
    Ok(if is_known { Position::new(by_then.cast_unsigned()) } else { Position::START })
}
