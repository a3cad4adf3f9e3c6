//! The statements by which a log got its keys, as its stream has them: what a crash kept from being written, or somebody
//! took away, is written again.

use std::collections::BTreeMap;

use daa_core::event::{EventStore, PageSize, Version};
use daa_core::id::StreamId;

use super::AuditError;
use crate::audit::journal::{Head, LogEvent, ROTATED};
use crate::audit::note::Note;
use crate::audit::reader::rotation_path;
use crate::audit::rotation::Rotation;
use crate::audit::tiles::{LogFile, TileStore};

/// Sees to it that the statements of all keys that the log had are in its files. Its stream is read only where one is not.
pub(super) async fn restore(
    tiles: &dyn TileStore,
    store: &dyn EventStore,
    stream: &StreamId,
    head: &Head,
) -> Result<(), AuditError> {
    if missing(tiles, head).await?.is_none() {
        return Ok(());
    }
    for (number, statement) in recorded(store, stream).await? {
        let (path, bytes) = (rotation_path(number), statement.into());
        if tiles.read(&path).await?.as_ref() != Some(&bytes) {
            tiles.write(vec![LogFile::new(path, bytes)]).await?;
        }
    }
    match missing(tiles, head).await? {
        None => Ok(()),
        Some(number) => Err(AuditError::StatementLost { number }),
    }
}

/// The last statement that is not there, or does not lead to the key behind it.
async fn missing(tiles: &dyn TileStore, head: &Head) -> Result<Option<u64>, AuditError> {
    let mut key = head.key.clone();
    for number in (1..=head.rotations).rev() {
        let bytes = tiles.read(&rotation_path(number)).await?;
        let note = bytes.and_then(|bytes| Note::parse(&bytes).ok());
        match note.and_then(|note| Rotation::read(&note).ok()) {
            Some(rotation) if rotation.new.to_string() == key => key = rotation.old.to_string(),
            _ => return Ok(Some(number)),
        }
    }
    Ok(None)
}

/// The statements of the log's stream, by number: at most as many as a log has keys.
async fn recorded(store: &dyn EventStore, stream: &StreamId) -> Result<BTreeMap<u64, String>, AuditError> {
    let (mut found, mut after) = (BTreeMap::new(), Version::EMPTY);
    loop {
        let page = store.read_stream(stream, after, PageSize::new(PageSize::MAX)).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = last.version;
        for event in page.iter().filter(|event| event.kind.as_str() == ROTATED) {
            if let Some(LogEvent::Rotated { head, statement }) = LogEvent::read(event)? {
                found.insert(head.rotations, statement);
            }
        }
    }
}
