//! What decides in this crate: machines without input and output. They are told what happened, and by what time, and
//! say what is to be done. A node runs them over a transport; simulations run the same ones in virtual time.

use bytes::Bytes;
use daa_core::clock::Timestamp;

use crate::node_id::NodeId;

/// A part of a node: membership, gossip, lookups.
///
/// Whoever runs it calls [`poll`](Self::poll) until there is nothing, after each of the other calls, and
/// [`wake`](Self::wake) at [`next_wake`](Self::next_wake) or later. Time never goes back for one machine.
pub(crate) trait Machine {
    /// What it tells the rest of the node.
    type Event;

    /// A message of a peer that has proved its key. It may be late, twice, or out of order; it may be anything.
    ///
    /// # Errors
    /// What is wrong with it: counts against the peer. The machine is as it was.
    fn receive(&mut self, from: NodeId, message: &[u8], now: Timestamp) -> Result<(), MessageError>;

    /// There is a connection to this peer now.
    fn connected(&mut self, peer: NodeId, now: Timestamp) {
        let _ = (peer, now);
    }

    /// There is no connection to this peer any more, or it could not be reached: what was sent may be lost.
    fn disconnected(&mut self, peer: NodeId, now: Timestamp) {
        let _ = (peer, now);
    }

    /// When it wants to be woken next.
    fn next_wake(&self) -> Option<Timestamp>;

    /// It is this late.
    fn wake(&mut self, now: Timestamp);

    /// The next thing to be done.
    fn poll(&mut self) -> Option<Effect<Self::Event>>;
}

/// What a machine wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect<E> {
    /// To send this to a node; a connection is made if there is none.
    Send { to: NodeId, message: Bytes },
    /// To tell this to the rest of the node.
    Tell(E),
}

/// Why a message of a peer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of a peer: {what}")]
pub(crate) struct MessageError {
    pub(crate) what: &'static str,
}
