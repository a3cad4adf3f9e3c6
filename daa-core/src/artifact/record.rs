//! Small blobs that the store writes for itself, and their names.
//!
//! Numbered records are named by their numbers counted down, so that the newest is the first in a list.

use bytes::Bytes;

use super::ArtifactError;
use super::blobs::{BlobStat, Blobs};

/// No record is longer.
const MAX_RECORD: u64 = 64 << 10;

/// The name of the record of this number.
pub(super) fn numbered(under: &str, number: u64) -> String {
    format!("{under}{:016x}", u64::MAX - number)
}

/// The number of a record, from the last part of its name.
pub(super) fn number(name: &str) -> Option<u64> {
    let last = name.rsplit('/').next()?;
    let canonical = last.len() == 16 && last.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    canonical.then(|| u64::from_str_radix(last, 16).ok()).flatten().map(|it| u64::MAX - it)
}

/// The number of the newest record, if there is one.
pub(super) async fn newest(blobs: &dyn Blobs, under: &str) -> Result<Option<u64>, ArtifactError> {
    let first = blobs.list(under, None, 1).await?;
    let Some(first) = first.first() else { return Ok(None) };
    number(&first.name).map(Some).ok_or_else(|| ArtifactError::Damaged { name: first.name.clone() })
}

/// A record, as far as it is one.
pub(super) async fn read(blobs: &dyn Blobs, name: &str) -> Result<Option<(Bytes, BlobStat)>, ArtifactError> {
    let Some(blob) = blobs.open(name).await? else { return Ok(None) };
    let stat = blob.stat();
    if stat.size > MAX_RECORD {
        return Err(ArtifactError::Damaged { name: name.to_owned() });
    }
    Ok(Some((blob.read(0..stat.size).await?, stat)))
}
