//! A frame: kind and length in four bytes, then the bytes, then the tag of the seal.

use super::MAX_FRAME;
use super::error::StreamError;

pub(super) const HEADER: usize = 4;
/// The most bytes of the first frame: the name of a protocol, a few numbers, and what later versions may say.
pub(super) const MAX_OPEN: usize = 256;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What the stream is for: the first one, of who opened it.
    Open,
    /// Bytes.
    Data,
    /// There are no more.
    End,
    /// Bytes that were compressed.
    Packed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// Of the bytes, without the tag.
    pub(super) len: usize,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER] {
        let kind = match self.kind {
            Kind::Open => 0,
            Kind::Data => 1,
            Kind::End => 2,
            Kind::Packed => 3,
        };
        let [_, a, b, c] = u32::try_from(self.len).unwrap_or(u32::MAX).to_be_bytes();
        [kind, a, b, c]
    }

    pub(super) fn decode([kind, a, b, c]: [u8; HEADER]) -> Result<Self, StreamError> {
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        let kind = match kind {
            0 => Kind::Open,
            1 if len > 0 => Kind::Data,
            2 if len == 0 => Kind::End,
            3 if len > 0 => Kind::Packed,
            _ => return Err(StreamError::Unexpected),
        };
        let max = if kind == Kind::Open { MAX_OPEN } else { MAX_FRAME };
        if len > max {
            return Err(StreamError::TooLong { len, max });
        }
        Ok(Self { kind, len })
    }
}
