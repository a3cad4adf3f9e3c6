//! What a connection offers to its peer: the handshake, or streams, and nothing where neither has its turn.

use std::convert::Infallible;
use std::future::{Ready, ready};

use libp2p::core::upgrade::{InboundUpgrade, UpgradeInfo};
use libp2p::swarm::{Stream, StreamProtocol};

/// The handshake.
pub(super) const AUTH: StreamProtocol = StreamProtocol::new("/daa/pq-auth/1");
/// A stream, under the keys of the handshake.
pub(super) const STREAM: StreamProtocol = StreamProtocol::new("/daa/stream/1");
/// To try whether a node can be called, which every node does for others behind the gate (AutoNAT v2).
pub(super) const TRIES: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-request");

/// What is offered.
#[derive(Clone, Debug)]
pub(super) struct Offer(Option<StreamProtocol>);

impl Offer {
    pub(super) const NOTHING: Self = Self(None);
    pub(super) const AUTH: Self = Self(Some(AUTH));
    pub(super) const STREAM: Self = Self(Some(STREAM));
}

impl UpgradeInfo for Offer {
    type Info = StreamProtocol;
    type InfoIter = std::option::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Offer {
    type Output = (StreamProtocol, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        ready(Ok((name, stream)))
    }
}
