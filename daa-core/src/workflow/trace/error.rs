//! What can be wrong with the headers of a trace.

use super::MAX_TRACESTATE_LEN;
use crate::fault::{Fault, Reaction, Retry};

/// Headers that say nothing about a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// A `traceparent` of the wrong length.
    #[error("a traceparent of version 00 has 55 bytes, and a later one at most 256; this one has {len}")]
    Length {
        /// Its length in bytes.
        len: usize,
    },
    /// The version is not two lower-case hexadecimal digits, or it is `ff`.
    #[error("the version of a traceparent is 00 to fe, in two lower-case hexadecimal digits")]
    Version,
    /// Not a trace id.
    #[error("a trace id is 32 lower-case hexadecimal digits, not all zero")]
    TraceId,
    /// Not a span id.
    #[error("a span id is 16 lower-case hexadecimal digits, not all zero")]
    SpanId,
    /// The flags are not two lower-case hexadecimal digits.
    #[error("the flags of a traceparent are two lower-case hexadecimal digits")]
    Flags,
    /// A `tracestate` of the wrong length.
    #[error("a tracestate has 1 to {MAX_TRACESTATE_LEN} bytes, this one has {len}")]
    StateLength {
        /// Its length in bytes.
        len: usize,
    },
    /// A character that a header cannot carry.
    #[error("a tracestate is printable ascii, and has no {found:?}")]
    StateCharacter {
        /// The first offending character.
        found: char,
    },
}

impl Reaction for TraceError {
    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}
