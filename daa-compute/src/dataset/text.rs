//! Text as bytes: no tokenizer, no vocabulary to agree on.

use bytes::Bytes;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::seed::Seed;

use crate::sampling::shuffle;

use super::MAX_SHARD;

/// Shards are cut in blocks of this many bytes.
pub const BLOCK: usize = 4096;

/// Some bytes to learn to predict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(Bytes);

/// A text that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a text has at most {MAX_SHARD} bytes, this one has {len}")]
#[non_exhaustive]
pub struct TextError {
    /// Its length.
    pub len: usize,
}

impl Reaction for TextError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl Text {
    /// Wraps bytes.
    ///
    /// # Errors
    /// [`TextError`] beyond [`MAX_SHARD`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, TextError> {
        let bytes = bytes.into();
        if bytes.len() > MAX_SHARD { Err(TextError { len: bytes.len() }) } else { Ok(Self(bytes)) }
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Puts the last fifth aside: (for training, held out).
    #[must_use]
    pub fn hold_out_fifth(&self) -> (Self, Self) {
        let cut = self.0.len() - self.0.len() / 5;
        (Self(self.0.slice(..cut)), Self(self.0.slice(cut..)))
    }

    /// Cuts into `count` disjoint shards: blocks of [`BLOCK`] bytes, dealt out after a seeded shuffle.
    #[must_use]
    pub fn shards(&self, count: usize, seed: &Seed) -> Vec<Self> {
        let mut blocks: Vec<&[u8]> = self.0.chunks(BLOCK).collect();
        shuffle(&mut seed.child("shards").rng(), &mut blocks);
        let count = count.max(1);
        (0..count)
            .map(|place| {
                Self(blocks.iter().skip(place).step_by(count).copied().collect::<Vec<_>>().concat().into())
            })
            .collect()
    }
}
