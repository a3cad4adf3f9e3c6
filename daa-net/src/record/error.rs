//! Why a record is none.

use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_crypto::{DecodeError, KemAlgorithm, SignError, VerifyError};

use super::{MAX_ADDRESS, MAX_LIFE, MAX_RECORD, MAX_SKEW};
use crate::fault::fault_of;
use crate::identity::IdentityError;

/// A record that is beyond a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// Too many of something.
    #[error("a record has at most {max} {what}, not {count}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// An address that is too long.
    #[error("an address has at most {MAX_ADDRESS} bytes, not {len}")]
    Address {
        /// Its length in bytes.
        len: usize,
    },
    /// Its key to seal to is of another algorithm.
    #[error("the key to seal to is of X-Wing, not of {found}")]
    Kem {
        /// Which.
        found: KemAlgorithm,
    },
    /// It is good for no time, or for too long.
    #[error("a record is good for up to {MAX_LIFE:?}, not for {life:?}")]
    Life {
        /// How long it says that it is.
        life: Duration,
    },
    /// It is too large as a whole.
    #[error("a record has at most {MAX_RECORD} bytes, not {len}")]
    Size {
        /// Its length in bytes.
        len: usize,
    },
}

/// A record that cannot be issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// It is beyond a bound.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Whoever holds the key does not sign.
    #[error("the record could not be signed")]
    Sign(#[source] SignError),
}

impl Reaction for IssueError {
    fn fault(&self) -> Fault {
        match self {
            Self::Content(_) => Fault::Caller,
            Self::Sign(error) => fault_of(error),
        }
    }

    fn retry(&self) -> Retry {
        if self.fault() == Fault::Environment { Retry::Later } else { Retry::Never }
    }
}

/// A record from outside that is not to be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is not the encoding of a record.
    #[error("not the encoding of a record: {0}")]
    Encoding(#[from] prost::DecodeError),
    /// A key or a signature in it is none, or of an algorithm that is refused.
    #[error("a key or the signature of the record: {0}")]
    Key(#[from] DecodeError),
    /// Its key cannot be that of a node.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The signature is not of this key over this record.
    #[error("the signature of the record: {0}")]
    Signature(#[from] VerifyError),
    /// It is of another network.
    #[error("the record is of another network")]
    Network,
    /// It is beyond a bound.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Its node's clock is ahead of ours by more than it may.
    #[error("the record was issued {} ms after now, and clocks may be ahead by {MAX_SKEW:?}", .issued.since(*.now).as_millis())]
    Early {
        /// When it was issued, it says.
        issued: Timestamp,
        /// When it was looked at.
        now: Timestamp,
    },
    /// It has expired.
    #[error("the record has expired {} ms ago", .now.since(*.expired).as_millis())]
    Expired {
        /// When.
        expired: Timestamp,
        /// When it was looked at.
        now: Timestamp,
    },
}

impl Reaction for RecordError {
    fn fault(&self) -> Fault {
        Fault::Peer
    }

    /// One that was issued too early is good later.
    fn retry(&self) -> Retry {
        match self {
            Self::Early { issued, now } => Retry::After(issued.since(*now + MAX_SKEW)),
            _ => Retry::Never,
        }
    }
}
