//! Messages that only the holder of one key can read.

mod message;
mod opener;
mod reader;
mod sealer;
mod writer;

use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};

use crate::context::Context;
use crate::error::{DecodeError, Fault, KemError, NotAccepted, Reaction};
use crate::kdf::HkdfSha256;
use crate::key_id::KeyId;
use crate::secret::Secret;

pub use message::MAX_MESSAGE;
pub(crate) use message::{open, seal};
pub use opener::StreamOpener;
pub use reader::OpenReader;
pub use sealer::StreamSealer;
pub use writer::SealWriter;

/// Bytes of plaintext in a chunk of a sealed stream; the last may have fewer.
pub const CHUNK: usize = 64 * 1024;

/// Bytes that sealing adds to a message or to a chunk.
pub const TAG: usize = 16;

/// Bytes of a sealed chunk that is not the last.
const SEALED_CHUNK: usize = CHUNK + TAG;

/// The key of one message, bound to everything that comes before the ciphertext, to the recipient and to the use.
fn key(secret: &Secret, header: &[u8], recipient: KeyId, context: Context) -> Secret {
    const SEALED: Context = Context::new("daa-crypto sealed v1");
    HkdfSha256::extract(b"", secret.as_bytes())
        .derive(SEALED, &[header, recipient.as_bytes(), context.as_bytes()])
}

fn cipher(key: &Secret) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(key.as_bytes().into())
}

/// Nothing was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The policy refuses the algorithm of the recipient's key.
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
    /// No secret could be encapsulated.
    #[error(transparent)]
    Kem(#[from] KemError),
    /// A message, or a chunk, of more bytes than its bound. Large ones are streams.
    #[error("{found} bytes are more than {max}")]
    TooLong {
        /// The bound.
        max: usize,
        /// How many there were.
        found: usize,
    },
    /// A chunk that is not the last must be full.
    #[error("a chunk that is not the last has {CHUNK} bytes, not {found}")]
    ChunkLength {
        /// How many it had.
        found: usize,
    },
    /// A stream has at most 2^32 - 1 chunks, which is 256 TiB.
    #[error("a stream has at most 256 TiB")]
    StreamTooLong,
}

impl Reaction for SealError {
    fn fault(&self) -> Fault {
        match self {
            Self::Kem(error) => error.fault(),
            Self::NotAccepted(_) | Self::TooLong { .. } | Self::ChunkLength { .. } | Self::StreamTooLong => {
                Fault::Caller
            }
        }
    }
}

/// Nothing was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// These bytes are no sealed message or stream.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The secret could not be had.
    #[error(transparent)]
    Kem(#[from] KemError),
    /// It was sealed to another key, in another context, with other associated data; or it was changed, cut short or
    /// put into another order. Which of these cannot be told.
    #[error("this was not sealed to this key and context, or was changed")]
    Rejected,
    /// The stream ended before its last chunk.
    #[error("the stream ends before its last chunk")]
    Truncated,
    /// What was already refused, or has ended, was asked for more.
    #[error("the stream was refused before, or has ended")]
    Ended,
}

impl Reaction for OpenError {
    fn fault(&self) -> Fault {
        match self {
            Self::Decode(_) | Self::Rejected | Self::Truncated => Fault::Peer,
            Self::Kem(error) => error.fault(),
            Self::Ended => Fault::Caller,
        }
    }
}
