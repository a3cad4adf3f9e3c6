//! By AWS-LC, in assembly.

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::{FRAME_TAG, FrameCipher, NONCE};
use crate::secret::Secret;

/// Whether the processor has instructions for AES.
pub(super) fn has_fast_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let has =
        std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has = false;
    has
}

pub(super) struct Cipher(LessSafeKey);

impl Cipher {
    /// `None` if AWS-LC refuses the key, which it does for no key of 32 bytes.
    pub(super) fn new(cipher: FrameCipher, key: &Secret) -> Option<Self> {
        let algorithm = match cipher {
            FrameCipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            FrameCipher::Aes256Gcm => &AES_256_GCM,
        };
        UnboundKey::new(algorithm, key.as_bytes()).ok().map(LessSafeKey::new).map(Self)
    }

    pub(super) fn seal(
        &self,
        nonce: [u8; NONCE],
        header: &[u8],
        frame: &mut [u8],
    ) -> Option<[u8; FRAME_TAG]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(header), frame).ok()?;
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
        self.0.open_in_place_separate_tag(nonce, Aad::from(header), tag, frame).ok().map(drop)
    }
}
