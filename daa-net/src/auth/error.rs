//! Why a handshake came to nothing.

use daa_core::fault::{Fault, Reaction, Retry};
use daa_crypto::{DecodeError, KemError, KeyError, SignError, VerifyError};

use super::{MAX_MESSAGE, wire};
use crate::fault::fault_of;
use crate::identity::IdentityError;
use crate::node_id::NodeId;

/// What one side tells the other before it closes. It is not authenticated: a hint for people, nothing to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is of another network.
    #[error("it is of another network")]
    Network,
    /// It speaks none of the versions.
    #[error("it speaks none of the versions")]
    Version,
    /// It is not the node that was expected.
    #[error("it is not the node that was expected")]
    NotExpected,
    /// A reason that this version does not know.
    #[error("for reason {0}")]
    Other(u32),
}

impl Refusal {
    pub(super) const fn to_number(self) -> u32 {
        match self {
            Self::Network => 1,
            Self::Version => 2,
            Self::NotExpected => 3,
            Self::Other(number) => number,
        }
    }

    pub(super) const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Network,
            2 => Self::Version,
            3 => Self::NotExpected,
            number => Self::Other(number),
        }
    }
}

/// A handshake that came to nothing: the connection is to be closed, and the peer is nobody.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// A message that is longer than any.
    #[error("a message of the handshake has at most {MAX_MESSAGE} bytes, not {len}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Bytes that are no message.
    #[error("not a message of the handshake: {0}")]
    Encoding(#[from] prost::DecodeError),
    /// A message that has no place here.
    #[error("a message of the handshake that has no place here")]
    Unexpected,
    /// A field of another length than it has.
    #[error("{field} has {found} bytes and must have {expected}")]
    Length {
        /// Which field.
        field: &'static str,
        /// How many bytes it must have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// A key, ciphertext or signature that is none, or of an algorithm that is refused.
    #[error("in a message of the handshake: {0}")]
    Decode(#[from] DecodeError),
    /// The key of the peer cannot be that of a node.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The peer's key was to be known, and is not; or one came that was not asked for.
    #[error("the key of {node} did not come, or came unasked")]
    MissingKey {
        /// Whose.
        node: NodeId,
    },
    /// The key that came is not that of the node which it is said to be of.
    #[error("the key that came is that of {found}, not of {said}")]
    WrongKey {
        /// Whose it was said to be.
        said: NodeId,
        /// Whose it is.
        found: NodeId,
    },
    /// Another node than the one that was expected.
    #[error("expected {expected}, and met {found}")]
    NotExpected {
        /// Who was expected.
        expected: NodeId,
        /// Who was met.
        found: NodeId,
    },
    /// A node was to talk to itself.
    #[error("a node does not talk to itself")]
    Itself,
    /// A node was to talk to one that it does not let in.
    #[error("{node} is to be talked to, and is not let in")]
    Forbidden {
        /// Who.
        node: NodeId,
    },
    /// The peer says that it is this node: its own messages came back, or its key was stolen.
    #[error("the peer says that it is this node itself")]
    Reflected,
    /// The peer is of another network.
    #[error("the peer is of another network")]
    Network,
    /// No version that both speak.
    #[error("the peer speaks none of the versions that are spoken here, or chose one that was not offered")]
    Version,
    /// The peer is not let in.
    #[error("{node} is not let in")]
    Access {
        /// Who.
        node: NodeId,
    },
    /// The signature does not hold: over these messages, in this connection, by this key.
    #[error("the signature of the handshake: {0}")]
    Signature(#[from] VerifyError),
    /// The peer has other keys than we have.
    #[error("the confirmation of the handshake is wrong")]
    Confirmation,
    /// The peer refused, it says.
    #[error("the peer refused: {0}")]
    Refused(Refusal),
    /// No key could be made.
    #[error("no key could be made for the handshake: {0}")]
    Key(#[from] KeyError),
    /// No secret could be agreed on.
    #[error("no secret could be agreed on: {0}")]
    Kem(#[from] KemError),
    /// Whoever holds our key does not sign.
    #[error("the handshake could not be signed: {0}")]
    Sign(#[from] SignError),
}

impl AuthError {
    /// What to tell the peer before the connection is closed: nothing, unless it may help whoever runs it.
    #[must_use]
    pub fn to_message(&self) -> Option<Vec<u8>> {
        let refusal = match self {
            Self::Network => Refusal::Network,
            Self::Version => Refusal::Version,
            Self::NotExpected { .. } => Refusal::NotExpected,
            _ => return None,
        };
        Some(wire::refused(refusal))
    }
}

impl Reaction for AuthError {
    fn fault(&self) -> Fault {
        match self {
            Self::Itself | Self::Forbidden { .. } => Fault::Caller,
            Self::Key(error) => fault_of(error),
            Self::Kem(error) => fault_of(error),
            Self::Sign(error) => fault_of(error),
            _ => Fault::Peer,
        }
    }

    fn retry(&self) -> Retry {
        if self.fault() == Fault::Environment { Retry::Later } else { Retry::Never }
    }
}
