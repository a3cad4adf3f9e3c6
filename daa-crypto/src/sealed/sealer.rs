//! Sealing a stream, chunk by chunk, without input or output of its own.

use std::fmt;

use aead_stream::{EncryptorBE32, StreamBE32};
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::Payload;

use super::{CHUNK, SealError, cipher, key};
use crate::algorithm::id;
use crate::context::Context;
use crate::encoding::{Kind, LENGTH, Writer};
use crate::kem::EncapsulationKey;

/// Seals a stream of chunks: the pure half of [`SealWriter`](super::SealWriter), for callers who do their own input and
/// output.
///
/// The chunks are in STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015): each is bound to its place, and the last
/// one is marked, so that chunks cannot be left out, put into another order, repeated or cut off at the end.
pub struct StreamSealer {
    header: Vec<u8>,
    encryptor: EncryptorBE32<ChaCha20Poly1305>,
}

impl StreamSealer {
    pub(crate) fn new(to: &EncapsulationKey, context: Context) -> Result<Self, SealError> {
        let (ciphertext, secret) = to.encapsulate()?;
        let kem = ciphertext.as_raw();
        let header =
            Writer::new(Kind::SealedStream, ciphertext.algorithm().id(), kem.len().saturating_add(LENGTH))
                .u16(id::HKDF_SHA256)
                .u16(id::CHACHA20_POLY1305_STREAM)
                .field(kem)
                .finish();
        let key = key(&secret, &header, to.id(), context);
        // The key is used for one stream, so the part of the nonce that STREAM leaves free need not differ.
        let encryptor = EncryptorBE32::from_stream_primitive(stream(&key));
        Ok(Self { header, encryptor })
    }

    /// What comes before the first chunk.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Seals the next chunk, which is not the last.
    ///
    /// # Errors
    /// [`SealError::ChunkLength`] unless it has [`CHUNK`](super::CHUNK) bytes, [`SealError::StreamTooLong`].
    pub fn next(&mut self, chunk: &[u8]) -> Result<Vec<u8>, SealError> {
        if chunk.len() != CHUNK {
            return Err(SealError::ChunkLength { found: chunk.len() });
        }
        self.encryptor.encrypt_next(Payload::from(chunk)).map_err(|_| SealError::StreamTooLong)
    }

    /// Seals the last chunk, which is empty only if the stream is.
    ///
    /// # Errors
    /// [`SealError::TooLong`] beyond [`CHUNK`](super::CHUNK) bytes.
    pub fn last(self, chunk: &[u8]) -> Result<Vec<u8>, SealError> {
        let too_long = SealError::TooLong { max: CHUNK, found: chunk.len() };
        if chunk.len() > CHUNK {
            return Err(too_long);
        }
        self.encryptor.encrypt_last(Payload::from(chunk)).map_err(|_| too_long)
    }
}

pub(super) fn stream(key: &crate::secret::Secret) -> StreamBE32<ChaCha20Poly1305> {
    use aead_stream::NewStream as _;
    StreamBE32::from_aead(cipher(key), &Default::default())
}

impl fmt::Debug for StreamSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamSealer(..)")
    }
}
