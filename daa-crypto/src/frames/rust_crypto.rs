//! By RustCrypto, where there is no C compiler.

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};

use super::{FRAME_TAG, FrameCipher, NONCE};
use crate::secret::Secret;

pub(super) const fn has_fast_aes() -> bool {
    false
}

pub(super) struct Cipher(ChaCha20Poly1305);

impl Cipher {
    /// `None` for what is not built in.
    pub(super) fn new(cipher: FrameCipher, key: &Secret) -> Option<Self> {
        match cipher {
            FrameCipher::ChaCha20Poly1305 => Some(Self(ChaCha20Poly1305::new(key.as_bytes().into()))),
            FrameCipher::Aes256Gcm => None,
        }
    }

    pub(super) fn seal(
        &self,
        nonce: [u8; NONCE],
        header: &[u8],
        frame: &mut [u8],
    ) -> Option<[u8; FRAME_TAG]> {
        self.0.encrypt_inout_detached(&nonce.into(), header, frame.into()).ok().map(Into::into)
    }

    pub(super) fn open(
        &self,
        nonce: [u8; NONCE],
        header: &[u8],
        frame: &mut [u8],
        tag: &[u8; FRAME_TAG],
    ) -> Option<()> {
        self.0.decrypt_inout_detached(&nonce.into(), header, frame.into(), &(*tag).into()).ok()
    }
}
