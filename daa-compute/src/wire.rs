//! Bounded little-endian decoding: what a peer sends never panics and never allocates more than was declared.

use daa_core::digest::Digest;
use daa_core::fault::{Fault, Reaction, Retry};

/// Why bytes from outside are not what they claim to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("the bytes end after {len}, {wanted} more were expected")]
    Truncated {
        /// How many bytes there are in all.
        len: usize,
        /// How many more were wanted.
        wanted: usize,
    },
    /// Bytes follow the end of the value.
    #[error("{count} bytes follow the end of the value")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// Another kind of value.
    #[error("the bytes start with {found:02x?}, expected {expected:02x?}")]
    Magic {
        /// What was found.
        found: [u8; 4],
        /// What was expected.
        expected: [u8; 4],
    },
    /// A version that this build does not know.
    #[error("format version {found} is not supported, the newest known is {supported}")]
    Version {
        /// What was found.
        found: u16,
        /// What is supported.
        supported: u16,
    },
    /// More than the declared bound.
    #[error("{what} is {found}, at most {limit} is allowed")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// What was found.
        found: u64,
        /// The bound.
        limit: u64,
    },
    /// A field has a value that it cannot have.
    #[error("{what} has a value that it cannot have")]
    Invalid {
        /// Which field.
        what: &'static str,
    },
    /// A number that is not finite.
    #[error("{what} is not a finite number")]
    NotFinite {
        /// Which field.
        what: &'static str,
    },
    /// The value belongs to another layout.
    #[error("the value is of layout {found}, expected {expected}")]
    Layout {
        /// What was found.
        found: Digest,
        /// What was expected.
        expected: Digest,
    },
}

impl Reaction for DecodeError {
    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// A cursor over bytes from outside.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    len: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { len: bytes.len(), rest: bytes }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Truncated { len: self.len, wanted: count.saturating_sub(self.rest.len()) })?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// The four bytes of `magic`, then a version that must be `supported`.
    pub(crate) fn header(&mut self, magic: [u8; 4], supported: u16) -> Result<(), DecodeError> {
        let found = self.array()?;
        if found != magic {
            return Err(DecodeError::Magic { found, expected: magic });
        }
        let version = u16::from_le_bytes(self.array()?);
        if version != supported {
            return Err(DecodeError::Version { found: version, supported });
        }
        Ok(())
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, DecodeError> {
        Ok(Digest::from_bytes(self.array()?))
    }

    pub(crate) fn finite(&mut self, what: &'static str) -> Result<f32, DecodeError> {
        let value = f32::from_le_bytes(self.array()?);
        if value.is_finite() { Ok(value) } else { Err(DecodeError::NotFinite { what }) }
    }

    /// A count that must not exceed `limit`.
    pub(crate) fn count(&mut self, what: &'static str, limit: usize) -> Result<usize, DecodeError> {
        let found = self.u32()?;
        let too_large = DecodeError::TooLarge { what, found: u64::from(found), limit: limit as u64 };
        usize::try_from(found).ok().filter(|&n| n <= limit).ok_or(too_large)
    }

    /// `count` finite numbers; the bytes must be there before anything is allocated.
    pub(crate) fn finite_vec(&mut self, what: &'static str, count: usize) -> Result<Vec<f32>, DecodeError> {
        let too_large = DecodeError::TooLarge { what, found: count as u64, limit: usize::MAX as u64 / 4 };
        let bytes = self.take(count.checked_mul(4).ok_or(too_large)?)?;
        let values = floats(bytes);
        if values.iter().all(|v| v.is_finite()) { Ok(values) } else { Err(DecodeError::NotFinite { what }) }
    }

    pub(crate) fn end(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(DecodeError::Trailing { count }),
        }
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (chunks, _) = bytes.as_chunks::<4>();
    chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}

/// Appends numbers as little-endian bytes.
pub(crate) fn put_floats(out: &mut Vec<u8>, values: &[f32]) {
    out.reserve(values.len() * 4);
    out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
}

/// Appends a magic and a version.
pub(crate) fn put_header(out: &mut Vec<u8>, magic: [u8; 4], version: u16) {
    out.extend_from_slice(&magic);
    out.extend_from_slice(&version.to_le_bytes());
}

/// Appends a count. Lengths in this crate are bounded far below `u32::MAX`; a longer one saturates and is then
/// refused by every decoder.
pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}
