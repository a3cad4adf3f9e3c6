//! Keys that seal artefacts.

use std::collections::BTreeMap;
use std::fmt;

use aead_stream::{NewStream as _, StreamBE32, StreamPrimitive as _};
use async_trait::async_trait;
use chacha20poly1305::XChaCha20Poly1305;
use daa_core::artifact::{ArtifactCipher, BlobCipher, CipherError};
use daa_core::fault::{Fault, Reaction, Retry};
use zeroize::Zeroizing;

const MAX_ID: usize = 64;
const NONCE: usize = 19;
const TAG: usize = 16;
const VERSION: u8 = 1;
/// The header is sealed as the part of this number; no other has it.
const HEADER: u32 = u32::MAX;

/// An [`ArtifactCipher`] with keys that it holds: XChaCha20-Poly1305 in the STREAM construction, with a random nonce of
/// 19 bytes for each blob, so that one key is good for any number of them. Its `Debug` form has no key.
///
/// To rotate keys, give the new one, and the old ones by [`with_old`](Self::with_old).
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use std::sync::Arc;
/// use daa_core::artifact::Artifacts;
/// use daa_store::cipher::KeyRing;
/// use daa_store::folder::FolderArtifacts;
///
/// # let dir = tempfile::tempdir()?;
/// # let (old, new) = ([1; 32], [2; 32]);
/// let keys = KeyRing::new("2026-11", new)?.with_old("2025-11", old)?;
/// let artifacts = FolderArtifacts::open(dir.path())?.sealed(Arc::new(keys));
/// let digest = artifacts.put("weights".into()).await?;
/// assert_eq!(artifacts.get(&digest).await?, Some("weights".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct KeyRing {
    current: String,
    keys: BTreeMap<String, Key>,
}

type Key = Zeroizing<[u8; 32]>;

impl KeyRing {
    /// A ring with the key that seals. Ids are not secret; keys must be random.
    ///
    /// # Errors
    /// [`KeyRingError::Id`].
    pub fn new(id: &str, key: [u8; 32]) -> Result<Self, KeyRingError> {
        Self { current: id.to_owned(), keys: BTreeMap::new() }.with_old(id, key)
    }

    /// The same ring with one more key that opens.
    ///
    /// # Errors
    /// [`KeyRingError`].
    pub fn with_old(mut self, id: &str, key: [u8; 32]) -> Result<Self, KeyRingError> {
        let key = Zeroizing::new(key);
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(letters) {
            return Err(KeyRingError::Id { id: id.to_owned() });
        }
        if self.keys.insert(id.to_owned(), key).is_some() {
            return Err(KeyRingError::Twice { id: id.to_owned() });
        }
        Ok(self)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.keys().collect();
        f.debug_struct("KeyRing").field("current", &self.current).field("ids", &ids).finish()
    }
}

/// Why a key was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// The id is none.
    #[error("{id:?} cannot be the id of a key: up to {MAX_ID} letters, digits and `.`, `_`, `-`")]
    Id {
        /// The id.
        id: String,
    },
    /// There is a key of this id already.
    #[error("there are two keys with the id {id:?}")]
    Twice {
        /// The id.
        id: String,
    },
}

impl Reaction for KeyRingError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

#[async_trait]
impl ArtifactCipher for KeyRing {
    async fn seal(&self, context: &str) -> Result<(Vec<u8>, Box<dyn BlobCipher>), CipherError> {
        let unknown = || CipherError::UnknownKey { key: self.current.clone() };
        let key = self.keys.get(&self.current).ok_or_else(unknown)?;
        let nonce: [u8; NONCE] = rand::random();
        let mut header = vec![VERSION, u8::try_from(self.current.len()).map_err(|_| unknown())?];
        header.extend_from_slice(self.current.as_bytes());
        header.extend_from_slice(&nonce);
        let sealing = Sealing::new(key, nonce, context);
        let tag = sealing.tag(&header)?;
        header.extend_from_slice(&tag);
        Ok((header, Box::new(sealing)))
    }

    async fn open(&self, header: &[u8], context: &str) -> Result<Box<dyn BlobCipher>, CipherError> {
        let (signed, tag) = header.split_last_chunk::<TAG>().ok_or(CipherError::Damaged)?;
        let (before, nonce) = signed.split_last_chunk::<NONCE>().ok_or(CipherError::Damaged)?;
        let [VERSION, len, id @ ..] = before else { return Err(CipherError::Damaged) };
        let id = std::str::from_utf8(id).map_err(|_| CipherError::Damaged)?.to_owned();
        if id.len() != usize::from(*len) {
            return Err(CipherError::Damaged);
        }
        let Some(key) = self.keys.get(&id) else { return Err(CipherError::UnknownKey { key: id }) };
        let sealing = Sealing::new(key, *nonce, context);
        let mut nothing = tag.to_vec();
        let aad = sealing.aad(signed);
        match sealing.stream.decrypt_in_place(HEADER, true, &aad, &mut nothing) {
            Ok(()) => Ok(Box::new(sealing)),
            Err(_) => Err(CipherError::WrongKey { key: id }),
        }
    }
}

struct Sealing {
    stream: StreamBE32<XChaCha20Poly1305>,
    context: String,
}

impl Sealing {
    fn new(key: &Key, nonce: [u8; NONCE], context: &str) -> Self {
        Self { stream: StreamBE32::new(&(**key).into(), &nonce.into()), context: context.to_owned() }
    }

    /// What the tag of a header covers.
    fn aad(&self, header: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header, self.context.as_bytes()].concat()
    }

    fn tag(&self, header: &[u8]) -> Result<Vec<u8>, CipherError> {
        let mut tag = Vec::new();
        let sealed = self.stream.encrypt_in_place(HEADER, true, &self.aad(header), &mut tag);
        sealed.map(|()| tag).map_err(|_| CipherError::Damaged)
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealing")
    }
}

impl BlobCipher for Sealing {
    fn seal(&self, number: u32, is_last: bool, part: &mut Vec<u8>) -> Result<(), CipherError> {
        if number == HEADER {
            return Err(CipherError::Damaged);
        }
        let sealed = self.stream.encrypt_in_place(number, is_last, self.context.as_bytes(), part);
        sealed.map_err(|_| CipherError::Damaged)
    }

    fn open(&self, number: u32, is_last: bool, part: &mut Vec<u8>) -> Result<(), CipherError> {
        if number == HEADER {
            return Err(CipherError::Damaged);
        }
        let opened = self.stream.decrypt_in_place(number, is_last, self.context.as_bytes(), part);
        opened.map_err(|_| CipherError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked_and_keys_are_not_printed() {
        let ring = KeyRing::new("2026-11", [0xab; 32]).unwrap().with_old("old", [0xcd; 32]).unwrap();
        let printed = format!("{ring:?}");
        assert!(printed.contains("2026-11") && printed.contains("old"), "{printed}");
        assert!(!printed.contains("171") && !printed.contains("205") && !printed.contains("ab"), "{printed}");
        assert!(matches!(ring.with_old("old", [0; 32]), Err(KeyRingError::Twice { .. })));
        for id in ["", "a b", "ä", &"a".repeat(65)] {
            assert!(matches!(KeyRing::new(id, [0; 32]), Err(KeyRingError::Id { .. })), "{id:?}");
        }
    }
}
