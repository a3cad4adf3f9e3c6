//! Takes payloads out of rows.

use daa_core::clock::Timestamp;
use daa_core::event::{AppendError, RecordedEvent, Version};
use daa_core::id::StreamId;
use deadpool_postgres::Client;

use super::connection::{give_back, in_time};
use super::engine::Failure;
use super::log::owner;
use super::read::Reader;
use crate::checksum::checksum;

/// One transaction erases no more events than this, so that nobody waits long for it.
const AT_ONCE: i64 = 10_000;

const FIND: &str = concat!(
    "WITH writes AS (",
    super::schema::writes!(stream: "(SELECT id FROM streams WHERE name = $1)", owner: "$2", after: "$3::bigint", last: "$4::bigint"),
    ")
    SELECT e.position, e.version, e.at, e.kind <> $5
    FROM writes w CROSS JOIN LATERAL (
        SELECT * FROM events f WHERE f.owner = $2 AND f.position >= w.first AND f.position <= w.last
        ORDER BY f.position LIMIT $6 FOR UPDATE
    ) e
    ORDER BY e.version"
);
/// The same of one event, without a lock.
const LOOK: &str = concat!(
    "WITH writes AS (",
    super::schema::writes!(stream: "(SELECT id FROM streams WHERE name = $1)", owner: "$2", after: "$3::bigint", last: "($3::bigint + 1)"),
    ")
    SELECT e.kind <> $4 FROM writes w JOIN events e ON e.owner = $2 AND e.position = w.first"
);
const REWRITE: &str = "
    UPDATE events e SET kind = $1, payload = ''::bytea, checksum = n.checksum
    FROM unnest($2::bigint[], $3::bigint[]) AS n (position, checksum)
    WHERE e.position = n.position AND e.owner = $4";

/// Erases a prefix, in as many transactions as it takes; answers how many events. Erasing again is harmless; only
/// those of a transaction whose end was lost are not counted.
pub(super) async fn erase(reader: &Reader, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
    let up_to = i64::try_from(up_to.get()).unwrap_or(i64::MAX);
    let (mut erased, patience) = (0, reader.patience());
    let mut after = loop {
        match erased_before(reader, stream).await {
            Ok(version) => break version,
            Err(failure) if patience.outlasts(&failure).await => {}
            Err(failure) => return Err(failure.append_error()),
        }
    };
    while after < up_to {
        let last = up_to.min(after.saturating_add(AT_ONCE));
        let events = match some(reader, stream, (after, last)).await {
            Ok(events) => events,
            Err(failure) if patience.outlasts(&failure).await => continue,
            Err(failure) => return Err(failure.append_error()),
        };
        // The stream ends before.
        let Some(events) = events else { break };
        erased += events;
        after = last;
    }
    Ok(erased)
}

/// The last version of those that are erased already, which are the first ones of the stream: looks ever further ahead,
/// and then halves.
async fn erased_before(reader: &Reader, stream: &StreamId) -> Result<i64, Failure> {
    let client = reader.pool().get().await?;
    let looked = in_time(reader.limit(), async {
        let (name, owner, kind) = (stream.as_str(), owner(stream), RecordedEvent::ERASED);
        let look = client.prepare_cached(LOOK).await?;
        let is_erased = async |version: i64| {
            let row = client.query_opt(&look, &[&name, &owner, &(version - 1), &kind]).await?;
            Ok::<_, Failure>(row.map(|row| row.try_get::<_, bool>(0)).transpose()? == Some(false))
        };
        let (mut erased, mut kept) = (0, 1);
        while is_erased(kept).await? {
            (erased, kept) = (kept, kept.saturating_mul(2));
        }
        while kept - erased > 1 {
            let middle = erased + (kept - erased) / 2;
            if is_erased(middle).await? { erased = middle } else { kept = middle }
        }
        Ok(erased)
    });
    let looked = looked.await;
    give_back(client, looked)
}

/// Erases what is not yet between two versions; answers how many events, or `None` where there are none at all.
async fn some(reader: &Reader, stream: &StreamId, between: (i64, i64)) -> Result<Option<u64>, Failure> {
    let mut client = reader.pool().get().await?;
    // Each of its four statements may take as long as a read.
    let erased = in_time(reader.limit().saturating_mul(4), some_on(&mut client, stream, between)).await;
    give_back(client, erased)
}

async fn some_on(
    client: &mut Client,
    stream: &StreamId,
    (after, last): (i64, i64),
) -> Result<Option<u64>, Failure> {
    let (name, owner, kind) = (stream.as_str(), owner(stream), RecordedEvent::ERASED);
    let transaction = client.transaction().await?;
    let found = transaction.query(FIND, &[&name, &owner, &after, &last, &kind, &AT_ONCE]).await?;
    let (mut positions, mut checksums) = (Vec::new(), Vec::new());
    for row in &found {
        let (position, version, at): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if !row.try_get::<_, bool>(3)? {
            continue;
        }
        let at = Timestamp::from_millis(at.cast_unsigned());
        let (place, version) = (position.cast_unsigned(), version.cast_unsigned());
        positions.push(position);
        checksums.push(i64::from(checksum(place, version, at, name, kind, b"")));
    }
    if !positions.is_empty() {
        transaction.execute(REWRITE, &[&kind, &positions, &checksums, &owner]).await?;
    }
    transaction.commit().await?;
    Ok((!found.is_empty()).then_some(positions.len() as u64))
}
