//! Why a request is not answered.

use std::io;

use daa_core::fault::{Fault, Reaction, Retry};

use super::MAX_BODY;
use crate::transport::{ConnectError, TransportError};

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// The request makes no sense to who answers it.
    Invalid,
    /// Nobody answers this method there.
    Unknown,
    /// Who asks may not.
    Denied,
    /// It cannot be done now.
    Unavailable,
    /// The deadline has passed before it was done.
    Expired,
    /// Who answers has failed.
    Failed,
    /// A reason that this version does not know.
    Other(u32),
}

impl Status {
    pub(super) const fn to_number(self) -> u32 {
        match self {
            Self::Invalid => 1,
            Self::Unknown => 2,
            Self::Denied => 3,
            Self::Unavailable => 4,
            Self::Expired => 5,
            Self::Failed => 6,
            Self::Other(number) => number,
        }
    }

    pub(super) const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Invalid,
            2 => Self::Unknown,
            3 => Self::Denied,
            4 => Self::Unavailable,
            5 => Self::Expired,
            6 => Self::Failed,
            number => Self::Other(number),
        }
    }
}

/// The answer of who does not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused ({status:?}): {reason}")]
#[non_exhaustive]
pub struct Refusal {
    /// What kind it is.
    pub status: Status,
    /// For people; at most 256 bytes of it travel.
    pub reason: String,
}

impl Refusal {
    /// A refusal.
    #[must_use]
    pub fn new(status: Status, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

impl Reaction for Refusal {
    fn fault(&self) -> Fault {
        match self.status {
            Status::Invalid | Status::Denied => Fault::Caller,
            _ => Fault::Peer,
        }
    }

    fn retry(&self) -> Retry {
        match self.status {
            Status::Unavailable | Status::Expired | Status::Failed => Retry::Later,
            _ => Retry::Never,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The peer refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There was no answer in time. It may have been done all the same.
    #[error("there was no answer in time")]
    Expired,
    /// The peer could not be reached: it was not asked.
    #[error("the peer could not be reached")]
    Unreachable(#[from] ConnectError),
    /// No stream could be opened: it was not asked.
    #[error("the peer could not be asked")]
    Transport(#[from] TransportError),
    /// The connection was lost before there was an answer. It may have been done all the same.
    #[error("the connection was lost before there was an answer")]
    Lost(#[source] io::Error),
    /// The answer is none.
    #[error("what the peer answered is no answer")]
    Garbage,
    /// The request is longer than any.
    #[error("a request has at most {MAX_BODY} bytes, not {len}")]
    TooLong {
        /// How long it is.
        len: usize,
    },
}

impl CallError {
    /// Whether to ask again may help, and does no harm if the request can be told from another.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::Lost(_) | Self::Unreachable(_))
            && !matches!(self.retry(), Retry::Never)
    }
}

impl Reaction for CallError {
    fn fault(&self) -> Fault {
        match self {
            Self::Refused(refusal) => refusal.fault(),
            Self::Expired | Self::Lost(_) => Fault::Environment,
            Self::Unreachable(error) => error.fault(),
            Self::Transport(error) => error.fault(),
            Self::Garbage => Fault::Peer,
            Self::TooLong { .. } => Fault::Caller,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Refused(refusal) => refusal.retry(),
            Self::Expired | Self::Lost(_) => Retry::Later,
            Self::Unreachable(error) => error.retry(),
            Self::Transport(error) => error.retry(),
            Self::Garbage | Self::TooLong { .. } => Retry::Never,
        }
    }
}
