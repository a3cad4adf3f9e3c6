//! Why a content was not fetched.

use std::collections::BTreeMap;
use std::io;

use daa_core::fault::{Fault, Reaction, Retry};

use super::PeerReport;
use crate::node_id::NodeId;

/// How a peer broke the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaved {
    /// Outline and size are not those of the content.
    #[error("outline and size are not those of the content")]
    WrongOutline,
    /// The bytes are not those of the group.
    #[error("the bytes are not those of group {group}")]
    WrongBytes {
        /// Which.
        group: u64,
    },
    /// What it said is no message.
    #[error("what it said is no message")]
    Garbage,
}

/// Why a peer was asked no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerEnd {
    /// It has not got the content.
    #[error("it has not got the content")]
    Missing,
    /// It has had too much to do, time and again.
    #[error("it has too much to do")]
    Busy,
    /// It says that the content has more bytes than it may have. That is not proved.
    #[error("it says that the content has {size} bytes, which is more than it may have")]
    TooLarge {
        /// How many it says.
        size: u64,
    },
    /// It could not be reached, or did not finish its answers, time and again.
    #[error("it could not be reached, or did not finish its answers: {0}")]
    Lost(String),
    /// It did not answer in time, time and again.
    #[error("it did not answer in time")]
    Slow,
    /// It broke the rules.
    #[error(transparent)]
    Misbehaved(Misbehaved),
}

/// Why a content was not fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No peer is left to ask.
    #[error("none of {} peers is left to ask", peers.len())]
    NoPeer {
        /// What became of them.
        peers: BTreeMap<NodeId, PeerReport>,
    },
    /// It cannot be kept.
    #[error("what was fetched cannot be kept")]
    Sink(#[source] io::Error),
}

impl Reaction for FetchError {
    fn fault(&self) -> Fault {
        match self {
            Self::NoPeer { .. } => Fault::Peer,
            Self::Sink(_) => Fault::Environment,
        }
    }

    fn retry(&self) -> Retry {
        Retry::Later
    }
}
