//! One message, sealed and opened at once.

use chacha20poly1305::Nonce;
use chacha20poly1305::aead::{Aead as _, Payload};

use super::{OpenError, SealError, TAG, cipher, key};
use crate::algorithm::{KemAlgorithm, id};
use crate::context::Context;
use crate::encoding::{Kind, LENGTH, Reader, Writer};
use crate::error::DecodeError;
use crate::kem::{DecapsulationKey, EncapsulationKey, KemCiphertext};
use crate::policy::Policy;

/// Bytes of the largest message that is sealed at once. Larger ones are streams.
pub const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// The key is used once, so the nonce need not differ.
const NONCE: [u8; 12] = [0; 12];

pub(crate) fn seal(
    to: &EncapsulationKey,
    context: Context,
    associated: &[u8],
    message: &[u8],
) -> Result<Vec<u8>, SealError> {
    if message.len() > MAX_MESSAGE {
        return Err(SealError::TooLong { max: MAX_MESSAGE, found: message.len() });
    }
    let (ciphertext, secret) = to.encapsulate()?;
    let kem = ciphertext.as_raw();
    let sealed_len = message.len().saturating_add(TAG);
    let header =
        Writer::new(Kind::SealedMessage, ciphertext.algorithm().id(), kem.len().saturating_add(sealed_len))
            .u16(id::HKDF_SHA256)
            .u16(id::CHACHA20_POLY1305)
            .field(kem);
    let bytes = header.length(sealed_len).finish();
    let key = key(&secret, &bytes, to.id(), context);
    let sealed = cipher(&key).encrypt(&Nonce::from(NONCE), Payload { msg: message, aad: associated });
    // The cipher refuses only what is longer than 256 GiB.
    let sealed = sealed.map_err(|_| SealError::TooLong { max: MAX_MESSAGE, found: message.len() })?;
    Ok([bytes, sealed].concat())
}

/// Both lengths are known from the first fields, so nothing is allocated for a message that is too long.
pub(crate) fn open(
    policy: &Policy,
    key_pair: &DecapsulationKey,
    context: Context,
    associated: &[u8],
    bytes: &[u8],
) -> Result<Vec<u8>, OpenError> {
    let (mut reader, algorithm) = Reader::open(bytes, Kind::SealedMessage)?;
    let unknown = DecodeError::UnknownAlgorithm { found: algorithm };
    let algorithm = KemAlgorithm::from_id(algorithm).ok_or(unknown)?;
    policy.check_kem(algorithm).map_err(DecodeError::from)?;
    reader.only(id::HKDF_SHA256)?;
    reader.only(id::CHACHA20_POLY1305)?;
    let kem = reader.field("KEM ciphertext", algorithm.ciphertext_len())?;
    let mut after_header = reader.clone();
    let sealed = reader.bounded("sealed message", MAX_MESSAGE + TAG)?;
    reader.finish()?;
    after_header.take(LENGTH)?;
    let secret =
        key_pair.decapsulate(&KemCiphertext::from_raw(algorithm, kem).map_err(DecodeError::from)?)?;
    let key = key(&secret, after_header.before(), key_pair.encapsulation_key().id(), context);
    let opened = cipher(&key).decrypt(&Nonce::from(NONCE), Payload { msg: sealed, aad: associated });
    opened.map_err(|_| OpenError::Rejected)
}
