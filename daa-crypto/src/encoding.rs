//! The one way in which everything here is written: kind, version, algorithm, then fields in a fixed order.
//!
//! Numbers are big-endian. A field whose length could ever differ has its length before it. A decoder accepts exactly
//! what an encoder writes: there is one encoding for each value.

use std::fmt;

use crate::error::DecodeError;

/// The version of all encodings.
const VERSION: u8 = 1;

/// What an encoding holds: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Kind {
    /// A public key that verifies signatures.
    VerifyingKey = 1,
    /// A signature.
    Signature = 2,
    /// A public key to encapsulate to.
    EncapsulationKey = 3,
    /// What encapsulation sends.
    KemCiphertext = 4,
    /// A sealed message.
    SealedMessage = 5,
    /// A sealed stream.
    SealedStream = 6,
    /// An encrypted secret key.
    KeyFile = 7,
    /// The statement that one key takes the place of another.
    Rotation = 8,
    /// A share of a secret.
    Share = 9,
    /// A digest.
    Digest = 10,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VerifyingKey => "verifying key",
            Self::Signature => "signature",
            Self::EncapsulationKey => "encapsulation key",
            Self::KemCiphertext => "KEM ciphertext",
            Self::SealedMessage => "sealed message",
            Self::SealedStream => "sealed stream",
            Self::KeyFile => "key file",
            Self::Rotation => "rotation",
            Self::Share => "share",
            Self::Digest => "digest",
        })
    }
}

/// Bytes before the first field: kind, version, algorithm.
pub(crate) const PREFIX: usize = 4;

/// Bytes before a field: its length.
pub(crate) const LENGTH: usize = 4;

/// The encoding of what is one field: a key, a signature, a ciphertext.
pub(crate) fn write_one(kind: Kind, algorithm: u16, bytes: &[u8]) -> Vec<u8> {
    Writer::new(kind, algorithm, bytes.len().saturating_add(LENGTH)).field(bytes).finish()
}

/// Reads what [`write_one`] wrote. `known` says what an algorithm's id means, and how long its field is.
pub(crate) fn read_one<'a, A>(
    bytes: &'a [u8],
    kind: Kind,
    field: &'static str,
    known: impl FnOnce(u16) -> Result<(A, usize), DecodeError>,
) -> Result<(A, &'a [u8]), DecodeError> {
    let (mut reader, id) = Reader::open(bytes, kind)?;
    let (algorithm, len) = known(id)?;
    let raw = reader.field(field, len)?;
    reader.finish()?;
    Ok((algorithm, raw))
}

/// Writes an encoding.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(kind: Kind, algorithm: u16, capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(PREFIX.saturating_add(capacity));
        bytes.extend_from_slice(&[kind as u8, VERSION]);
        bytes.extend_from_slice(&algorithm.to_be_bytes());
        Self(bytes)
    }

    /// Adds bytes whose number the format fixes.
    pub(crate) fn fixed(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.fixed(&value.to_be_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.fixed(&value.to_be_bytes())
    }

    pub(crate) fn u64(self, value: u64) -> Self {
        self.fixed(&value.to_be_bytes())
    }

    /// Adds a field with its length. Everything that is written here is far below 4 GiB: the types see to it.
    pub(crate) fn field(self, bytes: &[u8]) -> Self {
        self.length(bytes.len()).fixed(bytes)
    }

    /// Adds only the length of a field that follows.
    pub(crate) fn length(self, len: usize) -> Self {
        debug_assert!(u32::try_from(len).is_ok(), "fields are shorter than 4 GiB");
        self.u32(u32::try_from(len).unwrap_or(u32::MAX))
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads an encoding.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    all: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Checks kind and version, and gives the algorithm's id.
    pub(crate) fn open(bytes: &'a [u8], kind: Kind) -> Result<(Self, u16), DecodeError> {
        let mut reader = Self { all: bytes, rest: bytes };
        let [found, version] = reader.fixed()?;
        if found != kind as u8 {
            return Err(DecodeError::WrongKind { expected: kind, found });
        }
        if version != VERSION {
            return Err(DecodeError::UnknownVersion { found: version });
        }
        let algorithm = reader.u16()?;
        Ok((reader, algorithm))
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let missing = || DecodeError::Truncated { missing: len.saturating_sub(self.rest.len()) };
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(missing)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let missing = N.saturating_sub(self.rest.len());
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated { missing })?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.fixed().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.fixed().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.fixed().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.fixed().map(u64::from_be_bytes)
    }

    /// A field of exactly this many bytes.
    pub(crate) fn field(&mut self, name: &'static str, expected: usize) -> Result<&'a [u8], DecodeError> {
        let bytes = self.bounded(name, expected)?;
        if bytes.len() != expected {
            return Err(DecodeError::Length { field: name, expected, found: bytes.len() });
        }
        Ok(bytes)
    }

    /// A field of at most this many bytes.
    pub(crate) fn bounded(&mut self, name: &'static str, max: usize) -> Result<&'a [u8], DecodeError> {
        let found = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if found > max {
            return Err(DecodeError::TooLong { field: name, max, found });
        }
        self.take(found)
    }

    /// The id of an algorithm that has no alternative yet.
    pub(crate) fn only(&mut self, expected: u16) -> Result<(), DecodeError> {
        match self.u16()? {
            found if found == expected => Ok(()),
            found => Err(DecodeError::UnknownAlgorithm { found }),
        }
    }

    /// What was read so far.
    pub(crate) fn before(&self) -> &'a [u8] {
        self.all.get(..self.all.len().saturating_sub(self.rest.len())).unwrap_or_default()
    }

    /// Nothing may follow.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(DecodeError::TrailingBytes { count: self.rest.len() })
    }
}
