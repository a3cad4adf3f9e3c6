//! Why a node does not do something.

use daa_core::fault::{Fault, Reaction, Retry};
use daa_crypto::{KeyError, SignError};

use super::OpenError;
use crate::gossip::{PublishError, TooManyTopics};
use crate::names::Name;
use crate::node_id::NodeId;
use crate::record::IssueError;
use crate::stream::Protocol;
use crate::transport::{ConnectError, TransportError};

/// Why a node does not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The transport was made for another node.
    #[error("the transport is of {transport}, and the identity of {identity}")]
    WrongIdentity {
        /// Whose transport it is.
        transport: NodeId,
        /// Whose identity it is.
        identity: NodeId,
    },
    /// Its record cannot be issued.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// Whoever holds its key does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The other node could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No stream could be opened.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The protocol is one of this crate.
    #[error("{protocol} is a protocol of daa-net itself")]
    Reserved {
        /// Which.
        protocol: Protocol,
    },
    /// Too much is being looked for, or kept.
    #[error("too much is being looked for, or kept")]
    Busy,
    /// Nobody knows the name, or those who do say different things.
    #[error("nobody knows {name}, or those who do say different things")]
    NoSuchName {
        /// Which.
        name: Name,
    },
    /// It takes part in too many topics.
    #[error(transparent)]
    TooManyTopics(#[from] TooManyTopics),
    /// The message cannot be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The node has left, or its transport was closed.
    #[error("the node has ended")]
    Closed,
}

impl From<OpenError> for NodeError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Connect(error) => Self::Connect(error),
            OpenError::Transport(error) => Self::Transport(error),
        }
    }
}

impl Reaction for NodeError {
    fn fault(&self) -> Fault {
        match self {
            Self::WrongIdentity { .. }
            | Self::Reserved { .. }
            | Self::Closed
            | Self::Busy
            | Self::NoSuchName { .. } => Fault::Caller,
            Self::TooManyTopics(error) => error.fault(),
            Self::Publish(error) => error.fault(),
            Self::Issue(error) => error.fault(),
            Self::Sign(_) | Self::Key(_) => Fault::Environment,
            Self::Connect(error) => error.fault(),
            Self::Transport(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::WrongIdentity { .. } | Self::Reserved { .. } | Self::Closed => Retry::Never,
            Self::Busy | Self::NoSuchName { .. } => Retry::Later,
            Self::TooManyTopics(error) => error.retry(),
            Self::Publish(error) => error.retry(),
            Self::Issue(error) => error.retry(),
            Self::Sign(_) | Self::Key(_) => Retry::Later,
            Self::Connect(error) => error.retry(),
            Self::Transport(error) => error.retry(),
        }
    }
}
