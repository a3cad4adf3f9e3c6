//! By AWS-LC, in assembly.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::{FRAME_TAG, NONCE};
use crate::secret::Secret;

/// `None` if AWS-LC refused the key, which it does for no key of 32 bytes: then nothing is sealed or opened.
pub(super) struct Cipher(Option<LessSafeKey>);

impl Cipher {
    pub(super) fn new(key: &Secret) -> Self {
        Self(UnboundKey::new(&CHACHA20_POLY1305, key.as_bytes()).ok().map(LessSafeKey::new))
    }

    pub(super) fn seal(
        &self,
        nonce: [u8; NONCE],
        header: &[u8],
        frame: &mut [u8],
    ) -> Option<[u8; FRAME_TAG]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.as_ref()?.seal_in_place_separate_tag(nonce, Aad::from(header), frame).ok()?;
        tag.as_ref().try_into().ok()
    }

    pub(super) fn open(
        &self,
        nonce: [u8; NONCE],
        header: &[u8],
        frame: &mut [u8],
        tag: &[u8; FRAME_TAG],
    ) -> Option<()> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.as_ref()?.open_in_place_separate_tag(nonce, Aad::from(header), tag, frame).ok().map(drop)
    }
}
