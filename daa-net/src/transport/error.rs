//! Why a node is not reached.

use std::io;

use daa_core::fault::{Fault, Reaction, Retry};
use multiaddr::Multiaddr;

use crate::auth::HandshakeError;
use crate::node_id::NodeId;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// There is no address to try.
    #[error("no address of the node is known that this transport can use")]
    NoAddress,
    /// Nobody answers there.
    #[error("nobody could be reached: {0}")]
    Unreachable(String),
    /// Who answers does not prove itself to be the one.
    #[error(transparent)]
    Handshake(HandshakeError),
    /// It took too long.
    #[error("nobody has answered and proved itself in time")]
    TimedOut,
    /// A node was to connect to itself.
    #[error("a node does not connect to itself")]
    Itself,
    /// A limit of this node on connections.
    #[error("a limit of this node: {0}")]
    Limit(&'static str),
    /// The transport is closed.
    #[error("the transport is closed")]
    Closed,
}

impl Reaction for ConnectError {
    fn fault(&self) -> Fault {
        match self {
            Self::NoAddress | Self::Itself | Self::Closed | Self::Limit(_) => Fault::Caller,
            Self::Handshake(error) => error.fault(),
            Self::Unreachable(_) | Self::TimedOut => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::NoAddress | Self::Itself | Self::Closed => Retry::Never,
            Self::Handshake(error) => error.retry(),
            Self::Unreachable(_) | Self::TimedOut | Self::Limit(_) => Retry::Later,
        }
    }
}

/// What a transport cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The node is not connected.
    #[error("{node} is not connected")]
    NotConnected {
        /// Which.
        node: NodeId,
    },
    /// There are as many streams as there may be.
    #[error("there are as many streams to {node} as there may be")]
    Busy {
        /// To whom.
        node: NodeId,
    },
    /// The connection was lost.
    #[error("the connection was lost")]
    Lost(#[source] io::Error),
    /// This cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Where.
        address: Multiaddr,
        /// Why not.
        reason: String,
    },
    /// The transport could not be made.
    #[error("the transport could not be made: {0}")]
    Setup(String),
    /// The transport is closed.
    #[error("the transport is closed")]
    Closed,
}

impl Reaction for TransportError {
    fn fault(&self) -> Fault {
        match self {
            Self::Closed => Fault::Caller,
            _ => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Closed | Self::Listen { .. } | Self::Setup(_) => Retry::Never,
            _ => Retry::Later,
        }
    }
}
