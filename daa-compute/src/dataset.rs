//! Datasets, and the shards that members train on.

mod digits;
mod text;

pub use digits::{DigitError, Digits, PIXELS};
pub use text::{BLOCK, Text, TextError};

use bytes::Bytes;
use daa_core::digest::Digest;

use crate::wire::{DecodeError, Reader, put_count, put_header};

/// The largest shard, in bytes (256 MiB).
pub const MAX_SHARD: usize = 1 << 28;

const MAGIC: [u8; 4] = *b"DAAS";
const VERSION: u16 = 1;

/// A piece of a dataset in its canonical bytes, which its digest names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shard {
    /// Images and labels.
    Digits(Digits),
    /// Text.
    Text(Text),
}

impl Shard {
    /// Bytes: `DAAS`, version (u16), kind (u32), length (u32), then 65 bytes an image or the text.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (kind, body) = match self {
            Self::Digits(digits) => (0u32, digits.to_bytes()),
            Self::Text(text) => (1u32, text.bytes().clone()),
        };
        let mut out = Vec::with_capacity(14 + body.len());
        put_header(&mut out, MAGIC, VERSION);
        out.extend_from_slice(&kind.to_le_bytes());
        put_count(&mut out, body.len());
        out.extend_from_slice(&body);
        out.into()
    }

    /// Parses [`Shard::encode`].
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.header(MAGIC, VERSION)?;
        let kind = reader.u32()?;
        let len = reader.count("shard length", MAX_SHARD)?;
        let body = reader.take(len)?;
        reader.end()?;
        match kind {
            0 => Digits::from_bytes(body).map(Self::Digits),
            1 => Text::new(Bytes::copy_from_slice(body))
                .map(Self::Text)
                .map_err(|_| DecodeError::Invalid { what: "text length" }),
            _ => Err(DecodeError::Invalid { what: "shard kind" }),
        }
    }

    /// The digest of [`Shard::encode`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }
}
