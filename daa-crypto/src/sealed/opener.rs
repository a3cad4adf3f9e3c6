//! Opening a stream, chunk by chunk, without input or output of its own.

use std::fmt;

use aead_stream::DecryptorBE32;
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::Payload;

use super::sealer::stream;
use super::{CHUNK, OpenError, SEALED_CHUNK, TAG, key};
use crate::algorithm::{KemAlgorithm, id};
use crate::context::Context;
use crate::encoding::{Kind, LENGTH, PREFIX, Reader};
use crate::error::DecodeError;
use crate::kem::{DecapsulationKey, KemCiphertext};
use crate::policy::Policy;

/// Opens a stream of chunks: the pure half of [`OpenReader`](super::OpenReader).
///
/// What it gives is authentic, in order and complete up to there; that nothing is missing at the end is certain only
/// after [`last`](Self::last).
pub struct StreamOpener {
    decryptor: DecryptorBE32<ChaCha20Poly1305>,
    begun: bool,
}

/// Bytes of the header up to the length of its only field.
pub(super) const HEADER_PREFIX: usize = PREFIX + 2 + 2;

/// Bytes of the whole header, which its first bytes fix.
pub(super) fn header_len(policy: &Policy, prefix: &[u8]) -> Result<usize, DecodeError> {
    let algorithm = algorithm(policy, &mut Reader::open(prefix, Kind::SealedStream)?)?;
    Ok(HEADER_PREFIX.saturating_add(LENGTH).saturating_add(algorithm.ciphertext_len()))
}

fn algorithm(policy: &Policy, (reader, id): &mut (Reader<'_>, u16)) -> Result<KemAlgorithm, DecodeError> {
    let algorithm = KemAlgorithm::from_id(*id).ok_or(DecodeError::UnknownAlgorithm { found: *id })?;
    policy.check_kem(algorithm)?;
    reader.only(id::HKDF_SHA256)?;
    reader.only(id::CHACHA20_POLY1305_STREAM)?;
    Ok(algorithm)
}

impl StreamOpener {
    pub(crate) fn new(
        policy: &Policy,
        key_pair: &DecapsulationKey,
        context: Context,
        header: &[u8],
    ) -> Result<Self, OpenError> {
        let mut opened = Reader::open(header, Kind::SealedStream)?;
        let algorithm = algorithm(policy, &mut opened)?;
        let (mut reader, _) = opened;
        let kem = reader.field("KEM ciphertext", algorithm.ciphertext_len())?;
        reader.finish()?;
        let secret =
            key_pair.decapsulate(&KemCiphertext::from_raw(algorithm, kem).map_err(DecodeError::from)?)?;
        let key = key(&secret, header, key_pair.encapsulation_key().id(), context);
        Ok(Self { decryptor: DecryptorBE32::from_stream_primitive(stream(&key)), begun: false })
    }

    /// Opens the next chunk, which is not the last, and has [`CHUNK`](super::CHUNK) + [`TAG`](super::TAG) bytes.
    ///
    /// # Errors
    /// [`OpenError::Rejected`]. After it the stream is not to be trusted any further.
    pub fn next(&mut self, chunk: &[u8]) -> Result<Vec<u8>, OpenError> {
        if chunk.len() != SEALED_CHUNK {
            return Err(OpenError::Rejected);
        }
        let opened = self.decryptor.decrypt_next(Payload::from(chunk)).map_err(|_| OpenError::Rejected)?;
        self.begun = true;
        Ok(opened)
    }

    /// Opens the last chunk: with it the stream is complete.
    ///
    /// # Errors
    /// [`OpenError::Truncated`] when it cannot be a chunk or is the wrong one to end with, [`OpenError::Rejected`].
    pub fn last(self, chunk: &[u8]) -> Result<Vec<u8>, OpenError> {
        // Empty at the end of a stream that is not: a sealer does not write that, so it has another encoding.
        let least = if self.begun { TAG + 1 } else { TAG };
        if chunk.len() < least {
            return Err(OpenError::Truncated);
        }
        if chunk.len() > CHUNK + TAG {
            return Err(OpenError::Rejected);
        }
        self.decryptor.decrypt_last(Payload::from(chunk)).map_err(|_| OpenError::Rejected)
    }
}

impl fmt::Debug for StreamOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamOpener(..)")
    }
}
