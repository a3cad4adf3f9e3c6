//! Lanes: the messages without a key, and those of some keys.

use std::borrow::Cow;

use daa_core::digest::Digest;
use daa_core::id::OrderingKey;

/// What one consumer of a group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Messages without a key.
    Unkeyed,
    /// The messages of some keys.
    Partition(u16),
}

impl Lane {
    pub(crate) fn of(key: Option<&OrderingKey>, partitions: u16) -> Self {
        let Some(key) = key else { return Self::Unkeyed };
        let digest = Digest::builder("daa 2026 bus partition").field(key.as_str().as_bytes()).finish();
        let [a, b, c, d, ..] = *digest.as_bytes();
        let number = u32::from_be_bytes([a, b, c, d]) % u32::from(partitions.max(1));
        Self::Partition(u16::try_from(number).unwrap_or(0))
    }

    pub(crate) fn part(self) -> Cow<'static, str> {
        match self {
            Self::Unkeyed => Cow::Borrowed("u"),
            Self::Partition(number) => Cow::Owned(format!("k{number}")),
        }
    }

    pub(crate) fn all(partitions: u16) -> impl Iterator<Item = Self> {
        [Self::Unkeyed].into_iter().chain((0..partitions).map(Self::Partition))
    }
}
