//! Sealing the frames of a connection, in place, under a key that both sides have already.

#[cfg_attr(all(feature = "aws-lc", not(target_arch = "wasm32")), path = "frames/aws_lc.rs")]
#[cfg_attr(not(all(feature = "aws-lc", not(target_arch = "wasm32"))), path = "frames/rust_crypto.rs")]
mod cipher;

use std::fmt;

use crate::error::{Fault, Reaction};
use crate::secret::Secret;

use cipher::Cipher;

/// The bytes by which a sealed frame is longer.
pub const FRAME_TAG: usize = 16;
const NONCE: usize = 12;

/// Seals frames, one after the other, with ChaCha20-Poly1305 (RFC 8439).
///
/// The number of a frame is its nonce and does not travel, so frames cannot be left out, repeated or put into another
/// order. That a stream has ended has to be said in a frame. A key is for one sealer: for one stream, in one direction.
///
/// ```
/// use daa_crypto::{FrameOpener, FrameSealer, Secret};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = Secret::from_bytes([7; 32]);
/// let (mut sealer, mut opener) = (FrameSealer::new(&key), FrameOpener::new(&key));
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
    cipher: Cipher,
    next: u64,
}

/// Opens what a [`FrameSealer`] with the same key sealed, in its order.
pub struct FrameOpener {
    cipher: Cipher,
    /// `None` after a frame that did not open.
    next: Option<u64>,
}

impl FrameSealer {
    /// With a key that seals nothing else.
    #[must_use]
    pub fn new(key: &Secret) -> Self {
        Self { cipher: Cipher::new(key), next: 0 }
    }

    /// Seals a frame in place, and the header with it, which travels as it is.
    ///
    /// # Errors
    /// [`FrameError::Exhausted`] after 2<sup>64</sup> - 1 frames; then the frame is as it was.
    pub fn seal(&mut self, header: &[u8], frame: &mut [u8]) -> Result<[u8; FRAME_TAG], FrameError> {
        let number = self.next;
        self.next = number.checked_add(1).ok_or(FrameError::Exhausted)?;
        self.cipher.seal(nonce(number), header, frame).ok_or(FrameError::Exhausted)
    }
}

impl FrameOpener {
    /// With the key of the sealer.
    #[must_use]
    pub fn new(key: &Secret) -> Self {
        Self { cipher: Cipher::new(key), next: Some(0) }
    }

    /// Opens the next frame in place. After a failure nothing opens any more.
    ///
    /// # Errors
    /// [`FrameError::Rejected`]: it is not the next frame of the sealer, or was changed. What is in the frame then is
    /// nothing.
    pub fn open(&mut self, header: &[u8], frame: &mut [u8], tag: &[u8; FRAME_TAG]) -> Result<(), FrameError> {
        let number = self.next.take().ok_or(FrameError::Rejected)?;
        let next = number.checked_add(1).ok_or(FrameError::Exhausted)?;
        self.cipher.open(nonce(number), header, frame, tag).ok_or(FrameError::Rejected)?;
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
}

impl Reaction for FrameError {
    fn fault(&self) -> Fault {
        match self {
            Self::Rejected => Fault::Peer,
            Self::Exhausted => Fault::Caller,
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
