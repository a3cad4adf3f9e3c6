//! Sealing the frames of a connection, in place, under a key that both sides have already.

#[cfg_attr(all(feature = "aws-lc", not(target_arch = "wasm32")), path = "frames/aws_lc.rs")]
#[cfg_attr(not(all(feature = "aws-lc", not(target_arch = "wasm32"))), path = "frames/rust_crypto.rs")]
mod cipher;

use std::fmt;

use crate::context::Context;
use crate::error::{Fault, Reaction};
use crate::kdf::HkdfSha256;
use crate::secret::Secret;

use cipher::Cipher;

/// The bytes by which a sealed frame is longer.
pub const FRAME_TAG: usize = 16;
const NONCE: usize = 12;
/// A key seals so many frames; the next ones have a key that is derived from it. So what one key seals stays, with frames
/// of 64 KiB, within 2<sup>32</sup> blocks: far below where AES-GCM wears out (RFC 8446, section 5.5).
const FRAMES_OF_A_KEY: u64 = 1 << 20;
const NEXT_KEY: Context = Context::new("daa-crypto frames next key v1");

/// What frames are sealed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrameCipher {
    /// ChaCha20-Poly1305 (RFC 8439): everywhere.
    #[default]
    ChaCha20Poly1305,
    /// AES-256-GCM (NIST SP 800-38D): where the processor has instructions for it, several times faster.
    Aes256Gcm,
}

impl FrameCipher {
    /// What can be used here, the fastest first. AES is offered where AWS-LC is built in and the processor has
    /// instructions for it: elsewhere it is slower than the other.
    #[must_use]
    pub fn supported() -> &'static [Self] {
        if cipher::has_fast_aes() {
            &[Self::Aes256Gcm, Self::ChaCha20Poly1305]
        } else {
            &[Self::ChaCha20Poly1305]
        }
    }

    /// The number that stands for it in protocols.
    #[must_use]
    pub const fn to_number(self) -> u32 {
        match self {
            Self::ChaCha20Poly1305 => 0,
            Self::Aes256Gcm => 1,
        }
    }

    /// The cipher of a number, if there is one.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::ChaCha20Poly1305),
            1 => Some(Self::Aes256Gcm),
            _ => None,
        }
    }
}

/// Seals frames, one after the other.
///
/// The number of a frame is its nonce and does not travel, so frames cannot be left out, repeated or put into another
/// order. That a stream has ended has to be said in a frame. A key is for one sealer: for one stream, in one direction.
/// After 2<sup>20</sup> frames the key is replaced by one derived from it, on both sides at the same frame.
///
/// ```
/// use daa_crypto::{FrameCipher, FrameOpener, FrameSealer, Secret};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = Secret::from_bytes([7; 32]);
/// let cipher = FrameCipher::default();
/// let (mut sealer, mut opener) = (FrameSealer::new(cipher, &key)?, FrameOpener::new(cipher, &key)?);
///
/// let mut frame = *b"buy 100";
/// let tag = sealer.seal(b"header", &mut frame)?;
/// assert_ne!(&frame, b"buy 100");
/// opener.open(b"header", &mut frame, &tag)?;
/// assert_eq!(&frame, b"buy 100");
/// # Ok(())
/// # }
/// ```
pub struct FrameSealer {
    key: FrameKey,
    next: u64,
}

/// Opens what a [`FrameSealer`] with the same key sealed, in its order.
pub struct FrameOpener {
    key: FrameKey,
    /// `None` after a frame that did not open.
    next: Option<u64>,
}

/// The key of some frames, and what the next one is made of.
struct FrameKey {
    name: FrameCipher,
    cipher: Cipher,
    chain: Secret,
}

impl FrameKey {
    fn new(name: FrameCipher, key: Secret) -> Result<Self, FrameError> {
        let cipher = Cipher::new(name, &key).ok_or(FrameError::Unsupported(name))?;
        Ok(Self { name, cipher, chain: key })
    }

    /// The key of the frame with this number, which is the one after the last.
    fn of(&mut self, number: u64) -> Result<&Cipher, FrameError> {
        if number != 0 && number.is_multiple_of(FRAMES_OF_A_KEY) {
            let next = HkdfSha256::extract(b"", self.chain.as_bytes()).derive(NEXT_KEY, &[]);
            *self = Self::new(self.name, next)?;
        }
        Ok(&self.cipher)
    }
}

impl FrameSealer {
    /// With a key that seals nothing else.
    ///
    /// # Errors
    /// [`FrameError::Unsupported`] where the cipher is not built in.
    pub fn new(cipher: FrameCipher, key: &Secret) -> Result<Self, FrameError> {
        Ok(Self { key: FrameKey::new(cipher, key.clone())?, next: 0 })
    }

    /// Seals a frame in place, and the header with it, which travels as it is.
    ///
    /// # Errors
    /// [`FrameError::Exhausted`] after 2<sup>64</sup> - 1 frames; then the frame is as it was.
    pub fn seal(&mut self, header: &[u8], frame: &mut [u8]) -> Result<[u8; FRAME_TAG], FrameError> {
        let number = self.next;
        self.next = number.checked_add(1).ok_or(FrameError::Exhausted)?;
        self.key.of(number)?.seal(nonce(number), header, frame).ok_or(FrameError::Exhausted)
    }
}

impl FrameOpener {
    /// With the key and the cipher of the sealer.
    ///
    /// # Errors
    /// [`FrameError::Unsupported`] where the cipher is not built in.
    pub fn new(cipher: FrameCipher, key: &Secret) -> Result<Self, FrameError> {
        Ok(Self { key: FrameKey::new(cipher, key.clone())?, next: Some(0) })
    }

    /// Opens the next frame in place. After a failure nothing opens any more.
    ///
    /// # Errors
    /// [`FrameError::Rejected`]: it is not the next frame of the sealer, or was changed. What is in the frame then is
    /// nothing.
    pub fn open(&mut self, header: &[u8], frame: &mut [u8], tag: &[u8; FRAME_TAG]) -> Result<(), FrameError> {
        let number = self.next.take().ok_or(FrameError::Rejected)?;
        let next = number.checked_add(1).ok_or(FrameError::Exhausted)?;
        self.key.of(number)?.open(nonce(number), header, frame, tag).ok_or(FrameError::Rejected)?;
        self.next = Some(next);
        Ok(())
    }
}

fn nonce(number: u64) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    if let Some((_, low)) = nonce.split_first_chunk_mut::<4>() {
        low.copy_from_slice(&number.to_le_bytes());
    }
    nonce
}

/// A frame that is not sealed or not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// It was not sealed with this key as the next frame, or was changed. Which of these cannot be told.
    #[error("the frame is not the next one that was sealed with this key, or was changed")]
    Rejected,
    /// The key has sealed all that it may.
    #[error("the key has sealed as many frames as it may")]
    Exhausted,
    /// The cipher is not built in.
    #[error("frames cannot be sealed with {0:?} here: it is not built in")]
    Unsupported(FrameCipher),
}

impl Reaction for FrameError {
    fn fault(&self) -> Fault {
        match self {
            Self::Rejected => Fault::Peer,
            Self::Exhausted | Self::Unsupported(_) => Fault::Caller,
        }
    }
}

impl fmt::Debug for FrameSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameSealer").field("next", &self.next).finish_non_exhaustive()
    }
}

impl fmt::Debug for FrameOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameOpener").field("next", &self.next).finish_non_exhaustive()
    }
}
