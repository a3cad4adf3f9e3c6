//! By RustCrypto, where there is no C compiler.

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};

use super::{FRAME_TAG, NONCE};
use crate::secret::Secret;

pub(super) struct Cipher(ChaCha20Poly1305);

impl Cipher {
    pub(super) fn new(key: &Secret) -> Self {
        Self(ChaCha20Poly1305::new(key.as_bytes().into()))
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
