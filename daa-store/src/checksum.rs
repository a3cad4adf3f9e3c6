//! Finds what a disk changed behind a store's back.

use crc32fast::Hasher;
use daa_core::clock::Timestamp;

/// The CRC-32 of everything about an event. It covers the names, not their numbers in the database, so that a
/// damaged name table is found as well.
///
/// It guards against damage, not against somebody who can write the database: that is what a signed audit log is
/// for.
pub(crate) fn checksum(
    position: u64,
    version: u64,
    at: Timestamp,
    stream: &str,
    kind: &str,
    payload: &[u8],
) -> u32 {
    let mut hasher = Hasher::new();
    let numbers = [position, version, at.as_millis(), stream.len() as u64, kind.len() as u64];
    for number in numbers {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(stream.as_bytes());
    hasher.update(kind.as_bytes());
    hasher.update(payload);
    hasher.finalize()
}
