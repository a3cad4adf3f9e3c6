//! Why a stream does not go on.

use std::io;

use daa_core::fault::{Fault, Reaction, Retry};

use super::Protocol;

/// Why a stream does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A frame was not sealed by the peer for this place, or was changed.
    #[error("a frame of the stream was not sealed by the peer for this place, or was changed")]
    Forged,
    /// A frame is longer than any.
    #[error("a frame of this kind has at most {max} bytes, not {len}")]
    TooLong {
        /// How long it says it is.
        len: usize,
        /// How long it may be.
        max: usize,
    },
    /// A frame that has no place here, or a way of speaking that this version does not know.
    #[error("a frame of the stream that has no place here")]
    Unexpected,
    /// The number of the stream was used before in this session.
    #[error("the number of the stream was used before")]
    Replayed,
    /// The stream was cut off before its end.
    #[error("the stream was cut off before its end")]
    CutOff,
    /// The peer did not say what the stream is for in time.
    #[error("the peer did not say what the stream is for in time")]
    Slow,
}

impl StreamError {
    /// Nobody who keeps to the protocol does this.
    pub(super) const fn is_hostile(self) -> bool {
        !matches!(self, Self::CutOff | Self::Slow)
    }
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        let kind = match error {
            StreamError::CutOff => io::ErrorKind::UnexpectedEof,
            StreamError::Slow => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

impl Reaction for StreamError {
    fn fault(&self) -> Fault {
        match self {
            Self::CutOff => Fault::Environment,
            _ => Fault::Peer,
        }
    }

    fn retry(&self) -> Retry {
        if matches!(self, Self::CutOff | Self::Slow) { Retry::Later } else { Retry::Never }
    }
}

/// A text that names no protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a protocol begins with '/' and has 2 to {} bytes of lower-case letters, digits, '.', '-', '_' and '/'",
    Protocol::MAX
)]
#[non_exhaustive]
pub struct ParseProtocolError;

impl Reaction for ParseProtocolError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}
