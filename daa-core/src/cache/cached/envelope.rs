//! What the second level holds of a value: when it ends and what it took, and then the value as JSON.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::slot::Life;
use crate::clock::Timestamp;

const VERSION: u8 = 1;
const ABSENT: u8 = 0;
const PRESENT: u8 = 1;
const HEADER: usize = 2 + 8 + 4;

/// `None` where the value cannot be encoded.
pub(super) fn encode<V: Serialize>(value: Option<&V>, life: Life) -> Option<Bytes> {
    let mut bytes = Vec::with_capacity(HEADER + 64);
    bytes.extend([VERSION, if value.is_some() { PRESENT } else { ABSENT }]);
    bytes.extend(life.until.as_millis().to_le_bytes());
    bytes.extend(u32::try_from(life.cost.as_millis()).unwrap_or(u32::MAX).to_le_bytes());
    if let Some(value) = value {
        serde_json::to_writer(&mut bytes, value).ok()?;
    }
    Some(bytes.into())
}

/// `None` where the bytes are none of ours.
pub(super) fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Option<(Option<V>, Life)> {
    let (header, body) = bytes.split_first_chunk::<HEADER>()?;
    let [version, kind, until @ .., c0, c1, c2, c3] = *header;
    let life = Life {
        until: Timestamp::from_millis(u64::from_le_bytes(until)),
        cost: Duration::from_millis(u32::from_le_bytes([c0, c1, c2, c3]).into()),
    };
    match (version, kind) {
        (VERSION, ABSENT) if body.is_empty() => Some((None, life)),
        (VERSION, PRESENT) => Some((Some(serde_json::from_slice(body).ok()?), life)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_read_back_as_it_was(value: Option<Vec<String>>, until: u64, cost: u32) {
            let life = Life {
                until: Timestamp::from_millis(until),
                cost: Duration::from_millis(cost.into()),
            };
            let bytes = encode(value.as_ref(), life).unwrap();
            prop_assert_eq!(decode::<Vec<String>>(&bytes), Some((value, life)));
        }

        #[test]
        fn whatever_else_is_there_is_none_of_ours(bytes: Vec<u8>, version in 2_u8..) {
            decode::<String>(&bytes);
            let life = Life { until: Timestamp::EPOCH, cost: Duration::ZERO };
            let mut other = encode(Some(&"a"), life).unwrap().to_vec();
            other[0] = version;
            prop_assert_eq!(decode::<String>(&other), None);
            prop_assert_eq!(decode::<String>(&other[..HEADER - 1]), None);
        }
    }
}
