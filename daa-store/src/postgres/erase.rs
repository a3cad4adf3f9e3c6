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

const FIND: &str = "
    SELECT e.position, e.version, e.at FROM events e
    WHERE e.stream = (SELECT id FROM streams WHERE name = $1) AND e.owner = $2 AND e.version <= $3 AND e.kind <> $4
    ORDER BY e.version LIMIT $5 FOR UPDATE";
const REWRITE: &str = "
    UPDATE events e SET kind = $1, payload = ''::bytea, checksum = n.checksum
    FROM unnest($2::bigint[], $3::bigint[]) AS n (position, checksum)
    WHERE e.position = n.position AND e.owner = $4";

/// Erases a prefix, in as many transactions as it takes; answers how many events. Erasing again is harmless; only
/// those of a transaction whose end was lost are not counted.
pub(super) async fn erase(reader: &Reader, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
    let up_to = i64::try_from(up_to.get()).unwrap_or(i64::MAX);
    let (mut erased, patience) = (0, reader.patience());
    loop {
        let events = match some(reader, stream, up_to).await {
            Ok(events) => events,
            Err(failure) if patience.outlasts(&failure).await => continue,
            Err(failure) => return Err(failure.append_error()),
        };
        erased += events;
        if events < AT_ONCE.cast_unsigned() {
            return Ok(erased);
        }
    }
}

async fn some(reader: &Reader, stream: &StreamId, up_to: i64) -> Result<u64, Failure> {
    let mut client = reader.pool().get().await?;
    // Each of its four statements may take as long as a read.
    let erased = in_time(reader.limit().saturating_mul(4), some_on(&mut client, stream, up_to)).await;
    give_back(client, erased)
}

async fn some_on(client: &mut Client, stream: &StreamId, up_to: i64) -> Result<u64, Failure> {
    let (name, owner, kind) = (stream.as_str(), owner(stream), RecordedEvent::ERASED);
    let transaction = client.transaction().await?;
    let found = transaction.query(FIND, &[&name, &owner, &up_to, &kind, &AT_ONCE]).await?;
    let (mut positions, mut checksums) = (Vec::new(), Vec::new());
    for row in &found {
        let (position, version, at): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let at = Timestamp::from_millis(at.cast_unsigned());
        let (place, version) = (position.cast_unsigned(), version.cast_unsigned());
        positions.push(position);
        checksums.push(i64::from(checksum(place, version, at, name, kind, b"")));
    }
    if !positions.is_empty() {
        transaction.execute(REWRITE, &[&kind, &positions, &checksums, &owner]).await?;
    }
    transaction.commit().await?;
    Ok(positions.len() as u64)
}
